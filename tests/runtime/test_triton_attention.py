"""Kernels of attention in Triton against the oracle: any change of scores, any mask, values and
gradients. Without a GPU, Triton's interpreter runs them."""

from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from tests.runtime.scored import Scored, scored
from tests.runtime.test_attention import SPEC, called, inputs, oracle

import neuraxis
from neuraxis.compiler.costs import is_worth_on_gpu
from neuraxis.runtime import attention_on_gpu, gpu, operators
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("triton")
# NumPy, which runs the kernels, says so where a number is infinite or none
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES = {"b": 1, "t": 70, "s": 40, "e": 5, "m": 2}
MORE = """
model bucketed[h = 2, k = 8, n = 6](q[t, h, k], key[t, h, k], v[t, h, k], w[n, h]) -> [t, h, k]:
    scores = dot[k](q, key[t -> s]) + w[n = min(abs(t - s), |n| - 1)]
    return dot[s](softmax[s](where(s <= t, scores, -inf)), v[t -> s])

model squared[k = 8](q[t, k], key[s, k], v[s, k]) -> [t, k]:
    scores = dot[k](q, key) + float(t * s) / 1e9 + float(t ^ 2 * s) / 1e14
    return dot[s](softmax[s](scores), v)
"""


@pytest.fixture(autouse=True)
def _on_this_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gpu, "DEVICES", frozenset([DEVICE]))
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setattr(attention_on_gpu, "is_worth_on_gpu", lambda *_: True)
    monkeypatch.setenv("NEURAXIS_CXX", "none")
    yield
    assert not operators._said, "Triton gave up"


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.from_text(SPEC + MORE)


def held(values: list[torch.Tensor], dtype: torch.dtype) -> list[torch.Tensor]:
    """The floats in a dtype; all on the device."""
    return [x.to(DEVICE, dtype if x.is_floating_point() else x.dtype) for x in values]


def pulled(model: Any, given_: list[torch.Tensor]) -> list[Any]:
    """Gradients, in float64."""
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in given_]
    results = model(*leaves)
    results = results if isinstance(results, tuple) else (results,)
    places = [torch.arange(x.numel(), device=x.device).view(x.shape) for x in results]
    loss = sum((x.double() * (1 + at).cos()).sum() for x, at in zip(results, places, strict=True))
    floats = [x for x in leaves if x.requires_grad]
    found = torch.autograd.grad(loss, floats, allow_unused=True)
    pairs = zip(floats, found, strict=True)
    return [np.zeros(x.shape) if g is None else g.cpu().double().numpy() for x, g in pairs]


