"""`weights`: which parameter comes from which array of a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Collector, Note, Severity, Slug, or_nearest
from ..program import CheckedWeights, Cut, FileMapping
from .datasets import use_data
from .requests import elaborated, requested
from .sites import is_turn, matches, pattern, unknown_site
from .structure import walk
from .study import Study
from .values import HaltError, Value

if TYPE_CHECKING:
    from ..core import Axes
    from ..modules import Module
    from .builder import Budget


def elaborate_weights(
    tree: s.Weights, module: Module, collector: Collector, budget: Budget | None = None
) -> CheckedWeights | None:
    """The mapping, one entry for each parameter; None if something in it is wrong."""
    study = Study(module, collector, budget)
    before = collector.errors
    try:
        use_data(study, None, tree.model)
        model = elaborated(study, requested(study, tree.model))
        if not isinstance(tree.file, s.Text):
            study.scope.fail(
                Slug.BAD_FILE,
                "the file of weights is named",
                tree.file.span,
                hint='from "model.safetensors"',
            )
        params = {
            step.node.site or "": step.node.axes
            for step in model.body.steps
            if isinstance(step.node.attrs, ops.ParamAttrs)
        }
        found: dict[str, FileMapping] = {}
        for entry in tree.maps:
            try:
                for mapping in _entry(entry, params, study):
                    _add(mapping, found, study)
            except HaltError:
                continue
        missing = [address for address in params if address not in found]
        if missing and collector.errors == before:
            general = sorted({re.sub(r"\[\d+\]", "[i]", address) for address in missing})
            collector.report(
                Slug.UNKNOWN_SITE,
                f"{len(missing)} parameters of `{model.name}` get no weights and stay as drawn",
                tree.span,
                severity=Severity.WARNING,
                notes=[
                    Note(
                        f"without weights: {', '.join(general[:6])}"
                        + (" ..." if len(general) > 6 else "")
                    )
                ],
                hint=f'{general[0]} = file["..."]',
            )
    except HaltError:
        return None
    if collector.errors > before:
        return None
    return CheckedWeights(tree.name, model, tree.file.value, tuple(found.values()), tree.span)


def _add(mapping: FileMapping, found: dict[str, FileMapping], study: Study) -> None:
    if mapping.address in found:
        study.scope.fail(
            Slug.DUPLICATE_NAME,
            f"`{mapping.address}` gets its weights twice",
            mapping.span,
            notes=[Note("the first time", found[mapping.address].span)],
        )
    found[mapping.address] = mapping


def _entry(entry: s.Map, params: dict[str, Axes], study: Study) -> list[FileMapping]:
    scope = study.scope.inner(names={})
    marker = next((step.node for step in study.scope.builder.steps), None)
    for tree in walk(entry.site):
        if isinstance(tree, s.Index) and is_turn(tree.items) and isinstance(tree.items[0], s.Name):
            if marker is None:
                marker = study.scope.builder.emit(ops.CONST, ops.ConstAttrs(0), [], entry.span)
            scope.names[tree.items[0].id] = Value(marker)
    path = pattern(entry.site, scope)
    hits = matches(path, params, {})
    if not hits:
        unknown_site(path, params, entry.site, scope)
    key, cuts = _source(entry.value, study)
    result = []
    for address, turns in hits:
        values = {by: turn for (_, by), turn in zip(path.open, turns, strict=False)}
        _check_order(entry, params[address], address, study)
        shown = key
        for by, turn in values.items():
            shown = shown.replace(f"{{{by}}}", str(turn))
        if "{" in shown:
            study.scope.fail(
                Slug.UNKNOWN_NAME,
                f"`{key}` names a turn that the site does not",
                entry.value.span,
                hint=or_nearest(shown, values),
            )
        result.append(FileMapping(address, shown, cuts, entry.order, entry.span))
    return result


def _source(tree: s.Expr, study: Study) -> tuple[str, tuple[Cut | int, ...]]:
    """`file["name"]`, or a part of it: `file["name"][:, 0..768]`."""
    match tree:
        case s.Index(s.Name("file"), (s.Text(key),)):
            return key, ()
        case s.Index(base, items):
            key, earlier = _source(base, study)
            if earlier:
                study.scope.fail(Slug.BAD_INDEX, "a part is taken once", tree.span)
            return key, tuple(_cut(item, study) for item in items)
    study.scope.fail(
        Slug.BAD_FILE, "weights come from the file", tree.span, hint='file["wte.weight"]'
    )
    return None


def _cut(item: s.Item, study: Study) -> Cut | int:
    match item:
        case s.Everything():
            return (None, None)
        case s.Range(start, stop):
            low = study.scope.whole(start, "where a part starts") if start is not None else None
            high = study.scope.whole(stop, "where a part ends") if stop is not None else None
            return (low, high)
        case s.Number(int() as place):
            return place
    study.scope.fail(Slug.BAD_INDEX, "of an array, ranges are taken", item.span, hint="[:, 0..768]")
    return None


def _check_order(entry: s.Map, axes: Axes, address: str, study: Study) -> None:
    if entry.order is None:
        return
    given = sorted(name for group in entry.order for name in group)
    wanted = sorted(axis.name for axis in axes)
    if given != wanted:
        study.scope.fail(
            Slug.AXIS_MISMATCH,
            f"`{address}` has axes {', '.join(wanted)}, and `as` names {', '.join(given)}",
            entry.span,
        )
