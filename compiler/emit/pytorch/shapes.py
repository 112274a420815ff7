"""Writes the lines that read run-time sizes off arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....dsl import sizes as size_rules
from .writer import Line

if TYPE_CHECKING:
    from ....dsl.sizes import Size
    from .writer import Writer


def read_sizes(w: Writer) -> list[str]:
    """Put lines in front that read run-time sizes off arguments; what cannot be read."""
    wanted = dict.fromkeys(w.symbols)
    lines = []
    for name, node in w.arguments.items():
        if name not in {v.text for v in w.values.values() if v.layout and not v.plain}:
            continue
        layout = next(
            v.axes for v in w.values.values() if v.text == name and len(v.axes) == len(node.axes)
        )
        found: dict[int, str] = {}
        for at, axis in enumerate(layout):
            for symbol in list(wanted):
                if node.size(axis) == size_rules.symbol(symbol) and at not in found:
                    found[at] = symbol
                    del wanted[symbol]
            lines += _solved(w, name, at, node.size(axis), wanted)
        if len(found) == 1 and len(layout) > 1:
            ((at, symbol),) = found.items()
            lines.append(f"{w.symbols[symbol]} = {name}.shape[{at}]")
        elif found:
            names_ = [w.symbols[found[at]] if at in found else "_" for at in range(len(layout))]
            lines.append(f"{', '.join(names_)}{',' if len(names_) == 1 else ''} = {name}.shape")
    w.lines.lines[:0] = [Line(text) for text in lines]
    return list(wanted)


def _solved(w: Writer, name: str, at: int, size: Size, wanted: dict[str, None]) -> list[str]:
    """A symbol from a size such as `2 * t + 1`."""
    if isinstance(size, int):
        return []
    terms = dict(size.terms)
    rest = terms.pop((), 0)
    if len(terms) != 1:
        return []
    ((monomial, count),) = terms.items()
    if len(monomial) != 1 or monomial[0] not in wanted or (count == 1 and not rest):
        return []
    symbol = str(monomial[0])
    del wanted[symbol]
    top = f"{name}.shape[{at}]" + (f" - {rest}" if rest > 0 else f" + {-rest}" if rest else "")
    text = (
        f"({top}) // {count}" if rest and count != 1 else f"{top} // {count}" if count != 1 else top
    )
    return [f"{w.symbols[symbol]} = {text}"]
