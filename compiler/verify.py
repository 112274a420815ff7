"""What holds of every graph, whatever pass it comes from: one `check_*` function each.

A violation is a mistake of ours and raises InternalError with the pass that made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl.core import Body, names, without
from ..dsl.functions import ALONG, MAPS, REDUCTIONS
from ..dsl.items import body_inputs, body_results, item_attrs
from ..dsl.ops import (
    AlongAttrs,
    Distribution,
    Gather,
    IndexAttrs,
    ItemAttrs,
    MapAttrs,
    OpError,
    ParamAttrs,
    RandomAttrs,
    ReduceAttrs,
    ScanAttrs,
    StateAttrs,
)
from .draws import DISTRIBUTIONS
from .graph import Graph, InternalError
from .lift import becomes, same

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..dsl.core import Axes, Axis, DType, Node

    Check = Callable[[Graph, str], None]


def verify(graph: Graph, pass_name: str) -> None:
    """Run every check, also on the bodies of scans and of initial values."""
    for check in CHECKS:
        check(graph, pass_name)
    for name in graph.in_order():
        attrs = graph.node(name).attrs
        match attrs:
            case (
                ScanAttrs(body=body)
                | ParamAttrs(init=Body() as body)
                | StateAttrs(init=Body() as body)
            ):
                _verify_inside(body, name, pass_name)


def _verify_inside(body: Body, name: str, pass_name: str) -> None:
    try:
        verify(Graph.from_body(body), pass_name)
    except InternalError as error:
        raise InternalError(pass_name, f"{name}/{error.node}", error.why) from error


def check_order(graph: Graph, pass_name: str) -> None:
    """Whatever a node reads is there and stands before it: no cycles."""
    seen: set[str] = set()
    for name in graph.in_order():
        for operand in graph.operands(name):
            if operand not in seen:
                raise InternalError(pass_name, name, f"reads %{operand}, which is not before it")
        seen.add(name)
    for name in graph.results:
        if name not in seen:
            raise InternalError(pass_name, name, "is a result, but not there")


def check_operands(graph: Graph, pass_name: str) -> None:
    """Each operation has its own class of attributes and as many operands as it takes."""
    for name in graph.in_order():
        node = graph.node(name)
        if not isinstance(node.attrs, node.op.attrs):
            raise InternalError(pass_name, name, f"has {type(node.attrs).__name__} as attributes")
        found = len(graph.operands(name))
        low, high = _arity(node)
        if found < low or (high is not None and found > high):
            raise InternalError(pass_name, name, f"has {found} operands, not {low}..{high}")


def _arity(node: Node) -> tuple[int, int | None]:
    match node.attrs:
        case MapAttrs(fn=fn) if fn in MAPS:
            return MAPS[fn].arity, MAPS[fn].arity
        case IndexAttrs(how=how):
            return (2, 2) if isinstance(how, Gather) else (1, 1)
        case ScanAttrs(body=body):
            return len(body_inputs(body)), len(body_inputs(body))
    return node.op.arity


def check_functions(graph: Graph, pass_name: str) -> None:
    """Functions and distributions are ones that we know."""
    for name in graph.in_order():
        match graph.node(name).attrs:
            case MapAttrs(fn=fn):
                known = fn in MAPS
            case ReduceAttrs(fn=fn, argument=argument):
                known = fn in REDUCTIONS and (fn != "quantile" or argument is not None)
            case AlongAttrs(fn=fn):
                known = fn in ALONG
            case (
                ParamAttrs(init=Distribution(name=fn))
                | StateAttrs(init=Distribution(name=fn))
                | RandomAttrs(distribution=Distribution(name=fn))
            ):
                known = fn in DISTRIBUTIONS
            case _:
                continue
        if not known:
            raise InternalError(pass_name, name, f"uses {fn}, which is not known")


def check_types(graph: Graph, pass_name: str) -> None:
    """Each node has the axes and the dtype that its rule gives, no name twice among the axes."""
    for name in graph.in_order():
        node = graph.node(name)
        types = [(graph.node(o).axes, graph.node(o).dtype) for o in graph.operands(name)]
        try:
            inferred = node.op.infer(node.attrs, types)
        except OpError as error:
            raise InternalError(pass_name, name, f"does not fit: {error}") from error
        if inferred != (node.axes, node.dtype) and not same(inferred, (node.axes, node.dtype)):
            found = f"{_shown(node.axes)} {node.dtype}"
            why = f"has type {found}, not {_shown(inferred[0])} {inferred[1]}"
            raise InternalError(pass_name, name, why)
        if len(node.axis_names) != len(node.axes):
            raise InternalError(pass_name, name, f"has a name twice in {names(node.axes)}")


def _shown(axes: tuple[object, ...]) -> str:
    return f"[{', '.join(map(str, axes))}]"


def check_scans(graph: Graph, pass_name: str) -> None:
    """Bodies fit their operands, carries keep their types, and items are the only readers."""
    for name in graph.in_order():
        match graph.node(name).attrs:
            case ScanAttrs() as attrs:
                _check_scan(graph, name, attrs, pass_name)
            case ItemAttrs() as attrs:
                scan = graph.node(graph.operands(name)[0]).attrs
                if not isinstance(scan, ScanAttrs) or attrs.index >= len(scan.body.results):
                    raise InternalError(pass_name, name, "is an item of what has no such item")
                real = item_attrs(scan, attrs.index)
                if not same((attrs.axes, attrs.dtype), (real.axes, real.dtype)):
                    raise InternalError(pass_name, name, "has not the type of its scan's result")


def _check_scan(graph: Graph, name: str, scan: ScanAttrs, pass_name: str) -> None:
    inputs = body_inputs(scan.body)
    for position, (operand, own) in enumerate(zip(graph.operands(name), inputs, strict=True)):
        given = graph.node(operand)
        axes = given.axes
        if position < scan.carries:
            fits = becomes(given, own)
        elif position < scan.carries + scan.steps:
            fits = scan.axis in axes and same((own.axes, own.dtype), _present(given, scan.axis))
        else:
            fits = same((own.axes, own.dtype), (given.axes, given.dtype))
        if not fits or scan.axis.name in own.axis_names:
            raise InternalError(pass_name, name, f"gives %{own.name} a value of another type")
    results = body_results(scan.body)
    if len(results) < scan.carries or len(inputs) < scan.carries + scan.steps:
        raise InternalError(pass_name, name, "has too few inputs or results in its body")
    for own, new in zip(inputs, results[: scan.carries], strict=False):
        if not becomes(new, own):
            raise InternalError(pass_name, name, f"turns its carry %{own.name} into another type")
    for user, _ in graph.users(name):
        if not isinstance(graph.node(user).attrs, ItemAttrs):
            raise InternalError(pass_name, user, f"reads all of %{name}")
    if name in graph.results:
        raise InternalError(pass_name, name, "is a result with all of its items")
    for step in scan.body.steps:
        if isinstance(step.node.attrs, RandomAttrs):
            raise InternalError(pass_name, name, f"draws %{step.node.name} in its body")


def _present(value: Node, axis: Axis) -> tuple[Axes, DType]:
    """The type of a per-step value at one step."""
    return without(value.axes, [axis.name]), value.dtype


def check_sites(graph: Graph, pass_name: str) -> None:
    """An address belongs to one node; parameters and states have one."""
    seen: dict[str, str] = {}
    for name in graph.in_order():
        node = graph.node(name)
        if node.site is None:
            if isinstance(node.attrs, ParamAttrs | StateAttrs):
                raise InternalError(pass_name, name, "has no address")
        elif seen.setdefault(node.site, name) != name:
            raise InternalError(pass_name, name, f"has the address of %{seen[node.site]}")


def check_spans(graph: Graph, pass_name: str) -> None:
    """Every node knows where in a spec it comes from."""
    for name in graph.in_order():
        span = graph.node(name).span
        if not 0 <= span.start <= span.end <= len(span.source.text):
            raise InternalError(pass_name, name, f"comes from {span.start}..{span.end}, no place")


CHECKS: tuple[Check, ...] = (
    check_order,
    check_operands,
    check_functions,
    check_types,
    check_scans,
    check_sites,
    check_spans,
)
