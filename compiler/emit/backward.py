"""One step of the way back of a scan, as a program: what a kernel of the way back computes.

The derivative of the body, with the cotangents of carries as carries. What comes back to a constant
is added up in one more carry; if it is a large product of two values at each step, these are given
out instead, and multiplied outside.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...dsl.core import Body, DType, Step, names
from ...dsl.derivatives import pullback
from ...dsl.items import body_inputs
from ...dsl.ops import CONST, INPUT, IOTA, MAP, ConstAttrs, InputAttrs, IotaAttrs, MapAttrs
from ..context import Context
from ..graph import Graph
from ..lift import with_inputs
from ..passes.fold import fold
from ..passes.prune import prune

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...dsl.core import Axis, Node
    from ...dsl.ops import Attrs, OpDef, ScanAttrs
    from ..graph import Edit

LARGE = 4096  # numbers in a product that is not added up at each step
UNKNOWN = 4  # what the size of an axis is taken for that is known when the kernel runs


class Backward:
    """The way back of one step. Along `lanes` every input of the step varies, so that no cotangent
    is summed over them. Without `multiplied` all that comes back to constants is added up.

    `step` is the step itself so lifted. `body` reads, in this order, the cotangents of carries
    (those at `carried`, then what has come back to the constants at `summed`), the inputs of the
    step, and the cotangents of its float outputs (`came`). It gives the new carries, the cotangents
    of the per-step values at `stepped`, and two factors for each constant in `products`.

    Only operands in `wanted` get cotangents, and all carries; only results in `came` have some.
    """

    def __init__(
        self,
        scan: ScanAttrs,
        lanes: Sequence[Axis],
        wanted: Collection[int] | None = None,
        came: Collection[int] | None = None,
        *,
        multiplied: bool = True,
    ) -> None:
        self.scan = scan
        self.own = body_inputs(scan.body)
        step = _lifted(scan.body, scan, lanes)
        results = [
            name
            for at, name in enumerate(step.results)
            if at < scan.carries or came is None or at in came
        ]
        self.step = Body(step.steps, tuple(results))
        self.floats = [
            at
            for at, node in enumerate(self.own)
            if node.dtype is DType.FLOAT and (at < scan.carries or wanted is None or at in wanted)
        ]
        self.carried = [at for at in self.floats if at < scan.carries]
        first = scan.carries + scan.steps
        self.stepped = [at for at in self.floats if scan.carries <= at < first]
        inputs = body_inputs(self.step)
        back = pullback(self.step, [inputs[at].name for at in self.floats])
        self.given = body_inputs(back)
        back = prune(fold(Graph.from_body(back), Context()), Context()).to_body()
        place = {at: place for place, at in enumerate(self.floats)}
        nodes = {step.node.name: step.node for step in back.steps}
        reads = {step.node.name: step.operands for step in back.steps}
        self.products: dict[int, tuple[str, str]] = {}
        self.summed: list[int] = []
        for at in self.floats:
            if at >= first:
                found = _product(nodes, reads, back.results[place[at]], lanes)
                if found is None or not multiplied:
                    self.summed.append(at)
                else:
                    self.products[at] = found
        self.body = self._ordered(back, nodes, place)

    @property
    def carries(self) -> int:
        """How many carries the way back has."""
        return len(self.carried) + len(self.summed)

    @property
    def outputs(self) -> list[int]:
        """Which input of the step each further result belongs to."""
        return [*self.stepped, *(at for at in self.products for _ in range(2))]

    def _ordered(self, back: Body, nodes: dict[str, Node], place: dict[int, int]) -> Body:
        scan, given, count = self.scan, self.given, len(self.own)
        dtypes = {step.node.name: step.node.dtype for step in self.step.steps}
        floats = [at for at, n in enumerate(self.step.results) if dtypes[n] is DType.FLOAT]
        cotangents = dict(zip(floats, given[count:], strict=True))
        self.came = [cotangents[at] for at in floats if at >= scan.carries]
        carries = [cotangents[at] for at in self.carried]
        results = [back.results[place[at]] for at in self.carried]
        added: list[Step] = []
        for at in self.summed:
            node = nodes[back.results[place[at]]]
            axes = given[at].axes
            attrs = InputAttrs(names(axes), axes, DType.FLOAT)
            held = replace(node, name=f"sum {at}", op=INPUT, attrs=attrs, axes=axes, site=None)
            new = replace(held, name=f"more {at}", op=MAP, attrs=MapAttrs("add"))
            added.append(Step(new, (held.name, node.name)))
            carries.append(held)
            results.append(new.name)
        results += [back.results[place[at]] for at in self.stepped]
        for at in self.products:
            results += self.products[at]
        rest = [step for step in back.steps if step.node.op is not INPUT]
        inputs = [*carries, *given[:count], *self.came]
        return Body((*(Step(node, ()) for node in inputs), *rest, *added), tuple(results))


def given_out(scan: ScanAttrs) -> tuple[int, ...] | None:
    """Which output each carry is after the step, if all of them are outputs: then nothing has to be
    kept for the way back."""
    body, count = scan.body, scan.carries
    nodes = {step.node.name: step.node for step in body.steps}
    found = []
    for node, name in zip(body_inputs(body), body.results[:count], strict=False):
        outputs = body.results[count:]
        same = nodes[name].axis_names == node.axis_names and nodes[name].dtype is node.dtype
        if name not in outputs or not same:
            return None
        found.append(outputs.index(name))
    return tuple(found)


def volume(node: Node, hidden: Collection[str]) -> int:
    """How many numbers a value has, some axes left out."""
    found = 1
    for axis in node.axes:
        if axis.name not in hidden:
            found *= axis.size if isinstance(axis.size, int) else UNKNOWN
    return found


def _lifted(body: Body, scan: ScanAttrs, lanes: Sequence[Axis]) -> Body:
    """The body with every input varying along all lanes: no cotangent is summed over them.

    What a carry becomes is repeated along all axes of the carry: their cotangents are alike.
    """
    types = []
    for node in body_inputs(body):
        more = tuple(axis for axis in lanes if axis.name not in node.axis_names)
        types.append(((*more, *node.axes), node.dtype))
    graph = Graph.from_body(with_inputs(body, types))
    carries = body_inputs(graph.to_body())[: scan.carries]
    results = list(graph.results)
    with graph.edit() as edit:
        for at, carry in enumerate(carries):
            new = edit.node(results[at])
            if carry.dtype is DType.FLOAT and new.dtype is not DType.FLOAT:
                results[at] = _add(edit, new, MAP, MapAttrs("float"), results[at])
            for axis in carry.axes:
                if axis.name not in new.axis_names:
                    index = _add(edit, new, IOTA, IotaAttrs(axis))
                    zero = _add(edit, new, CONST, ConstAttrs(0))
                    always = _add(edit, new, MAP, MapAttrs("ge"), index, zero)
                    both = (always, results[at], results[at])
                    results[at] = _add(edit, new, MAP, MapAttrs("where"), *both)
        edit.set_results(results)
    return edit.graph.to_body()


def _add(edit: Edit, place: Node, op: OpDef, attrs: Attrs, *read: str) -> str:
    return edit.add(op, attrs, read, span=place.span, made_by="backward")


def _product(
    nodes: dict[str, Node], reads: dict[str, tuple[str, ...]], name: str, lanes: Sequence[Axis]
) -> tuple[str, str] | None:
    """The two factors of a large product of smaller values."""
    node = nodes[name]
    if node.attrs != MapAttrs("mul"):
        return None
    hidden = {axis.name for axis in lanes}
    first, second = reads[name]
    whole = volume(node, hidden)
    smaller = max(volume(nodes[first], hidden), volume(nodes[second], hidden)) * 8 <= whole
    return (first, second) if whole >= LARGE and smaller else None
