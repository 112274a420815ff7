"""A contraction shaped like attention, as a program of its own under names of its own.

    score  = dot[k](query, key)               along `t` and `s`
    weight = softmax[s](f(score, ...))        or f(score, ...) itself
    result = dot[s](weight, value)

Two that compute the same are equal, wherever they stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ...dsl.core import names
from ...dsl.ops import InputAttrs

if TYPE_CHECKING:
    from ...dsl.core import Axes, Axis, Body, Node

QUERY, KEY, DOT, VALUE = "t", "s", "k", "v"
"""What the axes of positions and of features are called here. The others, along which nothing
mixes, are the lanes: `l0`, `l1` and so on; a table that is read by index has `r0`, `r1`."""


@dataclass(frozen=True)
class Contraction:
    """The program: inputs query, key, value and what else f reads; results z[lanes, t, v] and, of
    a softmax, the log of the sum of the exponentials, [lanes, t].

    `score` is the node of the product; `weight` is what is normalised, or the weights themselves.
    """

    body: Body
    lanes: Axes
    score: str
    weight: str
    softmax: bool

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """Query, key, value, and what else is read."""
        nodes = (step.node for step in self.body.steps)
        return tuple(node for node in nodes if isinstance(node.attrs, InputAttrs))

    @property
    def more(self) -> tuple[Node, ...]:
        """What is read beside query, key and value."""
        return self.inputs[3:]

    @cached_property
    def axes(self) -> dict[str, Axis]:
        """Every axis of an input by its name."""
        return {axis.name: axis for node in self.inputs for axis in node.axes}

    @property
    def sized(self) -> tuple[str, ...]:
        """The axes whose sizes a call says, beside those of all contractions."""
        tables = [axis for node in self.more if (axis := self.table(node)) is not None]
        return (*names(self.lanes), *tables)

    @property
    def results(self) -> tuple[tuple[str, ...], ...]:
        """The axes of the results."""
        lanes = names(self.lanes)
        return ((*lanes, QUERY, VALUE), *(((*lanes, QUERY),) if self.softmax else ()))

    def table(self, node: Node) -> str | None:
        """The axis along which an input is read by index, if it is."""
        return next((axis.name for axis in node.axes if axis.name.startswith("r")), None)

    def is_pair(self, node: Node) -> bool:
        """Whether an input differs from query to query and from key to key."""
        return {QUERY, KEY} <= node.axis_names
