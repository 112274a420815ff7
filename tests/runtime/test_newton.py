"""Newton's method over all steps as PyTorch runs it, and what happens where it does not end."""

from __future__ import annotations

import pytest
import torch

from neuraxis.compiler.artifact import KernelCall
from neuraxis.compiler.costs import plain_form
from neuraxis.runtime import gpu, loops, on_gpu
from neuraxis.runtime.newton import Newton
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close

CELL = """
model m[d = 8](x[b, t, d], z[b, t, d]) -> [b, t, d], [b, d]:
    param u[d] ~ normal(0, 0.3)
    scan t:
        carry h[d] = 0
        g = sigmoid(z + u * h)
        h = (1 - g) * h + g * tanh(x + u * h)
    return h, h[t = -1]
"""

CHAOS = """
model m[d = 8](x[b, t, d]) -> [b, t, d], [b, d]:
    scan t:
        carry h[d] = 0.3
        h = 3.9 * h * (1 - h) + 0 * x
    return h, h[t = -1]
"""

pytestmark = pytest.mark.cxx


def stepwise(text: str = CELL) -> tuple[KernelCall, loops.Function, list[torch.Tensor]]:
    """A cell as it is called, step by step, and operands."""
    call = Program.from_text(text).model("m")._artifact.kernels[0]
    assert isinstance(call, KernelCall)
    numbers = torch.Generator().manual_seed(0)
    sizes = {"b": 3, "t": 150, "d": 8, "r": 2}
    given = []
    for order in call.orders:
        shape = [sizes[axis] for axis in order]
        drawn = torch.randn(shape, generator=numbers, dtype=torch.float64)
        given.append((drawn if "t" in order else 0.3 * drawn).requires_grad_())
    return call, loops.loop(call), given


def forms(text: str = CELL) -> tuple[Newton, loops.Function, list[torch.Tensor]]:
    """The two forms of a cell, and operands."""
    call, loop, given = stepwise(text)
    return Newton(loops.alone(call), loop), loop, given


def test_it_gives_results_and_gradients_of_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    newton, loop, given = forms()
    found, wanted = newton(*given), loop(*given)
    assert_close(found, wanted, tolerance=1e-8)
    pulls = [torch.ones_like(value) for value in wanted]
    slopes = [torch.autograd.grad(values, given, pulls) for values in (found, wanted)]
    assert_close(slopes[0], slopes[1], tolerance=1e-8)
    assert not capsys.readouterr().err


def test_where_it_does_not_end_the_steps_are_run() -> None:
    newton, loop, given = forms(CHAOS)
    with torch.no_grad():
        given[0].fill_(0.3)
    assert newton.solution([x.detach() for x in given]) is None
    assert_close(newton(*given), loop(*given), tolerance=0.0)


def test_what_is_no_number_is_no_solution() -> None:
    newton, _, given = forms()
    assert newton.solution([torch.full_like(x, torch.nan) for x in given]) is None


def test_other_numbers_go_step_by_step() -> None:
    newton, loop, given = forms()
    halves = [x.detach().bfloat16() for x in given]
    assert newton.solution(halves) is None
    assert_close(newton(*halves)[0].float(), loop(*halves)[0].float(), tolerance=0.0)


def test_it_is_tried_on_any_device_and_not_under_transforms() -> None:
    newton, _, given = forms()
    assert newton.applies([x.detach().to("meta") for x in given])
    assert not newton.applies([x[:, :5] if x.dim() == 3 else x for x in given])
    seen = []
    torch.func.vmap(lambda x: seen.append(newton.applies([x, *given[1:]])) or x)(given[0][None])  # type: ignore[func-returns-value]
    assert seen == [False]


TURNING = """
model m[d = 3, r = 2](x[b, t, d], u[d]) -> [b, t, d], [b, d, r]:
    scan t:
        carry S[d, r] = 0
        S = {step}
    return sum[r](S), S[t = -1]
"""


@pytest.mark.parametrize(
    "step",
    [
        "tanh(0.95 * (S * cos(u) + where(r == 0, -1, 1) * flip[r](S) * sin(u)) + x)",
        "tanh(0.4 * flip[r](S) * u + x) / (1 + norm[r](S))",
        "0.5 * S * tanh(flip[r](S)) + x",
    ],
)
def test_elements_that_are_mixed_along_a_short_axis(step: str) -> None:
    call, loop, given = stepwise(TURNING.format(step=step))
    newton = Newton(loops.alone(call), loop)
    assert newton.solution([x.detach() for x in given]) is not None
    found, wanted = newton(*given), loop(*given)
    assert_close(found, wanted, tolerance=1e-8)
    pulls = [torch.ones_like(value) for value in wanted]
    slopes = [torch.autograd.grad(values, given, pulls) for values in (found, wanted)]
    assert_close(slopes[0], slopes[1], tolerance=1e-8)


LINEAR = CELL.replace(
    "h = (1 - g) * h + g * tanh(x + u * h)", "h = sigmoid(z) * h + u * x"
).replace("        g = sigmoid(z + u * h)\n", "")
MIXED = CELL.replace("tanh(x + u * h)", "tanh(x + u * h) * tanh(sum[d](h))")


@pytest.mark.parametrize(
    ("text", "form"), [(CELL, "newton"), (LINEAR, "parallel"), (MIXED, "steps")]
)
def test_a_gpu_without_a_kernel_runs_what_takes_few_calls(
    text: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "DEVICES", frozenset(["cpu"]))
    monkeypatch.setattr(gpu, "runs_here", lambda: True)
    monkeypatch.setattr(on_gpu, "_kernel_for", lambda _: "no kernel")
    call, loop, given = stepwise(text)
    devices = on_gpu.Devices(call, loop)
    assert plain_form(call.scan) == form
    assert isinstance(devices.on_gpu, Newton) == (form == "newton")
    assert_close(devices.run(*given), loop(*given), tolerance=1e-8)