def plainly(program: Program, name: str, given_: list[torch.Tensor]) -> list[Any]:
    """Gradients by PyTorch in float64, without kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "DEVICES", frozenset())
        plain = program.model(name).double()
    return pulled(plain.cpu(), given_)


def check(
    program: Program,
    name: str,
    sizes: dict[str, int],
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> None:
    """Values are those of the oracle, gradients those of PyTorch in float64."""
    model = program.model(name).to(DEVICE)
    loose = dtype is torch.bfloat16
    given_ = inputs(model, sizes, seed)
    given_ = [x.cpu() for x in held(held(given_, dtype), torch.float64)]
    wanted = oracle(model, given_, sizes)
    found = model(*held(given_, dtype))
    found = found if isinstance(found, tuple) else (found,)
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype is dtype
        assert_close(one.float().cpu(), other, tolerance=0.03 if loose else 1e-5, what=name)
    ours, theirs = pulled(model, held(given_, dtype)), plainly(program, name, given_)
    for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        wrong = f"{name}, gradient {place}"
        limit = 0.05 if loose else 1e-4
        assert_close(one, other, "float32", tolerance=limit, met=1.0, what=wrong)


@settings(
    max_examples=8,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    deadline=None,
)
@given(drawn=scored())
def test_drawn_scores(drawn: Scored) -> None:
    program = Program.from_text(drawn.text)
    model = program.model("drawn")
    assert called(model) or "F.scaled_dot_product" in model._artifact.source, drawn.text
    check(program, "drawn", dict(drawn.sizes), seed=drawn.seed)


@pytest.mark.parametrize("name", ["alibi", "grouped", "table", "documents", "window", "bucketed"])
def test_a_kernel_is_the_oracle(program: Program, name: str) -> None:
    assert called(program.model(name))
    check(program, name, SIZES)


@pytest.mark.parametrize("name", ["grouped", "bucketed"])
def test_half_precision(program: Program, name: str) -> None:
    check(program, name, SIZES, torch.bfloat16)


@pytest.mark.parametrize("width", [1, 31, 100])
def test_any_number_of_features(width: int) -> None:
    text = SPEC.partition("model grouped")[0].replace("k = 8", f"k = {width}")
    check(Program.from_text(text), "alibi", {"b": 1, "t": 20})


def test_too_many_features_are_left_to_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_on_gpu.TritonContraction, "_launch", None)
    text = SPEC.partition("model grouped")[0].replace("k = 8", "k = 300")
    check(Program.from_text(text), "alibi", {"b": 1, "t": 3})


def test_positions_that_need_64_bits(program: Program) -> None:
    """Products of positions are as those of whole numbers."""
    check(program, "squared", {"t": 40, "s": 40})


def test_what_a_mask_leaves_out_is_not_visited(program: Program) -> None:
    """No number is made of values that no query of a block sees: 0 times nan would be nan."""
    model = program.model("window").to(DEVICE)
    given_ = held(inputs(model, {"t": 200}), torch.float32)
    given_[2][:64] = torch.nan
    assert torch.isfinite(model(*given_)[128:]).all()
    documents = program.model("documents").to(DEVICE)
    doc = torch.arange(200, device=DEVICE) // 64
    assert torch.isfinite(documents(*given_, doc)[64:]).all()
    assert np.isfinite(pulled(model, given_)[0][128:]).all()


def test_pytorch_takes_it_as_its_own(program: Program) -> None:
    model = program.model("grouped").to(DEVICE)
    given_ = [x.requires_grad_() for x in held(inputs(model, {"b": 1, "t": 6}), torch.float32)]
    whole = torch.compile(model, fullgraph=True, backend="aot_eager")
    found, wanted = whole(*given_), model(*given_)
    assert_close([x.detach().cpu() for x in found], [x.detach().cpu().numpy() for x in wanted])
    ours = torch.autograd.grad(sum(x.square().sum() for x in found), given_)
    theirs = torch.autograd.grad(sum(x.square().sum() for x in wanted), given_)
    assert_close([x.cpu() for x in ours], [x.cpu().numpy() for x in theirs])


def test_plain_causal_attention_stays_with_pytorch(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_worth_on_gpu(128, is_usual=True)
    assert is_worth_on_gpu(128)
    assert not is_worth_on_gpu(1)
    model = program.model("causal")
    assert not called(model)
    assert "F.scaled_dot_product_attention" in model._artifact.source


def test_positions_outside_of_a_table(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels say so where they are asked to, as PyTorch's do on a GPU."""
    (call,) = program.model("table")._artifact.kernels
    kernel = attention_on_gpu._kernel_for(call.contraction)
    assert kernel.asserts
    (call,) = program.model("bucketed")._artifact.kernels
    assert not attention_on_gpu._kernel_for(call.contraction).asserts
    if DEVICE == "cuda":
        pytest.skip("an assertion that fails on a GPU ends its use by this process")
    interpreter = pytest.importorskip("triton.runtime.interpreter")
    builder = interpreter.interpreter_builder
    asking = replace(builder.options, debug=True, sanitize_overflow=False)
    monkeypatch.setattr(builder, "options", asking)
    model = program.model("table")
    given_ = held(inputs(model, SIZES), torch.float32)
    given_[-1][1, 2] = 6
    with pytest.raises((IndexError, neuraxis.SpecError)):
        model(*given_)
    assert "a position outside of a table" in operators._said.pop()


def test_what_spills_where_64_rows_are_multiplied_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Spilling:
        def __getitem__(self, _: Any) -> Any:
            return lambda *_, **__: SimpleNamespace(n_spills=8)

    monkeypatch.setattr(gpu, "function", lambda *_: Spilling())
    text = SPEC.partition("model grouped")[0].replace("(t - s)", "sin(t - s)")
    model, sizes = Program.from_text(text).model("alibi").to(DEVICE), {"b": 1, "t": 5}
    given_ = inputs(model, sizes)
    with caplog.at_level(logging.WARNING, "neuraxis"):
        found = model(*held(given_, torch.float32))
    (wanted,) = oracle(model, given_, sizes)
    assert_close(found.cpu(), wanted, tolerance=1e-5)
    (record,) = caplog.records
    assert "registers are spilled" in record.message
    operators._said.clear()


def test_one_notice_where_triton_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Then PyTorch runs it, the way back too."""

    def failing(*_: Any) -> None:
        raise RuntimeError("out of resource: shared memory")

    monkeypatch.setattr(attention_on_gpu.TritonContraction, "_launch", failing)
    text = SPEC.partition("model grouped")[0].replace("(t - s)", "tanh(t - s)")
    with caplog.at_level(logging.WARNING, "neuraxis"):
        check(Program.from_text(text), "alibi", {"b": 1, "t": 5})
    assert [record.message for record in caplog.records] == [
        "Triton fails (out of resource: shared memory): attention is run by PyTorch alone"
    ]
    operators._said.clear()
