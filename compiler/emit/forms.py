"""What is written as one call of PyTorch's, though the graph says it in many operations.

A form stands beside the names of the values that it reads; where it reads less than it may, what
is left out are the last ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...dsl.core import Axis, Node
    from ...dsl.sizes import Size
    from ..attention import Found
    from ..fusion.region import Region
    from .cpp.attention.kernel import ContractionKernel


@dataclass(frozen=True, slots=True)
class Core:
    """The operation of the node itself."""


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Reads the value, the weight, the bias."""

    axes: tuple[str, ...]
    eps: float


@dataclass(frozen=True, slots=True)
class RMSNorm:
    """Reads the value, the weight."""

    axes: tuple[str, ...]
    eps: float


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Along `axis` by stored means and variances: reads the value, those, the weight, the bias."""

    axis: str
    eps: float


@dataclass(frozen=True, slots=True)
class Pointwise:
    """A function of one value that has a call of its own."""

    call: str


@dataclass(frozen=True, slots=True)
class Spread:
    """The value repeated along an axis that it lacks."""

    axis: Axis


@dataclass(frozen=True, slots=True)
class Linear:
    """Reads the value, the weight, the bias. Sums over `axes`."""

    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax attention from `query` positions to `key` positions: reads q, k, v.

    `dot` is the axis of q and k that is summed, `value` the one of v that the result has, if any.
    So many `masks` are read (what they leave out is not seen), then what the scores are changed by,
    with its `signs`.
    """

    query: str
    key: str
    dot: str
    value: tuple[str, ...]
    scale: float | None
    causal: bool
    masks: int = 0
    signs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Contracted:
    """A contraction shaped like attention as a call: reads what it does, then its gates.

    `kernel` is that for the CPU, if there is one.

    One that `is_usual` is a call of PyTorch without a mask tensor, too.
    """

    found: Found
    kernel: ContractionKernel | None
    is_usual: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """What comes of the same call as the value that it reads."""


@dataclass(frozen=True, slots=True)
class Slide:
    """One axis of a convolution or a pooling: windows `tap` at places `out` over `axis`.

    The position is `offset + stride * out + step * tap`.
    """

    axis: str
    size: Size
    out: Axis
    tap: Axis
    stride: int
    step: int
    offset: int


@dataclass(frozen=True, slots=True)
class Convolution:
    """Reads the value, the weight, the bias. Sums over the taps and `channels`; then `renames`."""

    slides: tuple[Slide, ...]
    channels: tuple[str, ...]
    renames: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """The largest, or the mean, of each window."""

    slides: tuple[Slide, ...]
    fn: str


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Reads the scores along `axis` and the right places; `mean` over everything."""

    axis: str
    mean: bool


@dataclass(frozen=True, slots=True)
class Fused:
    """One of the values that a kernel gives which computes several operations.

    The first reads what the kernel does, the others read the first.
    """

    region: Region
    index: int


Form = (
    Core
    | LayerNorm
    | RMSNorm
    | BatchNorm
    | Pointwise
    | Spread
    | Linear
    | Attention
    | Contracted
    | Beside
    | Convolution
    | Pool
    | CrossEntropy
    | Fused
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A value that is written: its node, in what form, and what it reads."""

    node: Node
    form: Form
    reads: tuple[str, ...]
