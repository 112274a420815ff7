"""Which operations are one region, and which regions pay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.compiler.emitted import compiled, model_of

from neuraxis.compiler.costs import region_for
from neuraxis.compiler.emit.cpp.kernel import Kernel
from neuraxis.compiler.emit.cpp.regions.backward import backward
from neuraxis.compiler.emit.cpp.regions.forward import forward
from neuraxis.compiler.emit.pytorch.program import Program
from neuraxis.compiler.fusion.describe import described, priced_region

if TYPE_CHECKING:
    from neuraxis.compiler.fusion.region import Region


def regions(text: str) -> list[Region]:
    """All regions of a model, whether they pay or not."""
    found: list[Region] = []

    def look(region: Region) -> bool:
        found.append(region)
        return False

    model = model_of(text)
    Program.of(compiled(model), model, fusing=look)
    return found


def kinds(region: Region) -> list[str]:
    """What a region computes."""
    nodes = [step.node for step in region.body.steps]
    return [getattr(node.attrs, "fn", "") for node in nodes if hasattr(node.attrs, "fn")]


def test_a_chain_with_a_reduction_is_one_region() -> None:
    (found,) = regions("""
        model m[d = 64](x[b, d], g[d]) -> [b, d]:
            y = tanh(x) * g
            return y - mean[d](y)
    """)
    assert kinds(found) == ["tanh", "mul", "mean", "sub"]
    assert len(found.gives) == 1
    assert found.moved == (0, 1)


def test_a_region_is_convex() -> None:
    """What reads a value and what a product made of it is no part of what made the value."""
    found = regions("""
        model m[d = 64](x[b, d]) -> [b, d]:
            y = tanh(x) * x
            z = linear[d -> d](y)
            return y * z + exp(y)
    """)
    assert [kinds(region) for region in found] == [["tanh", "mul", "exp"], ["mul", "add"]]


def test_what_lacks_the_rows_stays_outside() -> None:
    """A gain is computed once, not for each row."""
    found = regions("""
        model m[d = 64](x[b, t, d], g[d]) -> [b, t, d]:
            gain = exp(g) + 1
            return tanh(x) * gain
    """)
    assert ["tanh", "mul"] in [kinds(region) for region in found]
    assert ["exp", "add"] in [kinds(region) for region in found]


def test_what_is_equal_is_one_kernel() -> None:
    first, second = regions("""
        model m[d = 64](x[b, d]) -> [b, d]:
            y = linear[d -> d](polynorm[d](x))
            return polynorm[d](y)
    """)
    assert first.body == second.body
    made = region_for(first)
    assert isinstance(made, Kernel)
    assert made == region_for(second)


def test_what_pays() -> None:
    (norm,) = regions("""
        model m[d = 64](x[b, d], y[b, d]) -> [b, d], [b, d]:
            sum = x + y
            return sum, layernorm[d](sum)
    """)
    assert region_for(norm) == "it spares 1.0 passes over memory of the 4 that pay"
    (short,) = regions("""
        model m[d = 8](x[b, d]) -> [b, d]:
            return polynorm[d](x)
    """)
    assert region_for(short) == "no axis is known to be of 32 or more"


def test_a_row_is_gone_through_twice() -> None:
    """Both ways: once for all sums, and once for what they are read by."""
    (found,) = regions("""
        model m[d = 64](x[b, d]) -> [b, d]:
            return polynorm[d](x)
    """)
    ahead = forward(found.body)
    back = backward(found.body, ahead.lanes, found.moved).kernel
    assert [made.source.count(" over<side_by_side") for made in (ahead, back)] == [2, 2]


def test_what_is_said() -> None:
    (found,) = regions("""
        model m[d = 64](x[b, d]) -> [b, d]:
            return tanh(x) * sigmoid(x) + x
    """)
    said = "4 operations (tanh, sigmoid, mul, add), 8 passes over memory spared"
    assert described(found) == said
    assert priced_region(found) == "256 * b flops and 512 * b bytes"
