"""Data in a study: which of it is used, and its fields as inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..core import DType
from ..diagnostics import Slug, or_nearest
from ..program import DataPart, FieldInput, StatisticInput
from ..signatures import declared_field
from ..sources import SIGNATURES
from .structure import walk
from .values import HaltError, Table, Val, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..modules import Module
    from ..signatures import FieldSignature
    from .scope import Scope
    from .study import Study

STATISTICS = {"ngram": {"n": 5.0}}
TEXT = "text"  # what shows tokens as text


def use_data(study: Study, tree: s.Expr | None, reader: s.Tree | None = None) -> DataPart | None:
    """The data of the study under its name; without `on`, all data of the file, or of those
    what `reader` speaks of."""
    study.tables = {}
    part = _part(study, tree) if tree is not None else None
    spoken = _words(reader, study.module) if reader is not None else None
    for name in study.module.names() if part is None else [part.name]:
        found = study.module.find(name)
        if found is None or not isinstance(found[0], s.Data):
            continue
        fields = {field.name for field in data_fields(found[0]) or ()}
        if part is not None or spoken is None or name in spoken or fields & spoken:
            _table(study, name, found[0], part)
    if part is None:  # without `on`, any data of the file may be used by name
        return None
    if part.name not in study.tables:
        raise HaltError
    return part


def _words(reader: s.Tree, module: Module) -> set[str] | None:
    """All names in a definition and the interventions that it speaks of; None if a text is among
    them, which is read by the tokeniser of any data."""
    words: set[str] = set()
    for tree in spoken([reader], module):
        if isinstance(tree, s.Text):
            return None
        if isinstance(tree, s.Name | s.At):
            words.add(tree.id)
    return words


def spoken(trees: Iterable[s.Tree], module: Module) -> Iterator[s.Tree]:
    """All that stands in these trees and in the interventions that they speak of."""
    waiting, seen = list(trees), set[str]()
    while waiting:
        for tree in walk(waiting.pop()):
            yield tree
            if isinstance(tree, s.Name) and tree.id not in seen:
                seen.add(tree.id)
                found = module.find(tree.id)
                if found is not None and isinstance(found[0], s.Intervention):
                    waiting.append(found[0])


def _part(study: Study, tree: s.Expr) -> DataPart:
    start = stop = None
    base = tree
    if isinstance(tree, s.Index):
        match tree.items:
            case (s.Bind("b", s.Range(low, high)),):
                start = study.scope.size_of(low) if low is not None else None
                stop = study.scope.size_of(high) if high is not None else None
            case _:
                study.scope.fail(
                    Slug.BAD_INDEX,
                    "of data, a range of examples is taken",
                    tree.span,
                    hint=f"{tree.base.span.text}[b = 0..64]",
                )
        base = tree.base
    if not isinstance(base, s.Name):
        study.scope.fail(Slug.UNKNOWN_NAME, "what follows `on` is data", tree.span)
    found = study.module.find(base.id)
    if base.id in study.module.broken:
        raise HaltError
    if found is None or not isinstance(found[0], s.Data):
        known = [
            n
            for n in study.module.names()
            if (f := study.module.find(n)) and isinstance(f[0], s.Data)
        ]
        study.scope.fail(
            Slug.UNKNOWN_NAME,
            f"no data is called `{base.id}`",
            base.span,
            hint=or_nearest(base.id, known),
        )
    return DataPart(
        base.id,
        start if isinstance(start, int) else None,
        stop if isinstance(stop, int) else None,
    )


def _table(study: Study, name: str, data: s.Data, part: DataPart | None) -> None:
    fields = data_fields(data)
    if fields is None:
        return
    nodes = {}
    for field in fields:
        value = study.input(FieldInput(name, field.name), field.axes, field.dtype, data.span)
        nodes[field.name] = value.node
        if field.kind == "position":
            study.scope.frame.positions[field.name] = value.node
        for axis in field.axes:
            study.scope.axes.setdefault(axis.name, axis)
    table = Table(name, nodes)
    study.tables[name] = table
    study.scope.names[name] = table
    if part is not None:
        for field_name, node in nodes.items():
            study.scope.names.setdefault(field_name, Value(node))


def statistic(study: Study, tree: s.Call, scope: Scope) -> Val:
    """`ngram(text, n = 5)`: a number that a baseline reaches on data."""
    assert isinstance(tree.target, s.Name)
    name = tree.target.id
    table = scope.evaluate(tree.args[0].value) if tree.args and tree.args[0].name is None else None
    if not isinstance(table, Table):
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{name}` is a statistic of data",
            tree.span,
            hint=f"{name}(text, n = 5)",
        )
    options = dict(STATISTICS[name])
    for arg in tree.args[1:]:
        if arg.name not in options:
            scope.fail(
                Slug.UNKNOWN_OPTION,
                f"`{name}` has no option `{arg.name}`",
                arg.span,
                hint=or_nearest(arg.name or "", options),
            )
        options[arg.name or ""] = float(scope.constant(arg.value, "an option"))
    return study.input(
        StatisticInput(name, table.name, tuple(options.items())), (), DType.FLOAT, tree.span
    )


def text_axis(study: Study) -> str | None:
    """The axis along which the tokens of a text stand in the data."""
    for name in study.tables:
        found = study.module.find(name)
        assert found is not None
        assert isinstance(found[0], s.Data)
        fields = data_fields(found[0]) or ()
        for field in sorted(fields, key=lambda field: field.kind != "text"):
            if field.dtype is DType.INT and len(field.axes) == 2:
                return field.axes[1].name
    return None


def data_fields(data: s.Data) -> tuple[FieldSignature, ...] | None:
    """The fields of a data statement; None if it holds a mistake, which its own check reports."""
    if not isinstance(data.value, s.Call) or not isinstance(data.value.target, s.Name):
        return None
    signature = SIGNATURES.get(data.value.target.id)
    if signature is None:
        return None
    if signature.declared:
        declared = [declared_field(field) for field in data.fields]
        return tuple(f for f in declared if f is not None) if all(declared) else None
    return signature.fields_for(data_options(data))


def data_options(data: s.Data) -> dict[str, int | float | bool | str | None]:
    """The options of a data statement that are plain numbers, texts and names."""
    options: dict[str, int | float | bool | str | None] = {}
    assert isinstance(data.value, s.Call)
    assert isinstance(data.value.target, s.Name)
    signature = SIGNATURES.get(data.value.target.id)
    order = [option.name for option in signature.options] if signature else []
    for place, arg in enumerate(data.value.args):
        key = arg.name or (order[place] if place < len(order) else f"#{place}")
        match arg.value:
            case s.Number(value) | s.Text(value):
                options[key] = value
            case s.Unary("-", s.Number(value)):
                options[key] = -value
            case s.Name("true" | "false" as truth):
                options[key] = truth == "true"
            case s.Name(name):
                options[key] = name
    return options
