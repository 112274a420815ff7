"""What is to be said of a contraction: of which class it is, what its mask saves, what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...dsl import sizes
from .contraction import DOT, KEY, QUERY, VALUE
from .masks import conditions
from .tile import tile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...dsl.core import Axes
    from .contraction import Contraction
    from .tile import Tile

BYTES = 4  # of a float


def describe(made: Contraction) -> Iterator[tuple[str, str]]:
    """What is said, by its kind: the class, the mask if there is one, the cost."""
    own = tile(made)
    kind = "softmax over the keys" if made.softmax else "weights that nothing normalises"
    through = ", ".join(_through(own)) or "nothing"
    yield "class", f"{kind}; scores go through {through}"
    asked = conditions(own, softmax=made.softmax)
    known = sum(bool(condition.bounds) for condition in asked)
    looked = sum(not condition.exact for condition in asked)
    parts = [f"{known} of them say so by arithmetic on positions"] if known else []
    parts += [f"for {looked} each block is looked at"] if looked else []
    if asked:
        count = f"{len(asked)} condition{'s' * (len(asked) > 1)}"
        yield "mask", f"{count}; blocks that no query sees are skipped: {', '.join(parts)}"
    yield "cost", priced(made)


def _through(own: Tile) -> list[str]:
    """The functions between the product and the weight."""
    found: dict[str, None] = {}
    reached = {own.score}
    for name, step in own.steps.items():
        if not reached.isdisjoint(step.operands):
            reached.add(name)
            found[getattr(step.node.attrs, "fn", "stop")] = None
    return list(found)


def priced(made: Contraction) -> str:
    """What it costs if every query sees every key."""
    axes = made.axes
    pairs = _size((*made.lanes, axes[QUERY], axes[KEY]))
    width = sizes.add(axes[DOT].size, axes[VALUE].size)
    flops = sizes.multiply(2, sizes.multiply(pairs, width))
    moved: sizes.Size = 0
    for node in made.inputs:
        moved = sizes.add(moved, _size(node.axes))
    result = {axis.name: axis for axis in (*axes.values(), *made.lanes)}
    moved = sizes.add(moved, _size(tuple(result[name] for name in made.results[0])))
    whole = f"{sizes.show(flops)} flops and {sizes.show(sizes.multiply(BYTES, moved))} bytes"
    stored = sizes.show(sizes.multiply(BYTES, pairs))
    return f"{whole}; the pattern would have {stored} bytes"


def _size(axes: Axes) -> sizes.Size:
    return sizes.product(axis.size for axis in axes)
