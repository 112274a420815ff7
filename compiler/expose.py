"""The node at an address, made readable from outside: one inside a scan becomes a result of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..dsl.core import Step
from ..dsl.items import item_attrs
from ..dsl.ops import ITEM, ScanAttrs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..dsl.core import Body
    from .graph import Edit, Graph


def expose(graph: Graph, addresses: Iterable[str]) -> tuple[Graph, dict[str, str]]:
    """The graph, and the node that holds each address. Raises KeyError for one that nothing has."""
    with graph.edit() as edit:
        known = graph.sites()
        found = {a: known[a] if a in known else _in_scans(edit, graph, a) for a in addresses}
    return edit.graph, found


def _in_scans(edit: Edit, graph: Graph, address: str) -> str:
    for name in graph.in_order():
        attrs = edit.node(name).attrs
        if isinstance(attrs, ScanAttrs):
            inner = _inner(attrs.body, address)
            if inner is not None:
                body, result = inner
                new = replace(attrs, body=replace(body, results=(*body.results, result)))
                node = replace(edit.node(name), attrs=new)
                edit.put(node)
                item = item_attrs(new, len(new.body.results) - 1)
                return edit.add(
                    ITEM, item, [name], span=node.span, scope=node.scope, made_by="expose"
                )
    raise KeyError(address)


def _inner(body: Body, address: str) -> tuple[Body, str] | None:
    """The node at the address in a body, and the body with what is needed for it to be read."""
    for step in body.steps:
        if step.node.site == address:
            return body, step.node.name
    for place, step in enumerate(body.steps):
        if isinstance(step.node.attrs, ScanAttrs):
            inner = _inner(step.node.attrs.body, address)
            if inner is None:
                continue
            deeper, result = inner
            attrs = replace(
                step.node.attrs, body=replace(deeper, results=(*deeper.results, result))
            )
            scan = replace(step.node, attrs=attrs)
            item = item_attrs(attrs, len(attrs.body.results) - 1)
            read = replace(
                scan,
                name=f"{scan.name}.{result}",
                op=ITEM,
                attrs=item,
                axes=item.axes,
                dtype=item.dtype,
                site=None,
            )
            steps = [*body.steps[:place], replace(step, node=scan)]
            steps.append(Step(read, (scan.name,)))
            return replace(body, steps=(*steps, *body.steps[place + 1 :])), read.name
    return None
