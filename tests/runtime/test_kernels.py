"""Kernels of recurrences against the oracle: values, last carries, gradients; and how they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import neuraxis
from neuraxis.compiler.emit.cpp import kernel
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.runtime import kernels, operators
from neuraxis.runtime.module import build
from neuraxis.testing import assert_close, check_lowering, recurrences

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cxx

CELLS = """
model elementwise[d = 3](x[b, t, d], a[b, t, d], s0[b, d]) -> [b, t, d], [b, d]:
    scan t:
        carry s[d] = s0
        s = a * s + x
    return s, s[t = -1]

model gated[k = 5, v = 19](q[b, t, k], key[b, t, k], val[b, t, v], a[b, t, k]) -> [b, t, v]:
    scan t:
        carry S[k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o

model delta[k = 4, v = 7](q[b, t, k], key[b, t, k], val[b, t, v], beta[b, t]) -> [t, b, v]:
    scan t reversed:
        carry S[k, v] = 0
        S = S + beta * key * (val - dot[k](key, S))
        o = dot[k](q, S)
    return o

model weighted[d = 5](x[b, t, d]) -> [b, t, n]:
    y = gru[n = 21](x)
    return y

model twins[d = 2](x[b, t, d]) -> [b, t, d], [b, t, d]:
    scan t:
        carry y[d] = 0
        carry z[d] = 1
        old = y
        y = 0.5 * z + x
        z = 0.5 * old
    return y, z

model sums[d = 6](x[b, t, d]) -> [b, t, d], [b, t]:
    scan t:
        carry y[d] = 0
        part = softmax[d](y + x)
        spread = var[d](y) + norm[d](y) + logsumexp[d](y)
        y = tanh(0.5 * y + part * x - mean[d](part) + 0.1 * spread) + max[d](0.1 * y)
        large = max[d](y) - min[d](y)
    return y, large

model moved[d = 4](x[b, t, d]) -> [b, t, d]:
    scan t:
        carry y[d] = 0
        early = y[d = 0..2]
        late = y[d = 2..4]
        y = 0.5 * concat[d](late, early) + x + cumsum[d](0.1 * y) + 0.1 * y[d = 3]
    return y

model counted[d = 3](x[b, t, d]) -> [b, t, d], [b, t]:
    scan t:
        carry n[] = 0
        carry y[d] = 0
        n = n + where(y[d = 0] > 0, 1, 0)
        y = where(n % 2 == 0, 0.5 * y, -0.5 * y) + x
    return y, n

model late[d = 3](x[b, t], y[b, d]) -> [b, t, d]:
    scan t:
        carry s[d] = y
        o = 2 * s
        s = x
    return o
"""

NAMES = ["elementwise", "gated", "delta", "weighted", "twins", "sums", "moved", "counted", "late"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> neuraxis.Program:
    path = tmp_path_factory.mktemp("specs") / "cells.nax"
    path.write_text(CELLS)
    return neuraxis.load(str(path))


def called(model: Any) -> list[str]:
    """The kernels that a model calls."""
    return [c.name for c in model._artifact.kernels if c.kernel is not None]


def alone(model: Any) -> Any:
    """The same as a loop in PyTorch, with the same parameters."""
    made = build(model._graph, model.checked, shared=model, kernels=False)
    assert not made._artifact.kernels
    return made


def inputs(model: Any, length: int, seed: int = 0, scale: float = 1.0) -> list[torch.Tensor]:
    sizes = {"b": 3, "t": length}
    stream = torch.Generator().manual_seed(seed)
    found = []
    for argument in model._artifact.arguments:
        shape = [sizes.get(a.name, a.size) for a in argument.axes]
        found.append(scale * torch.rand(shape, generator=stream, dtype=torch.float64))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_is_the_oracle(program: neuraxis.Program, name: str) -> None:
    assert called(program.model(name))
    check_lowering(program, name, dtype="float64")
    check_lowering(program, name, dtype="float32")


@pytest.mark.parametrize("length", [0, 1, 2, 31, 300])
@pytest.mark.parametrize("name", ["elementwise", "gated", "delta", "weighted"])
def test_any_number_of_steps(program: neuraxis.Program, name: str, length: int) -> None:
    if not length and name == "elementwise":
        pytest.skip("there is no last step")
    model = program.model(name)
    given_ = inputs(model, length)
    if name == "delta":
        given_[1] = given_[1] / 4
    params = {site: p.detach().double() for site, p in model.parameters_by_site()[0].items()}
    wanted = evaluate(
        model.checked.body,
        {
            a.decl.name: NamedArray(tuple(x.name for x in a.axes), np.asarray(value))
            for a, value in zip(model._artifact.arguments, given_, strict=True)
        },
        {site: value.numpy() for site, value in params.items()},
        sizes={"b": 3, "t": length},
    )
    for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-5)):
        kind = getattr(torch, dtype)
        found = model.to(kind)(*(value.to(kind) for value in given_))
        found = found if isinstance(found, tuple) else (found,)
        for one, other, decl in zip(found, wanted, model.checked.results, strict=True):
            assert_close(one, other.arranged(decl.order), dtype, tolerance=tolerance)


@settings(
    max_examples=8,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
@given(text=recurrences())
def test_drawn_recurrences(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Values and gradients; on the way back, two steps at a time are run again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel, "steps_between", lambda _: 2)
        _drawn(tmp_path_factory, text)


def _drawn(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("drawn") / "drawn.nax"
    path.write_text(text)
    drawn = neuraxis.load(str(path))
    check_lowering(drawn, "drawn")
    check_lowering(drawn, "drawn", dtype="float32")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_numbers_at_the_edges(program: neuraxis.Program, data: st.DataObject) -> None:
    """Decays of 0 and 1, numbers that vanish: what the loop gives, and nothing that is not finite."""
    model = program.model("gated")
    length = data.draw(st.integers(0, 40))
    edge = st.sampled_from([0.0, 1.0, 1e-38, 1e-20, 0.5, 0.999999])
    given_ = [x.float() for x in inputs(model, length, data.draw(st.integers(0, 99)))]
    shape = given_[3].shape
    listed = data.draw(st.lists(edge, min_size=given_[3].numel(), max_size=given_[3].numel()))
    given_[3] = torch.tensor(listed).reshape(shape)
    with torch.no_grad():
        found = model.float()(*given_)
    assert torch.isfinite(found).all()
    decay, out = torch.zeros(3, 5, 19), []
    for step in range(length):
        q, key, val, a = (x[:, step] for x in given_)
        decay = a[..., None] * decay + key[..., None] * val[:, None]
        out.append((q[..., None] * decay).sum(1))
    wanted = torch.stack(out, 1) if out else torch.zeros(3, 0, 19)
    assert_close(found, wanted.numpy().astype(np.float64), "float32", tolerance=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_many_steps(program: neuraxis.Program, name: str) -> None:
    """The way back, over several of the chunks that are run again, is that of the loop."""
    model = program.model(name).double()
    plain = alone(model)
    for length, tolerance in ((5, 1e-12), (150, 1e-9)):
        found = []
        for one in (model, plain):
            given_ = [x.requires_grad_() for x in inputs(one, length, scale=0.6)]
            results = one(*given_)
            results = results if isinstance(results, tuple) else (results,)
            loss = sum((x * x.detach().cos()).sum() for x in results if x.is_floating_point())
            leaves = [*given_, *one.parameters()]
            found.append(torch.autograd.grad(loss, leaves))
        assert_close(found[0], [x.numpy() for x in found[1]], tolerance=tolerance)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "softplus", "log1p", "expm1"])
def test_functions_of_vectors(tmp_path: Path, name: str) -> None:
    """Our own exponentials and logarithms are as exact as those of the C library, also far out."""
    text = f"""
model far[d = 40](x[b, t, d]) -> [b, t, d]:
    scan t:
        carry y[d] = 0
        y = where(y == 12345, 0, {name}(x))
    return y
"""
    path = tmp_path / "far.nax"
    path.write_text(text)
    model = neuraxis.load(str(path)).model("far")
    ends = torch.tensor(
        [0.0, -0.0, 1e-30, -1e-30, 1e-6, -1e-6, 0.5, -0.5, 88.0, -87.0, 700.0, -700.0]
    )
    far = torch.cat([ends.double(), torch.linspace(-30, 30, 228, dtype=torch.float64)])
    function = torch.nn.functional.softplus if name == "softplus" else getattr(torch, name)
    for dtype, ulps in ((torch.float32, 4e-7), (torch.float64, 2e-15)):
        x = far.to(dtype).reshape(2, 3, 40)
        found, wanted = model(x), function(x.double())
        held = torch.where(wanted.abs() < torch.finfo(dtype).tiny, torch.zeros_like(wanted), wanted)
        same = (found.double() - held).abs() <= ulps * held.abs() + 2 * torch.finfo(dtype).tiny
        overflow = held.abs() > torch.finfo(dtype).max
        assert (same | (overflow & found.isinf()) | (wanted.isnan() & found.isnan())).all()


def test_pytorch_takes_it_as_its_own(program: neuraxis.Program) -> None:
    (call,) = program.model("gated")._artifact.kernels
    sizes = {"b": 3, "t": 6, "k": 5, "v": 19}
    operands = tuple(
        torch.rand([sizes[axis] for axis in order], dtype=torch.float64, requires_grad=True)
        for order in call.orders
    )
    torch.library.opcheck(getattr(torch.ops.neuraxis, call.name).default, (*operands, 4))


def test_it_compiles_whole(program: neuraxis.Program) -> None:
    model = program.model("gated").double()
    given_ = [x.requires_grad_() for x in inputs(model, 6)]
    whole = torch.compile(model, fullgraph=True, backend="aot_eager")
    found, wanted = whole(*given_), model(*given_)
    assert_close(found, wanted.detach().numpy())
    ours = torch.autograd.grad(found.square().sum(), given_)
    theirs = torch.autograd.grad(wanted.square().sum(), given_)
    assert_close(ours, [x.numpy() for x in theirs])


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("name", ["elementwise", "gated"])
def test_transforms(program: neuraxis.Program, name: str) -> None:
    """Second derivatives, tangents and `vmap` are right."""
    model = program.model(name).double()
    given_ = inputs(model, 3)

    def first(x: torch.Tensor) -> torch.Tensor:
        found = model(x, *given_[1:])
        return (found[0] if isinstance(found, tuple) else found).sin()

    x = given_[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(first, (x,))
    assert torch.autograd.gradgradcheck(first, (x,))
    direction = torch.rand_like(given_[0])
    _, forward = torch.func.jvp(first, (given_[0],), (direction,))
    _, pull = torch.func.vjp(first, given_[0])
    weight = torch.rand_like(forward)
    wanted = (pull(weight)[0] * direction).sum()
    assert_close((forward * weight).sum().detach(), wanted.detach().numpy())
    several = torch.stack([given_[0], 2 * given_[0]])
    batched = torch.func.vmap(first)(several)
    assert_close(batched[1], first(several[1]).detach().numpy())
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(given_[0], direction)
        tangent = torch.autograd.forward_ad.unpack_dual(first(dual)).tangent
    assert_close(tangent, forward.detach().numpy())


def test_what_has_no_kernel_is_run_by_pytorch(
    program: neuraxis.Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = program.model("elementwise")
    given_ = inputs(model, 4)
    wanted = model.double()(*given_)
    half = model.bfloat16()(*(x.bfloat16() for x in given_))
    assert half[0].dtype is torch.bfloat16
    assert_close(half, [x.detach().numpy() for x in wanted], tolerance=0.05)
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setenv("NEURAXIS_CXX", "no-such-compiler")
    assert not called(program.model("elementwise"))
    assert not called(program.model("delta"))
    assert [record.message for record in caplog.records] == [
        "no C++ compiler: recurrences are run by PyTorch"
    ]
    monkeypatch.setenv("NEURAXIS_CXX", "none")
    plain = program.model("elementwise").double()
    assert not called(plain)
    assert_close(plain(*given_), [x.detach().numpy() for x in wanted])


def test_a_compiler_that_fails(
    program: neuraxis.Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    monkeypatch.setattr(kernels, "_known", {})
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setenv("NEURAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEURAXIS_CXXFLAGS", "--no-such-flag")
    text = CELLS.replace("elementwise", "failing").replace("a * s + x", "a * s - x")
    path = tmp_path / "failing.nax"
    path.write_text(text)
    model = neuraxis.load(str(path)).model("failing").double()
    found = model(*inputs(model, 4))
    assert torch.isfinite(found[0]).all()
    assert "no-such-flag" in caplog.text
