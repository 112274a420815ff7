"""What `emit` makes of a graph, and what a runtime needs to know to run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from ..dsl.core import Axes, Axis, Body, Node
    from ..dsl.ops import ScanAttrs
    from ..dsl.program import InputDecl, Limit, ResultDecl
    from ..dsl.source import Span
    from .attention import Contraction
    from .emit.cpp.attention.kernel import ContractionKernel
    from .emit.cpp.kernel import Kernel

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Stored:
    """A parameter or a state: its address, its key in a state dict, and its node."""

    site: str
    key: str
    node: Node


@dataclass(frozen=True, slots=True)
class Argument:
    """An input: its declaration, and its axes in the order in which they are given."""

    decl: InputDecl
    axes: Axes


@dataclass(frozen=True, slots=True)
class Look:
    """Positions that an input holds must be below the size of an axis."""

    argument: int
    axis: Axis


@dataclass(frozen=True)
class Provided(Generic[Kind]):
    """What a runtime has for a recurrence or a contraction: a kernel for the CPU, if any, or others
    besides."""

    kernel: Kind | None


@dataclass(frozen=True)
class KernelCall:
    """A recurrence that the source calls by `name` and that the runtime provides.

    The function is given the scan's operands, their axes in these `orders`, and gives the last
    carries and then the outputs, in the orders of `results`. `kernel` is that for the CPU, if there
    is one; the carries that it keeps come last.
    """

    name: str
    scan: ScanAttrs
    kernel: Kernel | None
    orders: tuple[tuple[str, ...], ...]
    results: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ContractionCall:
    """A contraction shaped like attention that the source calls by `name`.

    The function is given the inputs of the contraction, their axes in these `orders`, and gives its
    results, in the orders of `results`; only so many of them as are `read` need be there. `kernel`
    is that for the CPU, if there is one. What `is_usual` PyTorch has a call for that needs no mask
    tensor.
    """

    name: str
    contraction: Contraction
    kernel: ContractionKernel | None
    orders: tuple[tuple[str, ...], ...]
    results: tuple[tuple[str, ...], ...]
    read: int
    is_usual: bool


@dataclass(frozen=True)
class RegionCall:
    """A region that the source calls by `name` and that the runtime provides.

    The function is given what the body reads, and gives its results, their axes in these orders.
    Of the operands, those in `moved` may have gradients. `spared` is that of the region.
    """

    name: str
    body: Body
    moved: tuple[int, ...]
    spared: float
    kernel: Kernel
    orders: tuple[tuple[str, ...], ...]
    results: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Artifact:
    """Source, the class or function in it that is the model, and its border.

    The entry is given the inputs, then the drawn numbers (`draws`, in the order of their nodes'
    axes); it gives the results.
    """

    name: str
    target: str
    source: str
    entry: str
    stored: tuple[Stored, ...]
    arguments: tuple[Argument, ...]
    draws: tuple[Node, ...]
    results: tuple[ResultDecl, ...]
    limits: tuple[Limit, ...]
    looks: tuple[Look, ...]
    span: Span
    kernels: tuple[KernelCall | ContractionCall | RegionCall, ...] = ()
