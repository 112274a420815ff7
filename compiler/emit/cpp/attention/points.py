"""A tile as C++: each of its values is a vector along keys, made once.

What differs along neither axis is made for the lane, what differs from query to query alone for the
row, the rest at each vector of keys. Whole numbers have as many bits as a float has; that they fit
is seen here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .....dsl.core import DType
from .....dsl.ops import INPUT, ConstAttrs, IotaAttrs, MapAttrs, StopAttrs
from ....attention.contraction import KEY, QUERY
from ...unsupported import UnsupportedError
from ..expressions import OPERATORS, computed_in
from ..expressions import literal as number
from .whole import Range, ranged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .....dsl.core import Node
    from ....attention.contraction import Contraction
    from ....attention.tile import Tile

VECTORS = {DType.FLOAT: "vec", DType.INT: "mask", DType.BOOL: "mask"}
SPREAD = {DType.FLOAT: "spread", DType.INT: "spread_word", DType.BOOL: "spread_mask"}
WHOLE = {
    "abs": "largest_word({0}, -{0})",
    "max": "largest_word({}, {})",
    "min": "smallest_word({}, {})",
    "sign": "({0} < 0) - ({0} > 0)",
}
"""Functions that are written otherwise for whole numbers; true is -1 in a vector."""
ROUNDED = {"floor": "lowered", "ceil": "raised", "round": "rounded", "int": ""}
LEVELS = ("lane", "row", "point")


class Points:
    """The lines that make values of a tile, at each level, and what must be held for them."""

    def __init__(self, made: Contraction, tile: Tile, known: Mapping[str, bool]) -> None:
        self.made, self.tile, self.known = made, tile, known
        self.inputs = {node.name: node for node in made.inputs}
        self.lines: dict[str, list[str]] = {level: [] for level in LEVELS}
        self.values: dict[str, str] = {}
        self.ranges: dict[str, Range] = {}

    def level(self, name: str) -> str:
        """At which level a value is made."""
        varies = self.tile.varies[name]
        return "point" if KEY in varies else "row" if QUERY in varies else "lane"

    def value(self, name: str, dtype: DType | None = None) -> str:
        """The variable of a value, or what brings it to a dtype."""
        if name not in self.values:
            self.values[name] = self._made(self.tile.node(name))
        text, own = self.values[name], self.tile.node(name).dtype
        if dtype is None or own is dtype:
            return text
        match own, dtype:
            case DType.BOOL, DType.FLOAT:
                return f"numbers({text})"
            case DType.INT, DType.FLOAT:
                return f"as_reals({text})"
            case DType.BOOL, DType.INT:
                return f"(-{text})"
            case DType.INT, DType.BOOL:
                return f"({text} != 0)"
            case DType.FLOAT, DType.BOOL:
                return f"({text} != spread(0))"
        return f"as_words({text})"

    def _made(self, node: Node) -> str:
        name = node.name
        if isinstance(node.attrs, ConstAttrs):
            return f"{SPREAD[node.dtype]}({number(node.attrs.value, node.dtype)})"
        if isinstance(node.attrs, StopAttrs):
            return self.value(self.tile.operands(name)[0])
        if node.op is INPUT:
            text = self._input(node)
        elif isinstance(node.attrs, IotaAttrs):
            text = "spread_word(t)" if node.attrs.axis.name == QUERY else "ramp() + word(s)"
        else:
            assert isinstance(node.attrs, MapAttrs)
            text = self._map(node, node.attrs.fn)
        if name in self.known:
            text = f"whole ? spread_mask({'true' if self.known[name] else 'false'}) : {text}"
        ranged(self.tile, name, self.ranges)
        self.lines[self.level(name)].append(f"const {VECTORS[node.dtype]} {name} = {text};")
        return name

    def _map(self, node: Node, fn: str) -> str:
        read = self.tile.operands(node.name)
        if fn == "where" and read[1] == read[2]:
            return self.value(read[1], node.dtype)
        dtypes = [self.tile.node(o).dtype for o in read]
        wanted = computed_in(fn, dtypes, node.dtype)
        own = [self.value(o, dtype) for o, dtype in zip(read, wanted, strict=True)]
        power = self._constant(read[1]) if fn in ("pow", "floordiv", "mod") else None
        if fn == "pow" and power in (2, 3):
            return " * ".join([own[0]] * int(power))
        if fn in ROUNDED:
            return f"as_words({ROUNDED[fn]}({own[0]}))" if wanted == [DType.FLOAT] else own[0]
        if DType.FLOAT in wanted or node.dtype is not DType.INT:
            return OPERATORS[fn].format(*own)
        if fn == "pow":
            raise UnsupportedError("a power of whole numbers")
        if fn in ("floordiv", "mod"):
            if not power:
                raise UnsupportedError("a division of whole numbers by what is no constant")
            places = int(power).bit_length() - 1
            if power == 1 << places:
                return f"{own[0]} >> {places}" if fn == "floordiv" else f"{own[0]} & {power - 1}"
        return WHOLE.get(fn, OPERATORS[fn]).format(*own)

    def _constant(self, name: str) -> float | None:
        attrs = self.tile.node(name).attrs
        return float(attrs.value) if isinstance(attrs, ConstAttrs) else None

    # ---- what is read

    def _input(self, node: Node) -> str:
        name, dtype = node.name, node.dtype
        if name == self.tile.score:
            return "load<true>(x_row + j, W)"
        if name == self.tile.cotangent:
            return "change"
        if name in self.tile.picked:
            return self._picked(name)
        held = self.inputs[name]
        along = [axis for axis in (QUERY, KEY) if axis in held.axis_names]
        where = f"p_{name}" + (f" + t * t_{name}" if QUERY in along else "")
        if KEY not in along:
            if dtype is DType.INT:
                return f"spread_word(narrowed(*({where}), bad))"
            return f"{SPREAD[dtype]}(*({where}))"
        if QUERY not in along:
            loads = {DType.FLOAT: "load<true>(h_{} + s, W)"}
            return loads.get(dtype, "load_words(h_{} + s)").format(name)
        loads = {
            DType.FLOAT: "load<false>({} + s, S - s)",
            DType.BOOL: "load_truths({} + s, S - s)",
            DType.INT: "load_narrowed({} + s, S - s, bad)",
        }
        return loads[dtype].format(where)

    def _picked(self, name: str) -> str:
        own = self.tile.picked[name]
        fill = "0, &bad" if own.fill is None else f"{number(own.fill, DType.FLOAT)}, nullptr"
        table = self.made.table(self.inputs[own.table])
        left = "S - s" if self.level(name) == "point" else "W"
        at = self.value(own.at, DType.INT)
        return f"picked(p_{own.table}, f_{own.table}, c_{table}, {at}, {left}, {fill})"
