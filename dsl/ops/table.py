"""The operations themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .leaves import (
    ConstAttrs,
    InputAttrs,
    IotaAttrs,
    ParamAttrs,
    RandomAttrs,
    StateAttrs,
    const,
    declared,
    iota,
)
from .loops import (
    BackwardAttrs,
    DeriveAttrs,
    ItemAttrs,
    ScanAttrs,
    StopAttrs,
    derived,
    same,
    scanned,
    taken,
)
from .pointwise import ContractAttrs, MapAttrs, ReduceAttrs, contracted, mapped, reduced
from .positions import (
    AlongAttrs,
    ConcatAttrs,
    IndexAttrs,
    RenameAttrs,
    ScatterAttrs,
    indexed,
    joined,
    moved_along,
    renamed,
    scattered,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .types import Typed


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


INPUT = OpDef("input", InputAttrs, (0, 0), declared)
PARAM = OpDef("param", ParamAttrs, (0, 0), declared)
STATE = OpDef("state", StateAttrs, (0, 0), declared)
RANDOM = OpDef("random", RandomAttrs, (0, 0), declared)
CONST = OpDef("const", ConstAttrs, (0, 0), const)
IOTA = OpDef("iota", IotaAttrs, (0, 0), iota)
MAP = OpDef("map", MapAttrs, (1, None), mapped)
REDUCE = OpDef("reduce", ReduceAttrs, (1, 1), reduced)
CONTRACT = OpDef("contract", ContractAttrs, (1, None), contracted)
RENAME = OpDef("rename", RenameAttrs, (1, 1), renamed)
INDEX = OpDef("index", IndexAttrs, (1, 2), indexed)
SCATTER = OpDef("scatter", ScatterAttrs, (3, 3), scattered)
CONCAT = OpDef("concat", ConcatAttrs, (1, None), joined)
ALONG_OP = OpDef("along", AlongAttrs, (1, 1), moved_along)
SCAN = OpDef("scan", ScanAttrs, (0, None), scanned)
ITEM = OpDef("item", ItemAttrs, (1, 1), taken)
STOP = OpDef("stop", StopAttrs, (1, 1), same)
BACKWARD = OpDef("backward", BackwardAttrs, (1, None), same)
DERIVE = OpDef("derive", DeriveAttrs, (3, None), derived)  # in no checked program: none of OPS

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
