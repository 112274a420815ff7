"""Equal turns are one class and one loop; those that differ get their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from tests.compiler.emitted import (
    compiled,
    doubles,
    inputs_of,
    model_of,
    module,
    results_of,
)
from tests.compiler.test_emit_idioms import data_for

from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit import emit
from neuraxis.compiler.expose import expose
from neuraxis.compiler.reference import evaluate
from neuraxis.dsl.core import names
from neuraxis.dsl.program import ResultDecl
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from tests.conftest import Golden

BLOCK = """
    block ffn[m = 5](x[d]) -> [d]:
        act = gelu(linear[d -> m](x))
        return linear[m -> d](act)
"""
STACK = """
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat layer * 3:
            x = x + ffn(layernorm[d](x))
        return x
"""
ROWS = {
    "equal": STACK,
    "shared": STACK.replace("repeat", "share"),
    "numbers that differ": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat layer * 4:
            x = x + exp(-0.3 * (layer + 1)) * ffn(x)
        return x
""",
    "every other": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat layer * 4:
            if layer % 2 == 1:
                x = x + ffn(x)
            else:
                x = ffn(x)
        return x
""",
    "one in another": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat stage * 2:
            y = layernorm[d](x)
            repeat layer * 3:
                y = y + ffn(y)
            x = x + y
        return x
""",
    "two carried": """
    model stack[d = 4](x[b, d]) -> [b, d], [b, d]:
        y = 2 * x
        repeat layer * 3:
            z = x + ffn(y)
            y = x
            x = z
        return x, y
""",
    "without parameters": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat layer * 3:
            x = x + 0.5 * tanh(x * sum[d](x))
        return x
