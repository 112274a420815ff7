"""Any well-typed graph runs: the emitted source against the oracle, values and gradients."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from tests.compiler.drawn import lengths, seeds
from tests.compiler.emitted import (
    checked,
    compiled,
    doubles,
    emulate,
    inputs_of,
    measured_slope,
    model_of,
    module,
    slope,
)

from neuraxis.compiler import emit as emitting
from neuraxis.compiler.emit import emit
from neuraxis.compiler.emit.forms import Core
from neuraxis.compiler.emit.pytorch.expressions import OPERATORS
from neuraxis.compiler.emit.pytorch.formatting import wrapped
from neuraxis.compiler.emit.pytorch.names import identifier
from neuraxis.compiler.emit.pytorch.reductions import ALONG, OVER_ONE, OVER_SEVERAL
from neuraxis.compiler.emit.pytorch.table import FORMS, OPS
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl import functions
from neuraxis.dsl import ops as core
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close, check_lowering, graphs
from neuraxis.testing.data import data_for
from neuraxis.testing.drawing import ALL_OPS

if TYPE_CHECKING:
    from neuraxis.compiler.graph import Graph

SMOOTH = [kind for kind in ALL_OPS if kind not in ("map", "along", "gather", "scan", "stop")]


@given(graphs(), seeds, lengths)
def test_emitted_source_computes_what_the_oracle_does(graph: Graph, seed: int, length: int) -> None:
    data = data_for(graph, seed, length)
    try:
        wanted = evaluate(graph, **data.keywords())
    except (IndexError, ZeroDivisionError):
        assume(False)
    assert_close(emulate(graph, data), wanted, tolerance=1e-7)


def test_what_a_file_defines_for_itself_is_called_like_nothing_of_a_spec() -> None:
    text = (Path(emitting.__file__).parent / "templates/torch/helpers.py.j2").read_text()
    helpers = re.findall(r"^def (\w+)", text, re.MULTILINE)
    assert helpers
    assert all(name.startswith("_") or identifier(name) == f"{name}_" for name in helpers)


@pytest.mark.parametrize(
    ("one", "other"), [("weight", "bias"), ("part", "buffer"), ("rows", "masked_softmax")]
)
def test_a_spec_may_use_these_names(one: str, other: str) -> None:
    text = f"""
    block two(x[d]) -> [d]:
        param {one}[d] ~ normal(0, 1)
        param {other}[d] ~ normal(0, 1)
        return {one} * x + {other}

    model m[d = 4](x[b, t, d]) -> [b, t, d]:
        {one} = two(x)
        {other} = two({one})
        return dot[s](softmax[s](where({one}[t -> s] > 9, 1, -inf)), {other}[t -> s]) + {other}
"""
    check_lowering(Program.from_text(textwrap.dedent(text).lstrip()))


def test_parameters_that_are_computed_have_names_of_their_own() -> None:
    text = """
    model eyes[d = 2, k = 3](x[d]) -> [d]:
        param square[d, d'] = where(d == d', 1, 0.5)
        param wide[d, k] = where(d == k, 1, 0.25)
        return dot[d'](square, x[d -> d']) + sum[k](wide)
