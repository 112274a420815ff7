"""The tensors of a kernel of a contraction as its C++ has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..places import ELEMENTS

if TYPE_CHECKING:
    from ....attention.tensors import Tensors


def declared(tensors: Tensors, start: int) -> list[str]:
    """Declarations: where this lane of each begins, and how far its neighbours are apart. The
    numbers of each follow `start` others."""
    found = []
    lanes = tensors.lanes
    for at, tensor in enumerate(tensors.found):
        element = f"{'const ' if tensor.read else ''}{ELEMENTS[tensor.dtype]}"
        first = start + at * (len(lanes) + 3)
        moved = "".join(
            f" + {lane} * n[{first + place}]"
            for place, lane in enumerate(lanes)
            if tensor.slots[place] is not None
        )
        word = tensor.word
        found.append(f"{element} *const p_{word} = ({element} *)p[{at}]{moved};")
        for place, kind in enumerate("tsf"):
            if tensor.slots[len(lanes) + place] is not None:
                number = first + len(lanes) + place
                found.append(f"const long {kind}_{word} = n[{number}];")
    return found