""",
    "a sum of what turns make": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        total = 0 * x
        repeat layer * 3:
            x = x + ffn(x)
            total = total + x
        return total
""",
    "a weight from outside": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        param w[d, d'] ~ normal(0, 1)
        repeat layer * 3:
            x = ffn(dot[d](x, w)[d' -> d])
        return x
""",
    "turns that nobody reads": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        y = x
        repeat layer * 2:
            if layer > 0:
                z = rmsnorm[d](y)
            y = 0.5 * y + x
        return x
""",
    "a table for all": """
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat layer * 3:
            x = x * cos(d / 3) + ffn(x)
        return x
""",
}


def same_as_oracle(text: str) -> str:
    """The source, after its results are found to be the oracle's."""
    model = model_of(BLOCK + text)
    graph, small = build(model), compiled(model)
    data = data_for(graph)
    source = emit(small, model).source
    with doubles():
        made = module(small, data.params, 0, model)
        found = made(*inputs_of(graph, data.inputs))
        assert_close(results_of(graph, model, found), evaluate(graph, **data.keywords()))
    return source


@pytest.mark.parametrize("row", ROWS)
def test_turns_compute_what_the_oracle_does(row: str) -> None:
    same_as_oracle(ROWS[row])


def test_equal_turns_are_one_class_in_one_loop() -> None:
    source = same_as_oracle(ROWS["equal"])
    assert source.count("def forward(self, x):") == 2
    assert "layer=nn.ModuleList([Layer() for _ in range(3)])" in source
    assert "for layer in self.layer:\n            x = layer(x)" in source


def test_shared_turns_call_one_module_again() -> None:
    source = same_as_oracle(ROWS["shared"])
    assert "for _ in range(3):\n            x = self.layer(x)" in source


def test_a_loop_in_a_shared_turn_has_its_own_weights_each_time() -> None:
    source = same_as_oracle("""
    model stack[d = 4](x[b, d]) -> [b, d]:
        share outer * 3:
            repeat layer * 3:
                x = 0.5 * x + tanh(linear[d -> d](x))
        return x
    """)
    assert "for _ in range(3):\n            x = self.outer(x)" in source
    assert "for layer in self.layer:" in source


def test_numbers_that_differ_are_arguments() -> None:
    source = same_as_oracle(ROWS["numbers that differ"])
    assert source.count("class Layer") == 1
    assert "for layer, number in zip(" in source


def test_a_loop_in_a_loop() -> None:
    source = same_as_oracle(ROWS["one in another"])
    assert "for stage in self.stage:" in source
    assert "for layer in self.layer:" in source
    assert source.count("class Layer") == source.count("class Stage") == 1


def test_a_table_is_computed_once() -> None:
    source = same_as_oracle(ROWS["a table for all"])
    assert source.count("torch.cos(") == 1
    assert "x = layer(x, cos)" in source


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_a_turn_that_differs_has_a_class_of_its_own(changed: int) -> None:
    text = f"""
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat layer * 3:
            if layer == {changed}:
                x = ffn(layernorm[d](x))
            else:
                x = x + ffn(layernorm[d](x))
        return x
"""
    source = same_as_oracle(text)
    assert source.count("class Layer") == 2


def test_values_of_every_turn_are_kept_if_they_are_results() -> None:
    model = model_of(BLOCK + STACK)
    graph, nodes = expose(build(model), [f"layer[{n}].layernorm" for n in range(3)])
    with graph.edit() as edit:
        edit.set_results([*graph.results, *nodes.values()])
    graph = edit.graph
    results = tuple(ResultDecl(n, names(graph.node(n).axes)) for n in graph.results)
    model = replace(model, results=results, body=graph.to_body())
    small = compile_graph(graph, Context())
    source = emit(small, model).source
    assert "layernorm_turns.append(layernorm)" in source
    data = data_for(graph)
    with doubles():
        made = module(small, data.params, 0, model)
        found = made(*inputs_of(graph, data.inputs))
        assert_close(results_of(graph, model, found), evaluate(graph, **data.keywords()))


def test_states_of_turns_are_updated_in_their_turns() -> None:
    text = """
    model stack[d = 4](x[b, d]) -> [b, d]:
        repeat layer * 3:
            state seen[d] = 0
            seen = seen + sum[b](x)
            x = x + seen
        return x
"""
    model = model_of(text)
    made = module(compiled(model), {}, 0, model)
    x = torch.ones(2, 4, dtype=torch.float64)
    first, second = made(x), made(x)
    assert made.layer[0].seen.tolist() == [4.0] * 4
    assert (second > first).all()
    assert "self.seen = " in emit(compiled(model), model).source


def test_goldens(golden: Golden) -> None:
    for name, text in GOLDEN.items():
        model = model_of(text, f"{name}.nax")
        golden(f"golden/emit/{name}.py", emit(compiled(model), model, passes=("fold",)).source)


GOLDEN = {
    "transformer": """
        model transformer[d = 8, vocab = 11, ctx = 7](tokens[b, t]: int) -> [b, t, vocab]:
            param wte[vocab, d] ~ normal(0, 0.02)
            param wpe[ctx, d] ~ normal(0, 0.02)
            x = wte[vocab = tokens] + wpe[ctx = t]
            repeat layer * 2:
                attn = causal_attention[h = 2, k = 4](layernorm[d](x))
                mid = x + attn
                ffn = mlp[m = 16](layernorm[d](mid))
                x = mid + ffn
            final = layernorm[d](x)
            return dot[d](final, wte)
    """,
    "recurrent": """
        model recurrent[d = 3, n = 4](x[b, t, d]) -> [b, t, n]:
            state calls[n] = 0
            scan t:
                carry y[n] = 0
                r = sigmoid(linear[d -> n](x) + linear[n -> n'](y)[n' -> n])
                u = sigmoid(linear[d -> n](x) + linear[n -> n'](y)[n' -> n])
                y = (1 - u) * tanh(linear[d -> n](x) + r * y) + u * y
            calls = calls + 1
            return y + calls
    """,
    "images": """
        model images[c = 3, o = 4, cls = 5](image[b, c, i, j]) -> [b, cls]:
            x = conv2d[c -> o](image, stride = 2)
            act = relu(x)
            pool = mean[i, j](act)
            return linear[o -> cls](pool)
    """,
}


def test_a_size_is_given_to_turns_as_a_number() -> None:
    model = model_of("""
        model m[d = 2](x[b, t, d]) -> [b, t, d]:
            repeat layer * 2:
                place = min(int(linear[d ->](x)), |t| // 2)
                x = x + place * tanh(linear[d -> d](x))
            return x
    """)
    made = module(compiled(model), {}, model=model)
    assert tuple(made(torch.ones(2, 5, 2).double()).shape) == (2, 5, 2)
