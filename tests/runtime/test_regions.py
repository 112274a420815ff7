"""Regions as kernels against the oracle: values and gradients; and how they are called."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings

import neuraxis
from neuraxis.compiler import costs
from neuraxis.runtime import cpp, kernels, operators
from neuraxis.testing import assert_close, chains, check_lowering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.cxx

TEXT = """
block chain(x, y) -> []:
    gated = tanh(1.3 * x) * sigmoid(y) + 0.2 * softplus(x)
    return gated - x * exp(-y * y) + x / (1 + x ^ 2)

model pointwise[d = 19](x[b, t, d], y[b, t, d], gain[d], row[b, t], one[b]) -> [b, t, d]:
    return chain(x, y) * gain + erf(row * x) * one

model rows[d = 33](x[b, t, d]) -> [b, t, d], [b, t]:
    sized = polynorm[d](x)
    pattern = softmax[d](sized)
    centred = layernorm[d](pattern * x)
    return centred, logsumexp[d](sized + centred)

model splines[d = 5](x[b, d]) -> [b, d, m], [b, o]:
    y = x / 2
    return bsplines[m = 8](y), kan[d -> o = 3](y)

model turned[d = 6, h = 3](x[b, t, h, d], c[t, d], s[t, d]) -> [b, t, h, d]:
    half = concat[d](-x[d = 3..6], x[d = 0..3])
    return x * c + half * s

model middle[d = 4, t = 21](x[b, d, t]) -> [b, d, t]:
    return tanh(x - mean[d](x)) * sigmoid(x) * x

model placed[k = 8, h = 2](x[b, t, h, k]) -> [b, t, h, k]:
    return rope[k](tanh(x) * x, t)

model masked[d = 17](x[b, t, d], keep[b, t, d]: bool) -> [b, t, d]:
    return where(keep and x > -1, exp(x) - 1, x * x) * where(d < 5, 2, x)
"""
NAMES = ["pointwise", "rows", "splines", "turned", "middle", "placed", "masked"]


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be a kernel is one."""
    for name in ("SPARED", "LONG", "CALL"):
        monkeypatch.setattr(costs, name, 0)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> neuraxis.Program:
    path = tmp_path_factory.mktemp("specs") / "regions.nax"
    path.write_text(TEXT)
    return neuraxis.load(str(path))


def called(model: Any) -> list[str]:
    """The kernels that a model calls."""
    return [call.name for call in model._artifact.kernels]


def inputs(model: Any, length: int = 5, seed: int = 0) -> list[torch.Tensor]:
    sizes = {"b": 3, "t": length}
    stream = torch.Generator().manual_seed(seed)
    found = []
    for argument in model._artifact.arguments:
        shape = [
            sizes.get(a.name, a.size) if not isinstance(a.size, int) else a.size
            for a in argument.axes
        ]
        drawn = torch.randn(shape, generator=stream, dtype=torch.float64)
        found.append(drawn > 0 if argument.decl.dtype == "bool" else drawn)
    return found


