"""The operations: attributes, and the rule that gives the axes and dtype of the result.

An `infer` rule sees attributes and operands' types and raises `OpError` when they do not fit.
The checker asks first and speaks to the user; `verify` runs the same rules after each pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import sizes
from .core import Axes, Axis, Body, DType, names, without
from .functions import ALONG, MAPS, REDUCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class OpError(Exception):
    """Operands that do not fit an operation."""


class SizeError(OpError):
    """One axis of two sizes."""

    def __init__(self, axis: str, first: sizes.Size, second: sizes.Size) -> None:
        self.axis, self.sizes = axis, (first, second)
        super().__init__(f"axis {axis} has sizes {first} and {second}")


Operand = tuple[Axes, DType]
Typed = tuple[Axes, DType]


def broadcast(*operands: Axes) -> Axes:
    """The union by name; the operand with most axes gives the order.

    Raises OpError where one name has two sizes.
    """
    widest, *others = sorted(operands, key=len, reverse=True)
    merged: dict[str, Axis] | None = None
    found = widest
    for axes in others:
        if axes is widest or not axes:
            continue
        if merged is None:
            merged = {axis.name: axis for axis in widest}
        for axis in axes:
            known = merged.setdefault(axis.name, axis)
            if known is axis:
                continue
            if known.size != axis.size:
                raise SizeError(axis.name, known.size, axis.size)
        if len(merged) > len(found):
            found = tuple(merged.values())
    return found


# ---- leaves


@dataclass(frozen=True, slots=True)
class InputAttrs:
    """An argument of the program; `order` is the axis order at the border. One that `grows` along
    an axis is held in memory that has room for what is put behind it."""

    order: tuple[str, ...]
    axes: Axes
    dtype: DType
    grows: str = ""


@dataclass(frozen=True, slots=True)
class Distribution:
    """`normal(0, 0.02)`: a name and numbers."""

    name: str
    args: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ParamAttrs:
    """A parameter: trained, or fixed. Its node's `site` names it; `axes` are in written order.

    `init` is a distribution or a closed body whose one result is the initial value.
    """

    axes: Axes
    init: Distribution | Body
    trained: bool = True


@dataclass(frozen=True, slots=True)
class StateAttrs:
    """A value kept between calls, read. The program says what it becomes (see
    `Program.updates`)."""

    axes: Axes
    init: Distribution | Body


@dataclass(frozen=True, slots=True)
class RandomAttrs:
    """Numbers drawn anew at each call, keyed by seed, `key` and call."""

    axes: Axes
    distribution: Distribution
    key: str
    dtype: DType = DType.FLOAT


@dataclass(frozen=True, slots=True)
class ConstAttrs:
    """A number."""

    value: int | float | bool


@dataclass(frozen=True, slots=True)
class IotaAttrs:
    """The index along an axis: 0, 1, 2, ..."""

    axis: Axis


def _declared(
    attrs: InputAttrs | ParamAttrs | StateAttrs | RandomAttrs, _: Sequence[Operand]
) -> Typed:
    return attrs.axes, getattr(attrs, "dtype", DType.FLOAT)


def _const(attrs: ConstAttrs, _: Sequence[Operand]) -> Typed:
    if isinstance(attrs.value, bool):
        return (), DType.BOOL
    return (), DType.INT if isinstance(attrs.value, int) else DType.FLOAT


def _iota(attrs: IotaAttrs, _: Sequence[Operand]) -> Typed:
    return (attrs.axis,), DType.INT


# ---- pointwise, reductions, contractions


@dataclass(frozen=True, slots=True)
class MapAttrs:
    """A pointwise function of operands that are broadcast by name."""

    fn: str


@dataclass(frozen=True, slots=True)
class ReduceAttrs:
    """A reduction over axes, which are gone afterwards."""

    fn: str
    axes: tuple[str, ...]
    argument: float | None = None  # the q of a quantile, the p of a norm


@dataclass(frozen=True, slots=True)
class ContractAttrs:
    """The product of all operands, broadcast by name, summed over `axes`."""

    axes: tuple[str, ...]


def _map(attrs: MapAttrs, operands: Sequence[Operand]) -> Typed:
    return broadcast(*(axes for axes, _ in operands)), MAPS[attrs.fn].dtype(
        [dtype for _, dtype in operands]
    )


def _said(axes: Axes) -> str:
    return ", ".join(names(axes)) or "none"


def _distinct(axes: Axes) -> None:
    seen = [axis.name for axis in axes]
    twice = [name for name in seen if seen.count(name) > 1]
    if twice:
        raise OpError(f"the axis `{twice[0]}` is there twice")


def _has(axes: Axes, wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in names(axes)]
    if missing:
        raise OpError(f"no axis {missing[0]} among {_said(axes)}")


def _reduce(attrs: ReduceAttrs, operands: Sequence[Operand]) -> Typed:
    axes, dtype = operands[0]
    _has(axes, attrs.axes)
    return without(axes, attrs.axes), REDUCTIONS[attrs.fn].dtype([dtype])


def _contract(attrs: ContractAttrs, operands: Sequence[Operand]) -> Typed:
    axes = broadcast(*(axes for axes, _ in operands))
    _has(axes, attrs.axes)
    return without(axes, attrs.axes), MAPS["mul"].dtype([d for _, d in operands] + [DType.INT])


# ---- axes and positions


@dataclass(frozen=True, slots=True)
class RenameAttrs:
    """Each pair turns old axes into new ones: a rename, a split, a merge (first is major).

    All pairs act at once. Without pairs it is the identity: the same value at an address of its
    own.
    """

    pairs: tuple[tuple[tuple[str, ...], Axes], ...] = ()


@dataclass(frozen=True, slots=True)
class Select:
    """One position; the axis is gone. A negative one counts from the end."""

    axis: str
    at: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Positions from `start` up to `stop` (0 <= start <= stop <= size), renumbered from 0."""

    axis: str
    start: sizes.Size
    stop: sizes.Size


