"""Which function writes what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..forms import (
    Attention,
    BatchNorm,
    Beside,
    Contracted,
    Convolution,
    Core,
    CrossEntropy,
    Fused,
    LayerNorm,
    Linear,
    Pointwise,
    Pool,
    RMSNorm,
    Spread,
)
from .attention import write_attention
from .calls import write_batch_norm, write_cross_entropy, write_norm, write_pointwise
from .contracted import write_beside, write_contracted
from .contractions import write_contract, write_linear
from .convolutions import write_convolution, write_pool
from .kernels import write_fused
from .pointwise import write_map, write_spread
from .positions import (
    write_concat,
    write_index,
    write_iota,
    write_rename,
    write_scatter,
    write_stop,
)
from .reductions import write_along, write_reduce
from .returns import write_backward
from .scans import write_item

if TYPE_CHECKING:
    from ..forms import Form, Piece
    from .writer import Rule

FORMS: dict[type[Form], Rule] = {
    LayerNorm: write_norm,
    RMSNorm: write_norm,
    BatchNorm: write_batch_norm,
    Pointwise: write_pointwise,
    Spread: write_spread,
    Linear: write_linear,
    Attention: write_attention,
    Contracted: write_contracted,
    Beside: write_beside,
    Convolution: write_convolution,
    Pool: write_pool,
    CrossEntropy: write_cross_entropy,
    Fused: write_fused,
}
OPS: dict[str, Rule] = {  # `const` is written as a number, leaves by name, `scan` with its items
    "iota": write_iota,
    "map": write_map,
    "reduce": write_reduce,
    "contract": write_contract,
    "rename": write_rename,
    "index": write_index,
    "scatter": write_scatter,
    "concat": write_concat,
    "along": write_along,
    "item": write_item,
    "stop": write_stop,
    "backward": write_backward,
}


def rule(piece: Piece) -> Rule:
    """The function that writes a piece."""
    if isinstance(piece.form, Core):
        return OPS[piece.node.op.name]
    return FORMS[type(piece.form)]
