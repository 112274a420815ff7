"""Operations that one kernel computes, as a program of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ...dsl.core import Body, DType, Step, names
from ...dsl.ops import CONST, INPUT, ConstAttrs, InputAttrs
from ...dsl.source import GENERATED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...dsl.core import Node
    from ..emit.flow import Flow


@dataclass(frozen=True)
class Region:
    """A program whose inputs are the values that it reads, and whose results are those it gives.

    Names, addresses and places in the spec are left out of the body, so that what computes the same
    is the same. Of what it reads, that at the places in `moved` may have a gradient: floats that
    are not made of indices alone. `spared` is how many values of the largest size fewer pass
    through memory than one operation at a time.
    """

    body: Body
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    moved: tuple[int, ...]
    inside: tuple[str, ...]
    spared: float


def body_of(
    flow: Flow, inside: Collection[str], gives: Sequence[str]
) -> tuple[Body, tuple[str, ...]]:
    """The program of these nodes, and what it reads: numbers are in it, all else is an input.

    Indices come in as floats.
    """
    inputs: dict[str, Step] = {}
    numbers: dict[str, Step] = {}
    own: list[Step] = []
    called: dict[str, str] = {}

    def bare(node: Node, prefix: str, count: int) -> Node:
        called[node.name] = f"{prefix}{count}"
        return replace(
            node, name=called[node.name], span=GENERATED, site=None, scope="", made_by=""
        )

    for name, node in flow.nodes.items():
        if name not in inside:
            continue
        for read in flow.reads[name]:
            if read in inside or read in called:
                continue
            given = flow.nodes[read]
            if read in flow.numbers:
                made = replace(given, op=CONST, attrs=ConstAttrs(flow.numbers[read]))
                numbers[read] = Step(bare(made, "n", len(numbers)), ())
            else:
                dtype = DType.FLOAT if given.dtype is DType.INT else given.dtype
                attrs = InputAttrs(names(given.axes), given.axes, dtype)
                made = replace(given, op=INPUT, attrs=attrs, dtype=dtype)
                inputs[read] = Step(bare(made, "x", len(inputs)), ())
        made = bare(node, "v", len(own))
        own.append(Step(made, tuple(called[read] for read in flow.reads[name])))
    steps = (*inputs.values(), *numbers.values(), *own)
    return Body(steps, tuple(called[name] for name in gives)), tuple(inputs)