@dataclass(frozen=True, slots=True)
class Gather:
    """Positions given by the second operand (int), whose axes take the axis's place.

    Negative positions are out of range. Out of range gives `fill` if there is one, else is an
    error.
    """

    axis: str
    fill: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Position `offset + sum of coefficient * index` over `terms`, axes that take the axis's place.

    Outside stands `fill`.
    """

    axis: str
    terms: tuple[tuple[Axis, int], ...]
    offset: sizes.Size
    fill: float


@dataclass(frozen=True, slots=True)
class IndexAttrs:
    """Reads positions along one axis."""

    how: Select | Slice | Gather | Window


@dataclass(frozen=True, slots=True)
class ScatterAttrs:
    """Writes at positions: operands (base, index, update).

    Along `over`, axes that base lacks, each update goes to the position of `axis` that index (int)
    says; all other axes ride along, and the result has them too. Out of range writes nothing.
    Adds, or sets when `add` is false (positions are then distinct).
    """

    axis: str
    over: tuple[str, ...]
    add: bool = True


@dataclass(frozen=True, slots=True)
class ConcatAttrs:
    """Operands one after another along `axis`; with `new` they are stacked along a new axis."""

    axis: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class AlongAttrs:
    """A function along axes that keeps them: softmax, cumsum, sort, rank, flip, fft, ..."""

    fn: str
    axes: tuple[str, ...]


def _rename(attrs: RenameAttrs, operands: Sequence[Operand]) -> Typed:
    axes, dtype = operands[0]
    renamed: dict[str, Axes] = {axis.name: (axis,) for axis in axes}
    for old, new in attrs.pairs:
        _has(axes, old)
        before = sizes.product(axis.size for axis in axes if axis.name in old)
        after = sizes.product(axis.size for axis in new)
        if isinstance(before, int) and isinstance(after, int) and before != after:
            raise OpError(f"{', '.join(old)} has {before} elements, {_said(new)} {after}")
        place = next(axis.name for axis in axes if axis.name in old)
        renamed |= dict.fromkeys(old, ()) | {place: new}
    result = tuple(axis for own in axes for axis in renamed[own.name])
    _distinct(result)
    return result, dtype


def _index(attrs: IndexAttrs, operands: Sequence[Operand]) -> Typed:
    axes, dtype = operands[0]
    how = attrs.how
    _has(axes, [how.axis])
    place = names(axes).index(how.axis)
    new: Axes
    match how:
        case Select():
            new = ()
        case Slice():
            new = (Axis(how.axis, sizes.subtract(how.stop, how.start)),)
        case Gather():
            rest = without(axes, [how.axis])
            index = operands[1][0]
            broadcast(rest, index)
            new = tuple(axis for axis in index if axis.name not in names(rest))
        case Window():
            new = tuple(axis for axis, _ in how.terms)
    result = (*axes[:place], *new, *axes[place + 1 :])
    _distinct(result)
    return result, dtype


def _scatter(attrs: ScatterAttrs, operands: Sequence[Operand]) -> Typed:
    (base, dtype), (index, _), (update, added) = operands
    _has(base, [attrs.axis])
    rest = without(base, [attrs.axis])
    both = broadcast(rest, index, update)
    _has(both, attrs.over)
    riding = without(both, (*names(rest), *attrs.over))
    if {attrs.axis, *names(rest)} & {*attrs.over, *names(riding)}:
        raise OpError(f"{attrs.over} and {names(riding)} should not be in {names(base)}")
    dtype = MAPS["where"].dtype([DType.BOOL, dtype, added])
    return (*riding, *base), dtype


def _concat(attrs: ConcatAttrs, operands: Sequence[Operand]) -> Typed:
    rest = broadcast(*(without(axes, [attrs.axis]) for axes, _ in operands))
    total: sizes.Size = len(operands)
    if not attrs.new:
        total = 0
        for axes, _ in operands:
            _has(axes, [attrs.axis])
            total = sizes.add(total, next(a.size for a in axes if a.name == attrs.axis))
    dtype = MAPS["where"].dtype([DType.BOOL, *(d for _, d in operands)])
    if attrs.new:
        if any(axis.name == attrs.axis for axes, _ in operands for axis in axes):
            raise OpError(f"the axis `{attrs.axis}` is there already")
        return (*rest, Axis(attrs.axis, total)), dtype
    order = names(max((axes for axes, _ in operands), key=len))
    both = {axis.name: axis for axis in (*rest, Axis(attrs.axis, total))}
    return tuple(both.pop(n) for n in order) + tuple(both.values()), dtype


def _along(attrs: AlongAttrs, operands: Sequence[Operand]) -> Typed:
    axes, dtype = operands[0]
    _has(axes, attrs.axes)
    return axes, ALONG[attrs.fn].dtype([dtype])


# ---- recurrences, several results, gradients


@dataclass(frozen=True, slots=True)
class ScanAttrs:
    """A recurrence along `axis`. Operands: `carries` initial values, then per-step values (which
    have the axis), then constants (which do not). `body` has input nodes in that order, the
    per-step ones without the axis; its results are the new carries, then what each step gives out.
    The node's results (read by `item`): last carries, then the outputs with the axis."""

    axis: Axis
    body: Body
    carries: int
    steps: int
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class ItemAttrs:
    """One of several results."""

    index: int
    axes: Axes
    dtype: DType


