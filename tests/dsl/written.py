"""Small specs for tests: written in a line or two, checked, and looked at by address."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from neuraxis.dsl.check import Checked, check_text
from neuraxis.dsl.diagnostics import render
from neuraxis.dsl.ops import ScanAttrs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuraxis.dsl.core import Body, Node
    from neuraxis.dsl.program import CheckedModel

TINY = """\
model tiny[d = 8, vocab = 16](tokens[b, t of b]: int, L = 2) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 0.02)
    x = wte[vocab = tokens]
    repeat layer * L:
        attn = attention[h = 2, k = 4](layernorm[d](x))
        mid = x + attn
        ffn = mlp(layernorm[d](mid))
        x = mid + ffn
    logits = dot[d](layernorm[d](x), wte)
    return logits

data words = repeats(n = 64, t = 8, vocab = 16)
"""


def block(header: str, body: str) -> str:
    """A statement with its body indented."""
    return f"{header}:\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}\n"


def model_text(head: str, body: str, before: str = "") -> str:
    """A model `m`; `head` is what follows its name."""
    return f"{textwrap.dedent(before).strip()}\n\n{block(f'model m{head}', body)}"


def read(head: str, body: str, before: str = "") -> CheckedModel:
    """The model, which is right."""
    return right(model_text(head, body, before)).models["m"]


def right(text: str) -> Checked:
    """A text in which nothing is wrong."""
    found = check_text("spec.nax", text)
    assert found.ok, f"{text}\n{render(found.diagnostics)}"
    return found


def wrong(text: str) -> list[str]:
    """The slugs of all that is found in a text."""
    found = check_text("spec.nax", text)
    assert not found.ok, text
    return [str(d.slug) for d in found.diagnostics]


def refused(head: str, body: str, before: str = "") -> list[str]:
    """What is wrong with a model."""
    return wrong(model_text(head, body, before))


def nodes(body: Body) -> Iterator[tuple[str, Node]]:
    """All that has an address; a value that a scan makes as it stands outside."""
    for step in body.steps:
        if isinstance(step.node.attrs, ScanAttrs):
            yield from nodes(step.node.attrs.body)
        if step.node.site is not None:
            yield step.node.site, step.node


def sites(model: CheckedModel) -> list[str]:
    """Every address, in order, each once."""
    return list(dict.fromkeys(site for site, _ in nodes(model.body)))


def at(model: CheckedModel, address: str) -> Node:
    """The value at an address."""
    return dict(nodes(model.body))[model.aliases.get(address, address)]


def axes(model: CheckedModel, address: str) -> dict[str, str]:
    """Its axes with their sizes, as text: their order means nothing."""
    return {axis.name: str(axis.size) for axis in at(model, address).axes}


def kind(model: CheckedModel, address: str) -> str:
    """What a value holds."""
    return str(at(model, address).dtype)


def params(model: CheckedModel) -> dict[str, str]:
    """The parameters, each with its axes and sizes in written order."""
    return {
        step.node.site or "": " ".join(map(str, step.node.axes))
        for step in model.body.steps
        if step.node.op.name == "param"
    }
