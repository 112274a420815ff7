from __future__ import annotations

import copy
import pickle

import networkx
import pytest
from hypothesis import given, note

from neuraxis.compiler.graph import Graph, InternalError
from neuraxis.compiler.show import show
from neuraxis.compiler.verify import verify
from neuraxis.dsl import ops
from neuraxis.dsl.core import Axis, Body, DType, Node, Step
from neuraxis.dsl.sizes import symbol
from neuraxis.testing import graphs
from neuraxis.testing.drawing import SPAN


@given(graphs())
def test_a_graph_is_its_program(graph: Graph) -> None:
    again = Graph.from_body(graph.to_body())
    assert show(again) == show(graph)
    assert again.to_body() == graph.to_body()


@given(graphs())
def test_networkx_has_each_operand_at_its_position(graph: Graph) -> None:
    note(show(graph))
    assert list(graph.nx) == list(graph.in_order())
    assert networkx.is_directed_acyclic_graph(graph.nx)
    assert networkx.is_frozen(graph.nx)
    for name in graph.in_order():
        found = {position: operand for operand, _, position in graph.nx.in_edges(name, keys=True)}
        assert tuple(found[position] for position in sorted(found)) == graph.operands(name)
        assert graph.nx.nodes[name] == {"node": graph.node(name)}
        assert graph.descendants([name]) == networkx.descendants(graph.nx, name)
        assert graph.ancestors([name]) == networkx.ancestors(graph.nx, name)
        assert graph.users(name) == tuple(
            (user, position)
            for user in graph.in_order()
            for position, operand in enumerate(graph.operands(user))
            if operand == name
        )


@given(graphs())
def test_an_edit_leaves_the_graph_as_it_was(graph: Graph) -> None:
    before = show(graph)
    with graph.edit() as edit:
        for name in graph.in_order():
            if graph.node(name).op is not ops.SCAN:
                attrs = ops.StopAttrs()
                new = edit.add(ops.STOP, attrs, [name], span=SPAN, made_by="test")
                edit.redirect(name, new)
    verify(edit.graph, "test")
    assert show(graph) == before
    order = [name for name in edit.graph.in_order() if not name.startswith("stop_")]
    assert order == list(graph.in_order())


def chain(*axes: Axis) -> Graph:
    x = Node("x", ops.INPUT, ops.InputAttrs((), axes, DType.FLOAT), axes, DType.FLOAT, SPAN, "x")
    with Graph.from_body(Body((Step(x, ()),), ("x",))).edit() as edit:
        y = edit.add(ops.MAP, ops.MapAttrs("add"), ["x", "x"], span=SPAN, site="y", made_by="test")
        z = edit.add(ops.MAP, ops.MapAttrs("exp"), [y], span=SPAN, made_by="test")
        edit.set_results([z, y])
    return edit.graph


T = Axis("t", symbol("t"))


def test_what_is_added_stands_before_its_first_reader() -> None:
    graph = chain(T)
    with graph.edit() as edit:
        new = edit.add(ops.MAP, ops.MapAttrs("neg"), ["x"], span=SPAN, made_by="test")
        edit.redirect("x", new, only=["add_0"])
    assert edit.graph.in_order() == ("x", "neg_0", "add_0", "exp_0")
    assert edit.graph.operands("add_0") == ("neg_0", "neg_0")
    assert graph.operands("add_0") == ("x", "x")
    assert edit.graph.results == ("exp_0", "add_0")


def test_redirect_moves_results_unless_some_readers_are_named() -> None:
    with chain(T).edit() as edit:
        edit.redirect("add_0", "x", only=["exp_0"])
        assert edit.results == ("exp_0", "add_0")
        edit.redirect("add_0", "x")
        edit.remove("add_0")
    assert edit.graph.results == ("exp_0", "x")
    assert edit.graph.users("x") == (("exp_0", 0),)


def test_sites_find_nodes() -> None:
    graph = chain(T)
    assert graph.sites() == {"x": "x", "y": "add_0"}
    assert graph.at_site("y") == "add_0"
    assert graph.at_site("z") is None
    assert "add_0" in graph
    assert len(graph) == 3
    assert repr(graph) == "<Graph of 3 nodes>"


def test_what_is_read_is_not_removed() -> None:
    with pytest.raises(InternalError, match="%add_0 is removed, but still read"):
        chain(T).edit().__enter__().remove("add_0")


def test_a_cycle_is_refused() -> None:
    edit = chain(T).edit().__enter__()
    edit.set_operands("add_0", ["x", "exp_0"])
    with pytest.raises(InternalError, match="needs itself"):
        edit.done()


def test_a_program_that_reads_what_is_not_there_is_refused() -> None:
    body = chain(T).to_body()
    with pytest.raises(InternalError, match="%x is read, but not there"):
        Graph.from_body(Body(body.steps[1:], body.results))
    with pytest.raises(InternalError, match="%gone is a result, but not there"):
        Graph.from_body(Body(body.steps, ("gone",)))
    with pytest.raises(InternalError, match="%x is there twice"):
        Graph.from_body(Body(body.steps + body.steps[:1], body.results))


def test_only_what_is_there_is_put() -> None:
    graph = chain(T)
    with pytest.raises(KeyError), graph.edit() as edit:
        edit.put(Node("new", ops.STOP, ops.StopAttrs(), (), DType.FLOAT, SPAN))
    with pytest.raises(RuntimeError, match="not done"):
        _ = edit.graph


def test_rewrite_replaces_and_clears() -> None:
    def rule(edit: object, node: Node) -> str | None:
        return "x" if node.name == "add_0" else None

    graph = chain(T).rewrite(rule)
    assert show(graph) == "%x[t] = input() {order=(), axes=(t), dtype=float}  # x\n" + (
        "%exp_0[t] = map(%x) {fn=exp}\nreturn %exp_0, %x\n"
    )


def test_operations_stay_themselves_when_copied() -> None:
    for op in ops.OPS:
        assert pickle.loads(pickle.dumps(op)) is op
        assert copy.deepcopy(op) is op
