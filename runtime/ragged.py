"""Examples of several lengths: which axes are ragged, and what holds of each example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..compiler.lengths import UnsupportedError
from ..compiler.passes.pad import pad
from ..dsl import sizes
from ..dsl.diagnostics import Slug, SpecError
from ..dsl.program import FieldInput
from ..dsl.signatures import EXAMPLES
from .mistakes import mistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from ..compiler.graph import Graph
    from ..dsl.core import Node
    from ..dsl.program import CheckedModel, Limit, Source
    from ..dsl.source import Span
    from .data import Dataset

    Lengths = Mapping[str, NDArray[np.int64]]


def padded(graph: Graph, ragged: Iterable[str], over: Mapping[str, str] | None = None) -> Graph:
    """The graph for examples whose lengths along these axes are given; by default, those of data
    sets. Raises SpecError."""
    try:
        return pad(graph, {axis: (over or {}).get(axis, EXAMPLES) for axis in ragged})
    except UnsupportedError as error:
        raise mistake(Slug.UNBUILT, error.message, error.span) from None


def check_updates(before: Graph, after: Graph, places: Iterable[int]) -> None:
    """Raise SpecError if the new value of a state has become one for each example."""
    for place in places:
        node, own = (graph.node(graph.results[place]) for graph in (after, before))
        more = node.axis_names - own.axis_names
        if more:
            message = f"a state has one value, and by lengths it has one for each `{min(more)}`"
            raise mistake(Slug.UNBUILT, message, own.span)


def lengths_of(
    inputs: Iterable[tuple[Node, Source]], data: Mapping[str, Dataset]
) -> dict[str, NDArray[np.int64]]:
    """The lengths along those axes of fields along which examples differ."""
    found: dict[str, NDArray[np.int64]] = {}
    first: dict[str, str] = {}
    for node, source in inputs:
        if not isinstance(source, FieldInput):
            continue
        for axis, lengths in data[source.data][source.field].lengths.items():
            known = found.setdefault(axis, lengths)
            other = first.setdefault(axis, source.field)
            if not np.array_equal(known, lengths):
                raise _unequal(other, known, source.field, lengths, axis, node.span)
    sizes_ = {axis: size for part in data.values() for axis, size in sizes_of(part).items()}
    return {axis: lengths for axis, lengths in found.items() if (lengths < sizes_[axis]).any()}


def _unequal(
    one: str, a: NDArray[np.int64], other: str, b: NDArray[np.int64], axis: str, span: Span
) -> SpecError:
    message = f"`{one}` and `{other}` are of different data, and both have an axis `{axis}`"
    if len(a) == len(b):
        place = int(np.argmax(a != b))
        message = (
            f"in example {place}, `{axis}` has length {a[place]} in `{one}`"
            f" and {b[place]} in `{other}`"
        )
    hint = "two axes: one[t of b], other[s of b]"
    return mistake(Slug.INPUT_MISMATCH, message, span, hint=hint)


def sizes_of(data: Dataset) -> dict[str, int]:
    """The sizes of a data set's axes, under the symbols that stand for them."""
    return {
        axis: size
        for column in data.columns.values()
        for axis, size in zip(column.axes, column.values.shape, strict=True)
    }


def check_limits(limits: Iterable[Limit], known: Mapping[str, int], lengths: Lengths) -> None:
    """Raise SpecError if a limit does not hold in some example."""
    concerned = [
        limit
        for limit in limits
        if (sizes.symbols(limit.low) | sizes.symbols(limit.high)) & set(lengths)
    ]
    if not concerned:
        return
    kinds, places = np.unique(np.stack([*lengths.values()], axis=1), axis=0, return_index=True)
    for kind, place in zip(kinds, places, strict=True):
        own = {**known, **dict(zip(lengths, map(int, kind), strict=True))}
        for limit in concerned:
            try:
                low, high = sizes.evaluate(limit.low, own), sizes.evaluate(limit.high, own)
            except KeyError:
                continue
            if low > high:
                message = f"{limit.message}; in example {place} it is {low} > {high}"
                raise mistake(Slug.INPUT_MISMATCH, message, limit.span)


def given_lengths(
    given: object, model: CheckedModel, known: Mapping[str, int]
) -> dict[str, torch.Tensor]:
    """What a model is called with as `lengths`, by axis: numbers for the one ragged axis that it
    has, or a dictionary by axis. `known` are the sizes of its inputs."""
    if not model.ragged:
        message, hint = f"`{model.name}` has no ragged axis", "tokens[b, t of b]"
        raise mistake(Slug.INPUT_MISMATCH, message, model.span, hint=hint)
    table = given if isinstance(given, dict) else {next(iter(model.ragged)): given}
    lengths = {axis: torch.as_tensor(values) for axis, values in table.items()}
    problem = _problem(lengths, model, known)
    if problem is not None:
        raise mistake(Slug.INPUT_MISMATCH, problem, model.span)
    check_limits(model.limits, known, {a: v.cpu().numpy() for a, v in lengths.items()})
    return lengths


def _problem(
    lengths: Mapping[str, torch.Tensor], model: CheckedModel, known: Mapping[str, int]
) -> str | None:
    if set(lengths) != set(model.ragged):
        needed = ", ".join(f"`{axis}`" for axis in model.ragged)
        return (
            f"`{model.name}` needs lengths of {needed}, and is given those of {', '.join(lengths)}"
        )
    for axis, over in model.ragged.items():
        values, most = lengths[axis], known.get(axis)
        if values.is_floating_point() or values.dim() != 1:
            return f"lengths of `{axis}` are whole numbers, one for each `{over}`"
        if known.get(over, len(values)) != len(values):
            return f"there are {len(values)} lengths of `{axis}`, and `{over}` is {known[over]}"
        for value in values.tolist():
            if value < 1 or (most is not None and value > most):
                return f"a length of `{axis}` is {value}, and the input has {most}"
    return None