@dataclass(frozen=True, slots=True)
class StopAttrs:
    """The value, through which no gradient flows."""


@dataclass(frozen=True, slots=True)
class BackwardAttrs:
    """The value, whose gradient on its way back becomes what a rule makes of it.

    Operands: the value, then what else the rule reads. The body's inputs are what arrives, the
    value, and the others; its result is what goes on, and may lack axes of the value.
    """

    body: Body


@dataclass(frozen=True, slots=True)
class DeriveAttrs:
    """A derivative that is asked for: operands are a value, what it is made of, and a direction;
    forwards there may be more of what it is made of, each with a direction.

    Backwards the direction is a cotangent of the value, and this the cotangent of what it is made
    of; forwards the direction is a change of that, and this the change of the value. Along `riding`
    every position is a program of its own; with `lifts`, along all axes of the value that the
    direction and what it is made of lack. It is worked out (`derivatives/`) when all types are
    known, and stands in no checked program.
    """

    forward: bool
    riding: tuple[str, ...] = ()
    lifts: bool = False


def _derive(attrs: DeriveAttrs, operands: Sequence[Operand]) -> Typed:
    (value, _), (source, _), (direction, _) = operands[:3]
    made, given = (value, source) if attrs.forward else (source, value)
    own = {*names(made)}
    led = {*names(direction)}
    more = {a.name: a for a in given if attrs.lifts and a.name not in led}
    more |= {a.name: a for a in (*given, *direction) if a.name in attrs.riding}
    return (*made, *(axis for name, axis in more.items() if name not in own)), DType.FLOAT


