"""Sizes and values from outside: `--set gpt.d=128` replaces what a header has as default."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import syntax as s
from .diagnostics import Collector, Slug, or_nearest
from .modules import std_index
from .source import Source, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .modules import Module


def apply_settings(module: Module, settings: Sequence[str], collector: Collector) -> None:
    """Change the headers of blocks and models of the file, and of those that it imports."""
    for text in settings:
        span = Span(Source("--set", text), 0, len(text))
        path, _, value = text.partition("=")
        block, _, name = path.strip().partition(".")
        try:
            number = _number(value.strip())
        except ValueError:
            collector.report(
                Slug.WRONG_ARGUMENTS, f"`{text}` sets no number", span, hint="gpt.d=128"
            )
            continue
        if block in std_index() and block not in module.names() and module.library is None:
            module.with_own_library()
        found = module.find(block)
        if found is None or not isinstance(found[0], s.Block):
            known = [
                n for n in module.names() if (f := module.find(n)) and isinstance(f[0], s.Block)
            ]
            collector.report(
                Slug.UNKNOWN_BLOCK,
                f"no block or model is called `{block}`",
                span,
                hint=or_nearest(block, known),
            )
            continue
        tree, home = found[0], found[1]
        changed = _with(tree, name, s.Number(number, span=span))
        if changed is None:
            names = [i.axis for i in tree.axes if isinstance(i, s.Bind)] + [
                p.name for p in tree.params if p.default is not None
            ]
            collector.report(
                Slug.WRONG_ARGUMENTS,
                f"`{block}` has no size or value `{name}`",
                span,
                hint=or_nearest(name, names) or f"one of {', '.join(names)}",
            )
            continue
        home.own[tree.name] = changed
        statements = tuple(changed if old is tree else old for old in home.tree.statements)
        home.tree = replace(home.tree, statements=statements)


def _number(text: str) -> int | float | bool:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)


def _with(tree: s.Block, name: str, value: s.Number) -> s.Block | None:
    axes = tuple(
        replace(item, value=value) if isinstance(item, s.Bind) and item.axis == name else item
        for item in tree.axes
    )
    params = tuple(
        replace(p, default=value) if p.name == name and p.default is not None else p
        for p in tree.params
    )
    if axes == tree.axes and params == tree.params and not _already(tree, name, value):
        return None
    return replace(tree, axes=axes, params=params)


def _already(tree: s.Block, name: str, value: s.Number) -> bool:
    """Whether the default is that value as it stands."""
    sized = any(isinstance(i, s.Bind) and i.axis == name and i.value == value for i in tree.axes)
    return sized or any(p.name == name and p.default == value for p in tree.params)
