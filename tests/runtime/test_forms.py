"""Every form of a recurrence is the oracle: outputs, last carries and all gradients, in float32, for
drawn recurrences of each kind, any number of steps and decays of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.runtime.forms import Drawn

from neuraxis.compiler.recurrences import Kind, classify, solvable
from neuraxis.dsl.ops import ScanAttrs
from neuraxis.runtime import gpu, loops, newton, operators
from neuraxis.runtime.newton import Newton
from neuraxis.testing.cells import cells

if TYPE_CHECKING:
    from neuraxis.compiler.artifact import KernelCall

NIGHTLY = settings().max_examples > 60
LINEAR = (Kind.ELEMENTWISE, Kind.LOW_RANK)


def some(count: int) -> settings:
    """So many examples of each kind, and with the profile `nightly` many times as many."""
    return settings(
        max_examples=25 * count if NIGHTLY else count,
        suppress_health_check=list(HealthCheck),
        phases=list(Phase) if NIGHTLY else [Phase.explicit, Phase.generate],
    )


def drawn(kind: Kind, longest: int = 300) -> st.SearchStrategy[Drawn]:
    return st.builds(Drawn, cells(kind), st.integers(0, longest), st.integers(0, 2**16))


@pytest.mark.parametrize("kind", Kind)
@given(data=st.data())
def test_what_is_drawn_is_of_its_kind(kind: Kind, data: st.DataObject) -> None:
    own = data.draw(drawn(kind))
    (scan,) = (
        attrs
        for name in own.graph.in_order()
        if isinstance(attrs := own.graph.node(name).attrs, ScanAttrs)
    )
    groups = classify(scan).groups
    assert kind in [group.kind for group in groups if 0 in group.carries], groups


@pytest.mark.parametrize("kind", Kind)
@some(16)
@given(data=st.data(), chunk=st.sampled_from([1, 2, 16, 64]))
def test_the_loop_and_the_parallel_forms(kind: Kind, data: st.DataObject, chunk: int) -> None:
    own = data.draw(drawn(kind))
    own.check(own.through(loops.loop), "the loop")
    if kind in LINEAR:
        own.check(own.through(lambda call: loops.parallel(call, chunk)), f"in chunks of {chunk}")


@some(12)
@given(own=drawn(Kind.SEPARATE))
def test_newton(own: Drawn) -> None:
    def form(call: KernelCall) -> loops.Function:
        assert solvable(call.scan)
        return Newton(loops.alone(call), loops.loop(call))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newton, "FEWEST_STEPS", 1)
        own.check(own.through(form), "Newton's method")


@pytest.mark.cxx
@pytest.mark.parametrize("kind", Kind)
@some(4)
@given(data=st.data())
def test_the_compiled_step(kind: Kind, data: st.DataObject) -> None:
    own = data.draw(drawn(kind))
    own.check(own.chosen(), "the kernel")


@pytest.mark.parametrize("kind", Kind)
@some(3)
@given(data=st.data())
def test_triton_interpreted(kind: Kind, data: st.DataObject) -> None:
    pytest.importorskip("triton")
    own = data.draw(drawn(kind, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "DEVICES", frozenset(["cpu"]))
        patch.setattr(operators, "_said", set())
        own.check(own.chosen(), "Triton")
        assert not operators._said, operators._said