"""
    model = model_of(text)
    file: dict[str, Any] = {}
    exec(emit(compiled(model), model).source, file)  # the file by itself, as `emit` writes it
    made = file["Eyes"]().state_dict()
    assert made["square"].tolist() == [[1, 0.5], [0.5, 1]]
    assert made["wide"].tolist() == [[1, 0.25, 0.25], [0.25, 1, 0.25]]


@given(graphs(kinds=SMOOTH), seeds, lengths)
def test_gradients_are_those_of_the_oracle(graph: Graph, seed: int, length: int) -> None:
    data = data_for(graph, seed, length)
    numbers = np.random.default_rng(seed)
    data = replace(data, inputs={n: _jittered(v, numbers) for n, v in data.inputs.items()})
    try:
        evaluate(graph, **data.keywords())
    except (IndexError, ZeroDivisionError):
        assume(False)
    with doubles():
        model = checked(graph)
        made = module(graph, data.params, data.seed, model)
        inputs = inputs_of(graph, data.inputs)
        leaves = [*made.parameters(), *(x for x in inputs if x.is_floating_point())]
        way = [torch.from_numpy(np.asarray(numbers.normal(size=tuple(x.shape)))) for x in leaves]
        made._calls = 0
        found = slope(made, inputs, way)
        fine, coarse = (
            measured_slope(graph, model, made, data, way, step) for step in (1e-6, 1e-5)
        )
    assume(abs(fine - coarse) <= 1e-4 * (1 + abs(fine)))  # no kink is near
    assert found == pytest.approx(fine, rel=1e-3, abs=1e-3)


def _jittered(value: NamedArray, numbers: np.random.Generator) -> NamedArray:
    """No two numbers equal, so that no maximum is a tie."""
    if value.array.dtype != np.float64:
        return value
    return NamedArray(value.axes, value.array + numbers.uniform(-0.1, 0.1, value.array.shape))


@given(graphs())
def test_the_same_graph_gives_the_same_bytes(graph: Graph) -> None:
    model = checked(graph)
    source = emit(graph, model).source
    assert source == emit(graph, model).source
    assert source.endswith("\n")
    assert not source.endswith("\n\n")


@given(graphs())
def test_the_source_imports_only_torch(graph: Graph) -> None:
    tree = ast.parse(emit(graph, checked(graph)).source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names: list[Any] = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert {name.split(".")[0] for name in names} == {"torch"}


def test_every_operation_can_be_written() -> None:
    leaves = {"input", "param", "state", "random", "const", "scan"}
    assert {op.name for op in core.OPS} == OPS.keys() | leaves
    assert functions.MAPS.keys() == OPERATORS.keys()
    special = {"norm", "quantile"}
    assert functions.REDUCTIONS.keys() == OVER_SEVERAL.keys() | OVER_ONE.keys() | special
    assert functions.ALONG.keys() == ALONG.keys() | {"fft_re", "fft_im"}
    assert Core not in FORMS


def test_a_result_that_is_a_number_is_a_tensor() -> None:
    model = model_of("model one(x[t]) -> [t]:\n    return x * 0 + 1\n")
    made = module(compiled(model), {}, 0, model)
    assert torch.equal(made(torch.zeros(3, dtype=torch.float64)), torch.ones(3).double())


def test_a_long_argument_by_name_is_broken_behind_its_name() -> None:
    long = " + ".join(f"number_{at}" for at in range(12))
    lines = wrapped(f"x = f(first, mask={long}, scale=0.4)", 8)
    ast.parse(textwrap.dedent("\n".join(lines)))
    assert any(line.strip() == "mask=(" for line in lines)


def test_a_long_line_of_results_is_broken_at_its_commas() -> None:
    terms = ", ".join(f"x{n} {'+@'[n % 2]} {'y' * 20}" for n in range(5))
    assert wrapped(f"return {terms}", 8)[:3] == [
        "        return (",
        "            x0 + yyyyyyyyyyyyyyyyyyyy,",
        "            x1 @ yyyyyyyyyyyyyyyyyyyy,",
    ]


def test_a_truth_that_is_written_out_counts_as_a_number() -> None:
    model = model_of("""
        model m(x[t]) -> [t], [t], [t]:
            return x - true, (x == x) * 2 - true, false - x
    """)
    found = module(compiled(model), {}, 0, model)(torch.ones(2, dtype=torch.float64))
    assert [value.tolist() for value in found] == [[0, 0], [1, 1], [-1, -1]]


def test_a_sum_of_what_is_split_is_split_as_a_whole() -> None:
    """Its last term is not what the whole is: a long sum gets a name, and keeps all of it."""
    text = """
model m[d = 8, h = 2, k = 4](the_first[b, t, d], the_second[b, t, d]) -> [b, t, h, k]:
    param first_weights[d, h, k] ~ normal(0, 1)
    param second_weights[d, h, k] ~ normal(0, 1)
    return sigmoid(dot[d](the_first, first_weights) + dot[d](the_second, second_weights))
"""
    check_lowering(Program.from_text(text))
