"""The inverse of a triangular matrix with ones on its diagonal, by blocks.

The inverse of [[A, 0], [-M, D]] is [[A', 0], [D' M A', D']] with the inverses A' and D' of the
blocks: from blocks of one row to the whole in log-many rounds of two products. This is forward
substitution in another order, and as accurate. The sum of the powers of M would be fewer
operations to say, but its terms cancel: of equal keys they are binomial coefficients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...dsl.core import Axis
    from .algebra import Maker


def inverse(make: Maker, below: str, row: Axis, column: Axis, between: tuple[str, str]) -> str:
    """The inverse of 1 - M; M has `row` and `column`, of one size, and is 0 where row <= column.

    `between` are two names that no axis has.
    """
    size = row.size
    assert isinstance(size, int)
    at, other = make.index(row), make.index(column)
    done = make.floats(make.map("eq", at, other))
    block = 1
    while block < size:
        same = make.map("eq", *_blocks(make, 2 * block, at, other))
        apart = make.map("ne", *_blocks(make, block, at, other))
        corner = make.map("where", make.map("and", same, apart), below, make.const(0.0))
        if block > 1:  # the blocks of one row are their own inverses
            first, second = between
            corner = make.renamed(corner, {row.name: first, column.name: second})
            left = make.renamed(done, {column.name: first})
            right = make.renamed(done, {row.name: second})
            corner = make.contract([first], left, corner)
            corner = make.contract([second], corner, right)
        done = make.map("add", done, corner)
        block *= 2
    return done


def _blocks(make: Maker, size: int, *indices: str) -> list[str]:
    """In which block of this size each index is."""
    if size == 1:
        return list(indices)
    return [make.map("floordiv", index, make.const(size)) for index in indices]
