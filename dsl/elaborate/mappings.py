"""`weights`: which parameter comes from which array of a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Collector, Note, Severity, Slug
from ..program import CheckedWeights, FileMapping
from .arrays import array, names, shape, turned
from .datasets import use_data
from .filling import CONFIG, folded
from .origins import origin_of
from .requests import elaborated, requested
from .scope import Frame
from .sites import is_turn, matches, pattern, unknown_site
from .structure import walk
from .study import Study
from .values import HaltError, Known, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core import Axes, Axis
    from ..modules import Module
    from ..program import CheckedModel
    from ..source import Span
    from .builder import Budget
    from .models import ModelRequest


def elaborate_weights(
    name: str, module: Module, collector: Collector, budget: Budget | None = None
) -> CheckedWeights | None:
    """The mapping of that name, one entry for each parameter; None if something in it is wrong."""
    study = Study(module, collector, budget)
    before = collector.errors
    try:
        origin = origin_of(name, study)
        assert origin is not None
        tree, home = origin.tree, origin.home
        assert isinstance(tree, s.Weights)
        assert isinstance(tree.file, s.Text)
        use_data(study, None, tree.model)
        request = requested(study, tree.model, home)
        model = elaborated(study, request)
        lines = _Lines(model, request, study)
        lines.read(tree.maps or ())
        missing = [address for address in lines.trained if address not in lines.found]
        if missing and collector.errors == before:
            _warn(missing, model, tree.span, collector)
    except HaltError:
        return None
    if collector.errors > before:
        return None
    return CheckedWeights(
        name,
        model,
        tree.file.value,
        tuple(lines.found.values()),
        tree.span,
        tuple(lines.skipped),
        origin.lacks_config,
    )


def _warn(missing: list[str], model: CheckedModel, span: Span, collector: Collector) -> None:
    general = sorted({re.sub(r"\[\d+\]", "[i]", address) for address in missing})
    shown = ", ".join(general[:6]) + (" ..." if len(general) > 6 else "")
    collector.report(
        Slug.UNKNOWN_SITE,
        f"{len(missing)} parameters of `{model.name}` get no weights and stay as drawn",
        span,
        severity=Severity.WARNING,
        notes=[Note(f"without weights: {shown}")],
        hint=f'{general[0]} = file["..."]',
    )


class _Lines:
    """The lines of a mapping, which may speak of the model's sizes and values."""

    def __init__(self, model: CheckedModel, request: ModelRequest, study: Study) -> None:
        held = [
            step.node
            for step in model.body.steps
            if isinstance(step.node.attrs, ops.ParamAttrs | ops.StateAttrs)
        ]
        self.axes: dict[str, Axes] = {node.site or "": node.axes for node in held}
        self.trained = [n.site or "" for n in held if isinstance(n.attrs, ops.ParamAttrs)]
        self.found: dict[str, FileMapping] = {}
        self.skipped: list[str] = []
        self.scope = study.scope.inner(frame=Frame(request.module), axes=_sizes(self.axes.values()))
        for param in request.block.params:
            value = request.values.get(param.name)
            if (
                param.axes is None
                and value is None
                and param.default is not None
                and param.kind != "block"
            ):
                value = self.scope.evaluate(param.default)
            if isinstance(value, Known):
                self.scope.names[param.name] = value

    def read(self, steps: tuple[s.Tree, ...]) -> None:
        """All lines; one that is wrong is reported, and the others go on."""
        for step in steps:
            try:
                self._read(step)
            except HaltError:
                continue

    def _read(self, step: s.Tree) -> None:
        if not isinstance(step, s.Branch):
            self._check_config(step)
        match step:
            case s.Map():
                self._map(step)
            case s.Skip(s.Index(s.Name("file"), items)):
                self.skipped += names(items, step.value, self.scope)
            case s.Skip(value):
                self.scope.fail(
                    Slug.BAD_FILE,
                    "arrays of the file are skipped",
                    value.span,
                    hint='skip file["*.attn.bias"]',
                )
            case s.Expect(condition):
                self._expect(condition)
            case s.Branch(cases):
                for case, body in cases:
                    if case is not None:
                        self._check_config(case)
                    if case is None or self.scope.constant(case, "a condition"):
                        self.read(body)
                        return

    def _check_config(self, tree: s.Tree) -> None:
        for part in walk(tree):
            if isinstance(part, s.Index) and part.base == s.Name(CONFIG):
                self.scope.fail(
                    Slug.NOT_CONSTANT,
                    "a line speaks of the sizes and values of the model, which the config says "
                    "at the head of the mapping",
                    part.span,
                    hint=f"weights pretrained of gpt[d = {part.span.text}] from ...",
                )

    def _expect(self, condition: s.Expr) -> None:
        if self.scope.constant(folded(condition), "what a mapping expects"):
            return
        said = [
            Note(f"{part.span.text} is {_shown(part)}")
            for part in walk(condition)
            if isinstance(part, s.Number | s.Text | s.Name) and part.span.text.startswith(CONFIG)
        ]
        self.scope.fail(
            Slug.FAILED_EXPECTATION,
            "the mapping is for other checkpoints than this one",
            condition.span,
            notes=said,
        )

    def _map(self, entry: s.Map) -> None:
        scope = self.scope.inner(names={})
        for tree in walk(entry.site):
            if (
                isinstance(tree, s.Index)
                and is_turn(tree.items)
                and isinstance(by := tree.items[0], s.Name)
            ):
                scope.names[by.id] = self._turn(entry.span)
        path = pattern(entry.site, scope)
        hits = matches(path, self.axes, {})
        if not hits:
            unknown_site(path, self.axes, entry.site, scope)
        for address, turns in hits:
            axes = self.axes[address]
            inner = self.scope.inner(axes={axis.name: axis for axis in axes})
            given = array(entry.value, inner)
            values = {by: turn for (_, by), turn in zip(path.open, turns, strict=False)}
            named = turned(given.names, values, entry.value, inner, axes)
            picks = shape(entry, named, axes, address, inner)
            cuts, order = given.cuts, entry.order
            if address in self.found:
                scope.fail(
                    Slug.DUPLICATE_NAME,
                    f"`{address}` gets its weights twice",
                    entry.span,
                    notes=[Note("the first time", self.found[address].span)],
                )
            self.found[address] = FileMapping(
                address, named, entry.span, cuts, order, picks, given.scale, given.shift
            )

    def _turn(self, span: Span) -> Value:
        """What stands for a turn that is left open."""
        builder = self.scope.builder
        for step in builder.steps:
            return Value(step.node)
        return Value(builder.emit(ops.CONST, ops.ConstAttrs(0), [], span))


def _shown(tree: s.Tree) -> str:
    """A value of a config."""
    match tree:
        case s.Text(value):
            return f'"{value}"'
        case s.Number(number):
            return str(number)
        case s.Name(word):
            return word
    raise TypeError(tree)


def _sizes(all_axes: Iterable[Axes]) -> dict[str, Axis]:
    """The axes that have one size in all parameters: their names alone say which they are."""
    found: dict[str, Axis] = {}
    other: set[str] = set()
    for axes in all_axes:
        for axis in axes:
            if found.setdefault(axis.name, axis).size != axis.size:
                other.add(axis.name)
    return {name: axis for name, axis in found.items() if name not in other}
