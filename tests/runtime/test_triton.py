"""Kernels in Triton against the oracle: values, last carries, gradients. Without a GPU, Triton's
interpreter runs them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from tests.compiler.recurrences.cells import CELLS

from neuraxis.compiler import costs
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl.core import DType
from neuraxis.runtime import gpu, on_gpu, operators
from neuraxis.runtime.module import build
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close, recurrences

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuraxis.runtime.model import SpecModel

pytest.importorskip("triton")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

LARGER = {
    "retention": """
model m[k = 16, v = 20](q[b, t, k], key[b, t, k], val[b, t, v], a[b]) -> [b, t, v], [b, k, v]:
    scan t:
        carry S[k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o, S[t = -1]
""",
    "gla, reversed": """
model m[k = 16, v = 16](q[b, t, k], key[b, t, k], val[b, t, v], a[b, t, k]) -> [b, t, v]:
    scan t reversed:
        carry S[k, v] = 0
        S = sigmoid(a) * S + key * val
        o = dot[k](q, S)
    return o
""",
    "counted": """
model m[d = 3](x[b, t, d]) -> [b, t, d], [b, t]:
    scan t:
        carry n[] = 0
        carry y[d] = 0
        n = n + where(y[d = 0] > 0, 1, 0)
        y = where(n % 2 == 0, 0.5 * y, -0.5 * y) + x
    return y, n
""",
    "sums": """
model m[d = 6](x[b, t, d]) -> [b, t, d], [b, t]:
    scan t:
        carry y[d] = 0
        part = softmax[d](y + x)
        spread = var[d](y) + norm[d](y) + logsumexp[d](y)
        y = tanh(0.5 * y + part * x - mean[d](part) + 0.1 * spread) + max[d](0.1 * y)
        large = max[d](y) - min[d](y)
    return y, large
""",
    "moved": """
model m[d = 4](x[b, t, d]) -> [b, t, d]:
    scan t:
        carry y[d] = 0
        early = y[d = 0..2]
        late = y[d = 2..4]
        y = 0.5 * concat[d](late, early) + x + cumsum[d](0.1 * y) + 0.1 * y[d = 3]
    return y
""",
}
SPECS = {**{name: cell.text for name, cell in CELLS.items()}, **LARGER}
NAMES = ["mingru", "rotation", "gated delta", "ssd", "gru", "linear attention", *LARGER]


@pytest.fixture(autouse=True)
def _on_this_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gpu, "DEVICES", frozenset([DEVICE]))
    monkeypatch.setattr(operators, "_said", set())
    yield
    assert not operators._said, "Triton gave up"


def inputs(model: SpecModel, length: int) -> list[torch.Tensor]:
    sizes = {"b": 2, "t": length}
    stream = torch.Generator().manual_seed(0)
    found = []
    for argument in model._artifact.arguments:
        shape = [sizes.get(a.name, a.size) for a in argument.axes]
        values = torch.rand(shape, generator=stream, dtype=torch.float64) * 1.2 - 0.4  # type: ignore[arg-type]
        kind = argument.decl.dtype
        if kind is DType.INT:
            found.append((values * 3).abs().long())
        else:
            found.append(values > 0 if kind is DType.BOOL else values.float())
    return found


def held(values: list[torch.Tensor], dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    """The floats in a dtype; all on a device."""
    return [x.to(device, dtype if x.is_floating_point() else x.dtype) for x in values]


def oracle(model: SpecModel, given_: list[torch.Tensor], length: int) -> list[Any]:
    params = {site: p.detach().double() for site, p in model.parameters_by_site()[0].items()}
    found = evaluate(
        model.checked.body,
        {
            a.decl.name: NamedArray(tuple(x.name for x in a.axes), np.asarray(value))
            for a, value in zip(
                model._artifact.arguments, held(given_, torch.float64, "cpu"), strict=True
            )
        },
        {site: value.numpy() for site, value in params.items()},
        sizes={"b": 2, "t": length},
    )
    return [
        value.arranged(decl.order) for value, decl in zip(found, model.checked.results, strict=True)
    ]


def loop(program: Program, name: str) -> Any:
    """The same in PyTorch, step by step, in float64."""
    model = program.model(name)
    made = build(model._graph, model.checked, seed=model._seed, kernels=False).double()
    assert not made._artifact.kernels
    return made


def slopes(model: Any, given_: list[torch.Tensor], dtype: torch.dtype, device: str) -> Any:
    values = held(given_, dtype, device)
    leaves = [x.requires_grad_() for x in values if x.is_floating_point()]
    found = model(*values)
    found = found if isinstance(found, tuple) else (found,)
    loss = sum((x * x.detach().cos()).sum() for x in found if x.is_floating_point())
    leaves += list(model.parameters())
    return torch.autograd.grad(loss, leaves, allow_unused=True)


def check(text: str, name: str, length: int, dtype: torch.dtype = torch.float32) -> None:
    program = Program.from_text(text)
    model, plain = program.model(name), loop(program, name)
    assert model._artifact.kernels
    given_ = held(held(inputs(model, length), dtype, "cpu"), torch.float32, "cpu")
    wanted = oracle(model, given_, length)
    ours = model.to(DEVICE, dtype)
    with torch.no_grad():
        found = ours(*held(given_, dtype, DEVICE))
    found = found if isinstance(found, tuple) else (found,)
    loose = dtype is torch.bfloat16
    for one, other in zip(found, wanted, strict=True):
        assert_close(one.cpu(), other, tolerance=0.03 if loose else 1e-5)
    theirs = slopes(plain, given_, torch.float64, "cpu")
    for place, (one, other) in enumerate(
        zip(slopes(ours, given_, dtype, DEVICE), theirs, strict=True)
    ):
        if other is not None:
            wrong = f"gradient {place}"
            assert_close(one.cpu(), other.numpy(), tolerance=0.05 if loose else 3e-5, what=wrong)


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_is_the_oracle(name: str) -> None:
    check(SPECS[name], "m", 21)


KEYED = "model m[k = 16, v = 20](q[b, t, k], key[b, t, k], val[b, t, v], l[b, t, k], a[b, t])"
CORRECTED = {
    "gated delta": """
        kept = sigmoid(a) * S
        S = kept + 0.09 * l[k = 0] * key * (val - dot[k](key, kept))""",
    "delta": "S = S + 0.09 * key * (val - dot[k](key, S))",
    "other inputs too": """
        S = sigmoid(a) * S + 0.09 * key * (val - dot[k](key, S)) + 0.05 * l * val""",
    "no input along it": "S = sigmoid(a) * S - 0.09 * l * dot[k](key, S) + key * val",
}


@pytest.mark.parametrize("name", CORRECTED)
def test_corrections_in_chunks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "STEP", 1 << 40)
    monkeypatch.setattr(costs, "MOST_DOTS", 99)
    head = f"{KEYED} -> [b, t, v], [b, k, v]:\n    scan t:\n        carry S[k, v] = 0\n"
    body = "\n".join(f"        {line.strip()}" for line in CORRECTED[name].strip().splitlines())
    text = f"{head}{body}\n        o = dot[k](q, S)\n    return o, S[t = -1]\n"
    (call,) = Program.from_text(text).model("m")._artifact.kernels
    kernel = on_gpu._kernel_for(call.scan)
    assert kernel.plan.rows is not None
    check(text, "m", 21)


@pytest.mark.parametrize("length", [1, 16, 33])
def test_any_number_of_steps(length: int) -> None:
    check(SPECS["retention"], "m", length)


def test_no_steps() -> None:
    model = Program.from_text(SPECS["gla, reversed"]).model("m").to(DEVICE)
    given_ = [x.to(DEVICE).requires_grad_() for x in inputs(model, 0)]
    found = model(*given_)
    assert found.shape == (2, 0, 16)
    assert torch.autograd.grad(found.sum(), given_)[0].shape == given_[0].shape


def test_half_precision() -> None:
    check(SPECS["gla, reversed"], "m", 20, torch.bfloat16)


@settings(
    max_examples=4,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(text=recurrences())
def test_drawn_recurrences(text: str) -> None:
    program = Program.from_text(text)
    model = program.model("drawn")
    if not model._artifact.kernels:
        return
    check(text, "drawn", 5)


UNUSUAL = """
model m[d = 3](x[b, t, d]) -> [b, t, d]:
    scan t:
        carry s[d] = 0
        s = 0.375 * tanh(s) + x
    return s
"""  # of no other test: a kernel is known once it was made


def test_one_notice_where_triton_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then PyTorch runs the steps, the way back too."""

    def failing(*_: Any) -> None:
        raise RuntimeError("out of resource: shared memory")

    monkeypatch.setattr(gpu.TritonOperator, "_launch", failing)
    program = Program.from_text(UNUSUAL)
    model = program.model("m").to(DEVICE)
    given_ = inputs(model, 4)
    with caplog.at_level(logging.WARNING, "neuraxis"):
        ours = slopes(model, given_, torch.float32, DEVICE)
        slopes(model, given_, torch.float32, DEVICE)
    theirs = slopes(loop(program, "m"), given_, torch.float64, "cpu")
    assert_close([x.cpu() for x in ours], [x.numpy() for x in theirs], tolerance=1e-5)
    assert [record.message for record in caplog.records] == [
        "Triton fails (out of resource: shared memory): the recurrence is run step by step in PyTorch"
    ]
    operators._said.clear()