def plain(program: neuraxis.Program, name: str) -> Any:
    """The model without kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURAXIS_CXX", "none")
        made = program.model(name).double()
    assert not called(made)
    return made


def outcome(model: Any, given_: list[torch.Tensor]) -> tuple[list[Any], list[Any]]:
    """Results, and gradients of inputs and parameters."""
    leaves = [x.detach().clone() for x in given_]
    floats = [x.requires_grad_() for x in leaves if x.is_floating_point()]
    found = model(*leaves)
    found = found if isinstance(found, tuple) else (found,)
    loss = sum(
        (x * torch.linspace(0.1, 1, max(x.numel(), 1))[: x.numel()].view_as(x)).sum() for x in found
    )
    gradients = torch.autograd.grad(loss, [*floats, *model.parameters()], materialize_grads=True)
    return [x.detach().numpy() for x in found], [x.numpy() for x in gradients]


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_is_the_oracle(program: neuraxis.Program, name: str) -> None:
    assert called(program.model(name))
    check_lowering(program, name, dtype="float64")
    check_lowering(program, name, dtype="float32")


@settings(
    max_examples=6,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(text=chains())
def test_drawn_chains(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("drawn") / "drawn.nax"
    path.write_text(text)
    drawn = neuraxis.load(str(path))
    assert called(drawn.model("drawn"))
    check_lowering(drawn, "drawn")
    check_lowering(drawn, "drawn", dtype="float32")


@pytest.mark.parametrize("length", [0, 1, 7, 600])
@pytest.mark.parametrize("name", ["pointwise", "rows"])
def test_any_number_of_rows(program: neuraxis.Program, name: str, length: int) -> None:
    """Sums over rows too, which are made of the sums of pieces of work."""
    given_ = inputs(program.model(name), length)
    found, gradients = outcome(program.model(name).double(), given_)
    wanted, others = outcome(plain(program, name), given_)
    assert_close(found, wanted)
    assert_close(gradients, others)


@pytest.mark.parametrize("name", ["pointwise", "turned", "middle"])
def test_operands_that_lie_anyhow(program: neuraxis.Program, name: str) -> None:
    """Turned, with gaps, repeated."""
    model, other = program.model(name).double(), plain(program, name)
    given_ = inputs(model)
    wanted = outcome(other, given_)
    swapped = [x.transpose(0, -1).contiguous().transpose(0, -1) for x in given_]
    gaps = [torch.stack([x, x + 1], -1)[..., 0] for x in given_]
    for moved in (swapped, gaps):
        with torch.no_grad():
            assert_close(model(*moved), wanted[0][0])
        assert_close(outcome(model, moved)[1], wanted[1])
    repeated = [x[:1].expand(x.shape) for x in given_]
    with torch.no_grad():
        assert_close(model(*repeated), other(*repeated).numpy())


def test_sums_are_the_same_with_any_number_of_threads(program: neuraxis.Program) -> None:
    model = program.model("pointwise").float()
    given_ = [x.float() for x in inputs(model, 200)]
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(outcome(model, given_)[1])
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", ["sqrt", "erf", "exp", "softplus", "tanh"])
def test_numbers_far_out(tmp_path: Path, name: str) -> None:
    path = tmp_path / "far.nax"
    path.write_text(f"model far[d = 64](x[b, d]) -> [b, d]:\n    return {name}({name}(x))\n")
    model = neuraxis.load(str(path)).model("far")
    ends = [0.0, -0.0, 1e-30, -1e-30, 1e-3, 5.9, -5.9, 9.0, -9.0, 88.0, -104.0]
    listed = [*ends, float("inf"), -float("inf"), float("nan")]
    x = torch.cat([torch.tensor(listed), torch.linspace(-4, 4, 114)]).view(2, 64)
    function: Any = torch.nn.functional.softplus if name == "softplus" else getattr(torch, name)
    for dtype, tolerance in ((torch.float32, 3e-6), (torch.float64, 1e-14)):
        wanted = function(function(x.double()))
        held = wanted.to(dtype).double()  # what does not fit is infinite
        found = model(x.to(dtype)).double()
        torch.testing.assert_close(found, held, rtol=tolerance, atol=1e-37, equal_nan=True)


# ---- PyTorch


def test_pytorch_takes_it_as_its_own(program: neuraxis.Program) -> None:
    for name in ("pointwise", "rows"):
        for call in program.model(name)._artifact.kernels:
            sizes = {"b": 3, "t": 6}
            known = {a.name: a.size for border in call.kernel.borders for a in border.axes}
            operands = tuple(
                torch.rand(
                    [sizes.get(axis, known[axis]) for axis in order],
                    dtype=torch.float64,
                    requires_grad=True,
                )
                for order in call.orders
            )
            torch.library.opcheck(getattr(torch.ops.neuraxis, call.name).default, (*operands, 0))


def test_it_compiles_whole(program: neuraxis.Program) -> None:
    model = program.model("pointwise").double()
    given_ = [x.requires_grad_() for x in inputs(model)]
    whole = torch.compile(model, fullgraph=True, backend="aot_eager")
    found, wanted = whole(*given_), model(*given_)
    assert_close(found, wanted.detach().numpy())
    ours = torch.autograd.grad(found.square().sum(), given_)
    theirs = torch.autograd.grad(wanted.square().sum(), given_)
    assert_close(ours, [x.numpy() for x in theirs])


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_transforms(program: neuraxis.Program) -> None:
    """Second derivatives, tangents and `vmap` are right."""
    model = program.model("pointwise").double()
    given_ = inputs(model, 2)

    def first(x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(x, *given_[1:])
        return found.sin()

    x = given_[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(first, (x,))
    assert torch.autograd.gradgradcheck(first, (x,))
    direction = torch.rand_like(given_[0])
    _, forward = torch.func.jvp(first, (given_[0],), (direction,))
    _, pull = torch.func.vjp(first, given_[0])
    weight = torch.rand_like(forward)
    assert_close((forward * weight).sum().detach(), (pull(weight)[0] * direction).sum().numpy())
    several = torch.stack([given_[0], 2 * given_[0]])
    batched = torch.func.vmap(first)(several)
    assert_close(batched[1], first(several[1]).detach().numpy())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(given_[0], direction)
        tangent = torch.autograd.forward_ad.unpack_dual(first(dual)).tangent
    assert_close(tangent, forward.detach().numpy())


def test_what_no_kernel_takes_is_run_by_pytorch(
    program: neuraxis.Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = program.model("pointwise")
    given_ = inputs(model)
    wanted = model.double()(*given_)
    half = model.bfloat16()(*(x.bfloat16() for x in given_))
    assert half.dtype is torch.bfloat16
    assert_close(half, wanted.numpy(), tolerance=0.05)
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setenv("NEURAXIS_CXX", "no-such-compiler")
    assert not called(program.model("pointwise"))
    assert not called(program.model("rows"))
    assert [record.message for record in caplog.records] == [
        "no C++ compiler: operations are run one after another in PyTorch"
    ]


def test_a_compiler_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    monkeypatch.setattr(kernels, "_known", {})
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setenv("NEURAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEURAXIS_CXXFLAGS", "--no-such-flag")
    path = tmp_path / "failing.nax"
    path.write_text("model failing[d = 3](x[b, d]) -> [b, d]:\n    return tanh(7 * x) * x\n")
    model = neuraxis.load(str(path)).model("failing").double()
    x = torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
    assert_close(model(x).detach(), (torch.tanh(7 * x) * x).detach().numpy())
    (found,) = torch.autograd.grad(model(x).sum(), x)
    (wanted,) = torch.autograd.grad((torch.tanh(7 * x) * x).sum(), x)
    assert_close(found, wanted.numpy())
    assert "no-such-flag" in caplog.text


# ---- what is fused, and when


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many kernels each run of the compiler was for."""
    runs: list[int] = []
    compiled = cpp._compile

    def compile_(command: str, flags: Any, text: str, path: Path) -> None:
        runs.append(text.count('extern "C"'))
        compiled(command, flags, text, path)

    monkeypatch.setattr(cpp, "_compile", compile_)
    return runs


