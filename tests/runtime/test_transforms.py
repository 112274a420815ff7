"""Second derivatives and transforms of models with kernels: those of the same model in PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import func
from torch.nn.attention import SDPBackend, sdpa_kernel

from neuraxis.compiler import costs
from neuraxis.runtime import attention
from neuraxis.runtime.module import build
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[torch.Tensor], torch.Tensor]

pytestmark = [
    pytest.mark.cxx,
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning"),
]

MODELS = """
model memory[k = 2, v = 3](x[b, t, k], y[b, t, v], a[b, t]) -> [b, t, v]:
    scan t:
        carry S[k, v] = 0.1
        kept = sigmoid(a) * S
        S = kept + 0.5 * x * (y - dot[k](x, kept))
        seen = dot[k](x, S)
    return seen

model cell[d = 3](x[b, t, d], y[b, t, d]) -> [b, t, d]:
    scan t:
        carry h[d] = 0
        h = tanh(x + 0.5 * h * y + 0.1 * sum[d](h))
    return h

model chain[d = 5](x[b, t, d], y[b, t, d]) -> [b, t, d]:
    gated = tanh(1.3 * x) * sigmoid(y) + 0.2 * softplus(x)
    return gated - x * exp(-y * y) + x / (1 + norm[d](x))

model attended[k = 2](x[b, t, k], y[b, t, k]) -> [b, t, k]:
    scores = dot[k](x, y[t -> s]) + 0.1 * (s - t)
    return dot[s](softmax[s](where(s <= t, 3 * tanh(scores), -inf)), y[t -> s])

model causal[k = 2](x[b, t, k], y[b, t, k]) -> [b, t, k]:
    scores = dot[k](x, y[t -> s])
    return dot[s](softmax[s](where(s <= t, scores, -inf)), y[t -> s])

model gated[k = 2](x[b, t, k], y[b, t, k]) -> [b, t, k]:
    scores = dot[k](x, y[t -> s])
    return dot[s](where(t - s < 3 and s <= t, sigmoid(scores), 0), y[t -> s])
"""
NAMES = ["memory", "cell", "chain", "attended", "causal", "gated"]
HALF = 0.5


def loss(values: torch.Tensor) -> torch.Tensor:
    """A number of which no derivative is 0."""
    weight = torch.arange(values.numel(), dtype=values.dtype).cos().reshape(values.shape)
    return (values.sin() * weight).sum() + (values**3).mean()


def _tangent(f: Function, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = func.jvp(f, (x,), (v,))[1]
    return found


def _reverse_over_reverse(f: Function, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    own = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(own), own, create_graph=True)
    return torch.autograd.grad((slope * v).sum(), own)[0]


def _dual(f: Function, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    with torch.autograd.forward_ad.dual_level():
        made = torch.autograd.forward_ad.make_dual(x, v)
        found: torch.Tensor = torch.autograd.forward_ad.unpack_dual(f(made)).tangent
    return found


def _dual_of_slope(f: Function, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    own = x.clone().requires_grad_()
    with torch.autograd.forward_ad.dual_level():
        made = torch.autograd.forward_ad.make_dual(own, v)
        (slope,) = torch.autograd.grad(f(made), made, create_graph=True)
        found: torch.Tensor = torch.autograd.forward_ad.unpack_dual(slope).tangent
    return found


def _third(f: Function, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    own = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(f(own), own, create_graph=True)
    (bend,) = torch.autograd.grad((slope * v).sum(), own, create_graph=True)
    return torch.autograd.grad((bend * v).sum(), own)[0]


def _several(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x, HALF * x, -x])


TRANSFORMS: dict[str, Callable[[Function, torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "grad": lambda f, x, v: func.grad(f)(x),
    "jvp": _tangent,
    "forward mode": _dual,
    "reverse over reverse": _reverse_over_reverse,
    "grad of grad": lambda f, x, v: func.grad(lambda z: (func.grad(f)(z) * v).sum())(x),
    "forward over reverse": lambda f, x, v: _tangent(func.grad(f), x, v),
    "forward mode over reverse": _dual_of_slope,
    "reverse over forward": lambda f, x, v: func.grad(lambda z: _tangent(f, z, v))(x),
    "forward over forward": lambda f, x, v: _tangent(lambda z: _tangent(f, z, v), x, v),
    "three times": _third,
    "hessian": lambda f, x, v: func.hessian(f)(x),
    "jacrev of jacrev": lambda f, x, v: func.jacrev(func.jacrev(f))(x),
    "jacfwd of jacfwd": lambda f, x, v: func.jacfwd(func.jacfwd(f))(x),
    "vmap": lambda f, x, v: func.vmap(f)(_several(x)),
    "vmap of grad": lambda f, x, v: func.vmap(func.grad(f))(_several(x)),
    "grad of vmap": lambda f, x, v: func.grad(lambda z: func.vmap(f)(_several(z)).sum())(x),
    "vmap of vmap": lambda f, x, v: func.vmap(func.vmap(f))(_several(_several(x))),
    "vmap of jvp": lambda f, x, v: func.vmap(lambda z: _tangent(f, z, v))(_several(x)),
}


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.from_text(MODELS)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be a kernel is one."""
    for name in ("SPARED", "LONG", "CALL"):
        monkeypatch.setattr(costs, name, 0)
    monkeypatch.setattr(attention, "is_worth", lambda *_: True)


def both(program: Program, name: str, place: int) -> tuple[Function, Function, torch.Tensor]:
    """A model with its kernels and without them, of one of its operands; and that operand."""
    model = program.model(name).double()
    assert model._artifact.kernels
    plain = build(model._graph, model.checked, shared=model, kernels=False)
    stream = torch.Generator().manual_seed(place)
    given = [
        torch.rand(
            [{"b": 1, "t": 4}.get(a.name, a.size) for a in x.axes], generator=stream
        ).double()  # type: ignore[arg-type]
        for x in model._artifact.arguments
    ]

    def of(own: Any) -> Function:
        return lambda x: loss(own(*given[:place], x, *given[place + 1 :]))

    return of(model), of(plain), given[place] - 0.3


@pytest.mark.parametrize("way", TRANSFORMS)
@pytest.mark.parametrize("name", NAMES)
def test_transforms(program: Program, always: None, name: str, way: str) -> None:
    for place in (0, 1):
        ours, theirs, x = both(program, name, place)
        direction = torch.linspace(-1, 1, x.numel(), dtype=x.dtype).reshape(x.shape)
        found = TRANSFORMS[way](ours, x, direction)
        with sdpa_kernel(SDPBackend.MATH):  # PyTorch's way on the CPU has first derivatives alone
            wanted = TRANSFORMS[way](theirs, x, direction)
        assert float(wanted.detach().abs().max()) > 1e-6
        assert_close(found, wanted.detach().numpy(), tolerance=1e-10, what=f"operand {place}")
