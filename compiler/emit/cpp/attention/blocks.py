"""What masks say of blocks of queries, as C++: which keys they see, and whether all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ....attention.affine import Affine
    from ....attention.masks import Condition
    from ....attention.tile import Tile


def constants(tile: Tile, conditions: Sequence[Condition]) -> list[str]:
    """The whole numbers that bounds are made of."""
    found = dict.fromkeys(name for own in _bounds(conditions) for name, _ in own.terms)
    return [
        f"const long n_{name} = narrowed(*p_{name}, bad);" for name in found if name in tile.steps
    ]


def seen(conditions: Sequence[Condition]) -> list[str]:
    """Narrows the keys from `lo` up to `hi` to those that queries from `t0` up to `t1` may see."""
    lines = []
    for own in dict.fromkeys(_bounds(conditions)):
        query, key, low, _, terms = own.whole()
        least = f"{low}{_terms(terms)} + {_end('min', query, 't0', 't1')}"
        if key > 0:
            lines.append(f"hi = std::min<long>(hi, floored(-({least}), {key}L) + 1);")
        elif key < 0:
            lines.append(f"lo = std::max<long>(lo, -floored(-({least}), {-key}L));")
        else:
            lines.append(f"if ({least} > 0) hi = 0;")
    return lines


def certain(conditions: Sequence[Condition]) -> list[str]:
    """Whether all that is bounded holds everywhere in a block."""
    lines = []
    for own in dict.fromkeys(_bounds(conditions)):
        query, key, _, high, terms = own.whole()
        most = f"{high}{_terms(terms)} + {_end('max', query, 't0', 't1')}"
        lines.append(f"all = all && {most} + {_end('max', key, 'sa', 'sb')} <= 0;")
    return lines


def _bounds(conditions: Sequence[Condition]) -> list[Affine]:
    return [bound for own in conditions for bound in own.bounds]


def _terms(terms: dict[str, int]) -> str:
    return "".join(f" + {factor} * n_{name}" for name, factor in terms.items())


def _end(fn: str, factor: int, first: str, last: str) -> str:
    """The least or the largest of a multiple, between two ends."""
    ends = (first, last) if (factor > 0) == (fn == "min") else (last, first)
    return f"{factor}L * {ends[0]}"