def _scan(attrs: ScanAttrs, operands: Sequence[Operand]) -> Typed:
    per_step = operands[attrs.carries : attrs.carries + attrs.steps]
    for axes, _ in per_step:
        _has(axes, [attrs.axis.name])
    return (), DType.FLOAT


def _item(attrs: ItemAttrs, _: Sequence[Operand]) -> Typed:
    return attrs.axes, attrs.dtype


def _same(_: StopAttrs | BackwardAttrs, operands: Sequence[Operand]) -> Typed:
    return operands[0]


Attrs = (
    InputAttrs
    | ParamAttrs
    | StateAttrs
    | RandomAttrs
    | ConstAttrs
    | IotaAttrs
    | MapAttrs
    | ReduceAttrs
    | ContractAttrs
    | RenameAttrs
    | IndexAttrs
    | ScatterAttrs
    | ConcatAttrs
    | AlongAttrs
    | ScanAttrs
    | ItemAttrs
    | StopAttrs
    | BackwardAttrs
    | DeriveAttrs
)


@dataclass(frozen=True, slots=True, eq=False)
class OpDef:
    """An operation: its name, its attribute class, its number of operands (None: any), its rule."""

    name: str
    attrs: type
    arity: tuple[int, int | None]
    infer: Callable[..., Typed]

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:  # the rows below are the only ones: copies are the same row
        return next(name for name, value in globals().items() if value is self)


INPUT = OpDef("input", InputAttrs, (0, 0), _declared)
PARAM = OpDef("param", ParamAttrs, (0, 0), _declared)
STATE = OpDef("state", StateAttrs, (0, 0), _declared)
RANDOM = OpDef("random", RandomAttrs, (0, 0), _declared)
CONST = OpDef("const", ConstAttrs, (0, 0), _const)
IOTA = OpDef("iota", IotaAttrs, (0, 0), _iota)
MAP = OpDef("map", MapAttrs, (1, None), _map)
REDUCE = OpDef("reduce", ReduceAttrs, (1, 1), _reduce)
CONTRACT = OpDef("contract", ContractAttrs, (1, None), _contract)
RENAME = OpDef("rename", RenameAttrs, (1, 1), _rename)
INDEX = OpDef("index", IndexAttrs, (1, 2), _index)
SCATTER = OpDef("scatter", ScatterAttrs, (3, 3), _scatter)
CONCAT = OpDef("concat", ConcatAttrs, (1, None), _concat)
ALONG_OP = OpDef("along", AlongAttrs, (1, 1), _along)
SCAN = OpDef("scan", ScanAttrs, (0, None), _scan)
ITEM = OpDef("item", ItemAttrs, (1, 1), _item)
STOP = OpDef("stop", StopAttrs, (1, 1), _same)
BACKWARD = OpDef("backward", BackwardAttrs, (1, None), _same)
DERIVE = OpDef("derive", DeriveAttrs, (3, None), _derive)  # in no checked program: none of OPS

OPS = (
    INPUT,
    PARAM,
    STATE,
    RANDOM,
    CONST,
    IOTA,
    MAP,
    REDUCE,
    CONTRACT,
    RENAME,
    INDEX,
    SCATTER,
    CONCAT,
    ALONG_OP,
    SCAN,
    ITEM,
    STOP,
    BACKWARD,
)