def test_equal_turns_share_a_kernel_and_a_warm_start_compiles_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, counted: list[int]
) -> None:
    monkeypatch.setenv("NEURAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernels, "_known", {})
    path = tmp_path / "deep.nax"
    path.write_text(
        textwrap.dedent("""
        model deep[d = 24](x[b, d]) -> [b, d]:
            repeat layer * 24:
                x = x + linear[d -> d](silu(x) * rmsnorm[d](x))
            return tanh(x) * x
        """).lstrip()
    )
    model = neuraxis.load(str(path)).model()
    assert len(called(model)) <= 3
    model(torch.rand(2, 24)).sum().backward()
    assert len(counted) == 2  # one library for the way there, one for the way back
    assert sum(counted) <= 6
    calls = model._artifact.kernels
    again = operators.Compiled(cpp.compiler() or "", [call.kernel for call in calls])
    assert again.function(calls[0].kernel.symbol, torch.float32) is not None
    assert len(counted) == 2


def test_what_is_read_is_there(tmp_path: Path) -> None:
    """A value inside of a region that somebody reads or writes is given, or is outside."""
    text = """
    model small[d = 8](x[b, d]) -> [b, d]:
        first = tanh(x) * x
        second = sigmoid(first) * first
        return second * second + 1
    """
    path = tmp_path / "small.nax"
    path.write_text(textwrap.dedent(text).lstrip())
    model = neuraxis.load(str(path)).model()
    x = torch.rand(2, 8)
    first = torch.tanh(x) * x
    seen = model.trace(x, sites=["first", "second"])
    assert_close(seen["first"].tensor.detach(), first.numpy(), tolerance=1e-6)
    assert_close(seen["second"].tensor.detach(), (first.sigmoid() * first).numpy(), tolerance=1e-6)


def test_softmax_attention_is_left_alone(tmp_path: Path) -> None:
    text = """
    model attends[d = 8, k = 4](x[b, t, d]) -> [b, t, k], [b, t, t2]:
        q = linear[d -> k](x)
        key = linear[d -> k](x)[t -> t2]
        v = linear[d -> k](x)[t -> t2]
        scores = tanh(dot[k](q, key)) * 3
        pattern = softmax[t2](scores)
        return dot[t2](pattern, v), pattern
    """
    path = tmp_path / "attends.nax"
    path.write_text(textwrap.dedent(text).lstrip())
    assert not called(neuraxis.load(str(path)).model())
