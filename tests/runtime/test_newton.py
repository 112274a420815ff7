"""Newton's method over all steps as PyTorch runs it, and what happens where it does not end."""

from __future__ import annotations

import pytest
import torch

from neuraxis.runtime import loops
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


def forms(text: str = CELL) -> tuple[Newton, loops.Function, list[torch.Tensor]]:
    """The two forms of the cell, and operands."""
    call = Program.from_text(text).model("m")._artifact.kernels[0]
    numbers = torch.Generator().manual_seed(0)
    sizes = {"b": 3, "t": 90, "d": 8}
    given = []
    for order in call.orders:
        shape = [sizes[axis] for axis in order]
        drawn = torch.randn(shape, generator=numbers, dtype=torch.float64)
        given.append((drawn if "t" in order else 0.3 * drawn).requires_grad_())
    loop = loops.loop(call)
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
