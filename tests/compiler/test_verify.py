from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from neuraxis.compiler.graph import Graph, InternalError
from neuraxis.compiler.verify import verify
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axes, Axis, Body, DType, Node, Step, names
from neuraxis.dsl.items import item_attrs
from neuraxis.dsl.source import Span
from neuraxis.testing import graphs
from neuraxis.testing.drawing import SPAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis.compiler.graph import Edit

A, B, T = Axis("a", 2), Axis("b", 3), Axis("t", 4)


@given(graphs())
def test_what_is_drawn_is_well_formed(graph: Graph) -> None:
    verify(graph, "drawn")


def source(name: str, *axes: Axis, dtype: DType = DType.FLOAT) -> Step:
    attrs = ops.InputAttrs(names(axes), axes, dtype)
    return Step(Node(name, ops.INPUT, attrs, axes, dtype, SPAN, name), ())


def pointwise(name: str, fn: str, axes: Axes, *operands: str) -> Step:
    return Step(Node(name, ops.MAP, ops.MapAttrs(fn), axes, DType.FLOAT, SPAN), operands)


def recurrence() -> Graph:
    inside = Body(
        (source("s", A), source("u", A), pointwise("new", "add", (A,), "s", "u")), ("new", "u")
    )
    scan = ops.ScanAttrs(T, inside, 1, 1)
    start = Graph.from_body(Body((source("x", A, T), source("first", A)), ()))
    with start.edit() as edit:
        ran = edit.add(ops.SCAN, scan, ["first", "x"], span=SPAN, made_by="test")
        for index in range(2):
            edit.add(ops.ITEM, item_attrs(scan, index), [ran], span=SPAN, made_by="test")
        edit.set_results(["item_0", "item_1"])
    verify(edit.graph, "test")
    return edit.graph


def changed(change: Callable[[Edit], None]) -> Graph:
    with recurrence().edit() as edit:
        change(edit)
    return edit.graph


def put(name: str, **parts: object) -> Callable[[Edit], None]:
    def change(edit: Edit) -> None:
        edit.put(replace(edit.node(name), **parts))  # type: ignore[arg-type]  # any field

    return change


def scan_with(**parts: object) -> Callable[[Edit], None]:
    def change(edit: Edit) -> None:
        attrs = edit.node("scan_0").attrs
        assert isinstance(attrs, ops.ScanAttrs)
        put("scan_0", attrs=replace(attrs, **parts))(edit)  # type: ignore[arg-type]  # any field

    return change


def body_of(*steps: Step, results: tuple[str, ...] = ("new", "u")) -> Callable[[Edit], None]:
    return scan_with(body=Body(steps, results))


S, U, NEW = source("s", A), source("u", A), pointwise("new", "add", (A,), "s", "u")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (put("x", op=ops.STOP), "has InputAttrs as attributes"),
        (put("item_0", axes=(B,)), r"has type \[b=3\] float, not \[a=2\] float"),
        (put("item_0", dtype=DType.INT), r"has type \[a=2\] int, not"),
        (put("item_0", attrs=ops.ItemAttrs(7, (A,), DType.FLOAT)), "no such item"),
        (put("item_1", attrs=ops.ItemAttrs(1, (A,), DType.FLOAT), axes=(A,)), "not the type"),
        (put("item_0", site="x"), "has the address of %x"),
        (put("x", span=Span(SPAN.source, 3, 99)), "no place"),
        (lambda edit: edit.set_operands("scan_0", ["first"]), r"has 1 operands, not 2\.\.2"),
        (lambda edit: edit.set_operands("scan_0", ["x", "x"]), "value of another type"),
        (lambda edit: edit.set_operands("scan_0", ["first", "first"]), "no axis t"),
        (lambda edit: edit.set_results(["scan_0"]), "is a result with all of its items"),
        (scan_with(carries=3), "of another type|too few"),
        (body_of(S, U, NEW, results=()), "no such item|too few"),
        (body_of(S, U, pointwise("new", "and", (A,), "s", "u")), "turns its carry|has type"),
        (body_of(S, U, pointwise("new", "odd", (A,), "s", "u")), "%scan_0/new uses odd"),
        (body_of(S, U, pointwise("new", "add", (A,), "s")), r"new has 1 operands, not 2\.\.2"),
    ],
)
def test_what_is_not_is_refused(change: Callable[[Edit], None], why: str) -> None:
    with pytest.raises(InternalError, match=why) as caught:
        verify(changed(change), "the pass")
    assert str(caught.value).startswith("after the pass: %")


def test_a_scan_is_read_through_items() -> None:
    def change(edit: Edit) -> None:
        edit.add(ops.STOP, ops.StopAttrs(), ["scan_0"], span=SPAN, made_by="test")

    with pytest.raises(InternalError, match="reads all of %scan_0"):
        verify(changed(change), "test")


def test_nothing_is_drawn_in_a_body() -> None:
    attrs = ops.RandomAttrs((A,), ops.Distribution("normal", ()), "k")
    drawn = Step(Node("new", ops.RANDOM, attrs, (A,), DType.FLOAT, SPAN), ())
    with pytest.raises(InternalError, match="draws %new in its body"):
        verify(changed(body_of(S, U, drawn)), "test")


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (Node("w", ops.PARAM, ops.ParamAttrs((A,), ops.Distribution("normal", ())), (A,),
              DType.FLOAT, SPAN), "has no address"),
        (Node("w", ops.PARAM, ops.ParamAttrs((A,), ops.Distribution("odd", ())), (A,),
              DType.FLOAT, SPAN, "w"), "uses odd, which is not known"),
        (Node("w", ops.INPUT, ops.InputAttrs((), (A, A), DType.FLOAT), (A, A),
              DType.FLOAT, SPAN), "has a name twice"),
        (Node("w", ops.REDUCE, ops.ReduceAttrs("sum", ("q",)), (), DType.FLOAT, SPAN),
         "does not fit: no axis q"),
        (Node("w", ops.REDUCE, ops.ReduceAttrs("quantile", ()), (A,), DType.FLOAT, SPAN),
         "uses quantile"),
        (Node("w", ops.ALONG_OP, ops.AlongAttrs("odd", ()), (A,), DType.FLOAT, SPAN), "uses odd"),
    ],
)  # fmt: skip
def test_a_node_that_is_not_well_formed_is_refused(node: Node, why: str) -> None:
    operands = () if node.op.arity == (0, 0) else ("x",)
    graph = Graph.from_body(Body((source("x", A), Step(node, operands)), ("x",)))
    with pytest.raises(InternalError, match=why):
        verify(graph, "test")


def test_an_order_that_cannot_be_run_is_refused() -> None:
    graph = recurrence()
    nodes = {name: graph.node(name) for name in reversed(graph.in_order())}
    operands = {name: graph.operands(name) for name in nodes}
    with pytest.raises(InternalError, match="which is not before it"):
        verify(Graph(nodes, operands, graph.results), "test")
    with pytest.raises(InternalError, match="is a result, but not there"):
        verify(Graph({}, {}, ("gone",)), "test")
