"""A program that grows node by node while Hypothesis draws what it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ..dsl import ops, sizes
from ..dsl.core import Axes, Axis, DType, Node, Step
from ..dsl.source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SPAN = Span(Source("drawn.nax", "drawn"), 0, 5)
AXES = (Axis("a", 2), Axis("b", 3), Axis("c", 1), Axis("d", 4), Axis("t", sizes.symbol("t")))
LARGEST = 1e3
FLOAT, INT, BOOL = DType.FLOAT, DType.INT, DType.BOOL

WORDS = "const iota map contract reduce rename select slice gather window scatter concat along stop"
ALL_OPS = (*WORDS.split(), "smooth", "product", "scan")


@dataclass(frozen=True)
class Value:
    """A node's type, a bound on its absolute value, whether it is exact in binary."""

    name: str
    axes: Axes
    dtype: DType
    bound: float
    exact: bool


@dataclass
class Maker:
    """A program that grows, with the values that may be read so far."""

    draw: Callable[[st.SearchStrategy[Any]], Any]
    prefix: str = ""
    steps: list[Step] = field(default_factory=list)
    pool: list[Value] = field(default_factory=list)
    fresh_axes: int = 0
    kinds: Sequence[str] = ALL_OPS

    def add(
        self,
        op: ops.OpDef,
        attrs: ops.Attrs,
        operands: Sequence[Value] = (),
        *,
        bound: float = 2,
        exact: bool = False,
    ) -> Value | None:
        """Append an operation; None if its operands do not fit, or its value grows too large."""
        try:
            axes, dtype = op.infer(attrs, [(v.axes, v.dtype) for v in operands])
        except ops.OpError:
            return None
        if bound > LARGEST or elements(axes) > 500:
            return None
        name = f"n{len(self.steps)}"
        site = f"{self.prefix}v{len(self.steps)}"
        node = Node(name, op, attrs, axes, dtype, SPAN, site)
        self.steps.append(Step(node, tuple(v.name for v in operands)))
        value = Value(name, axes, dtype, bound, exact)
        if op is not ops.SCAN:
            self.pool.append(value)
        return value

    # ---- choices

    def pick(self, values: Sequence[Any] | str) -> Any:
        """One of the values, or of the words of a text."""
        values = values.split() if isinstance(values, str) else list(values)
        return self.draw(st.sampled_from(values))

    def some(self, values: Sequence[Any], least: int = 0, most: int = 3) -> list[Any]:
        """Several different ones of the values."""
        least = min(least, len(values))
        strategy = st.lists(
            st.sampled_from(list(values)), min_size=least, max_size=most, unique=True
        )
        return list(self.draw(strategy)) if values else []

    def value(self, *dtypes: DType, exact: bool = False, axes: int = 0) -> Value | None:
        """One of the values made so far, the newest likeliest to be the simplest."""
        fit = [
            v
            for v in self.pool
            if (not dtypes or v.dtype in dtypes) and (v.exact or not exact) and len(v.axes) >= axes
        ]
        return self.pick(fit[::-1]) if fit else None

    def axis_name(self) -> str:
        """A name that no axis has yet."""
        self.fresh_axes += 1
        return f"{self.prefix}x{self.fresh_axes}"

    def const(self, number: float | bool) -> Value:
        """A number."""
        exact = self.add(ops.CONST, ops.ConstAttrs(number), bound=abs(number), exact=True)
        assert exact is not None
        return exact

    def map(self, fn: str, *operands: Value | None, bound: float, exact: bool) -> Value | None:
        """A pointwise operation; None if an operand is."""
        if any(v is None for v in operands):
            return None
        read = [v for v in operands if v is not None]
        exact = exact and all(v.exact for v in read)
        return self.add(ops.MAP, ops.MapAttrs(fn), read, bound=bound, exact=exact)


def elements(axes: Axes) -> int:
    """How many numbers a value of these axes may hold."""
    return sizes.evaluate(sizes.product(a.size for a in axes), dict.fromkeys("t", 4))
