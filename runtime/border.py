"""What a model is given, checked before it runs: ranks, sizes, dtypes, and positions in tables.

A call whose shapes were fine once is not looked at again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ..dsl import sizes
from ..dsl.core import DType
from ..dsl.diagnostics import Collector, Diagnostic, Note, Slug, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..compiler.artifact import Argument, Artifact
    from ..dsl.source import Span


def mismatch(message: str, span: Span, hint: str | None = None) -> SpecError:
    """One thing that is wrong with what is given."""
    return SpecError([Diagnostic(Slug.INPUT_MISMATCH, message, span, hint=hint)])


def ordered(artifact: Artifact, given: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is given by position and by name, in the order of the inputs."""
    wanted = [argument.decl for argument in artifact.arguments]
    listed = ", ".join(decl.name for decl in wanted) or "nothing"
    span = wanted[-1].span if wanted else artifact.span
    unknown = [name for name in named if name not in [decl.name for decl in wanted[len(given) :]]]
    if unknown or len(given) > len(wanted):
        what = f"`{unknown[0]}`" if unknown else f"{len(given)} inputs"
        raise mismatch(f"`{artifact.name}` is given {what}, and takes {listed}", span)
    found = list(given)
    for decl in wanted[len(given) :]:
        if decl.name not in named:
            raise mismatch(f"`{artifact.name}` needs `{decl.name}`, and is not given it", decl.span)
        found.append(named[decl.name])
    return tuple(found)


def tensor(value: Any, argument: Argument, like: torch.Tensor | None) -> torch.Tensor:
    """The input as a tensor of the dtype that the model computes in."""
    device = None if like is None else like.device
    found = value if isinstance(value, torch.Tensor) else torch.as_tensor(value, device=device)
    decl = argument.decl
    match decl.dtype:
        case DType.FLOAT:
            wanted = torch.get_default_dtype() if like is None else like.dtype
            if found.dtype == wanted or (like is None and found.is_floating_point()):
                return found
            if not found.is_complex():
                return found.to(wanted)
        case DType.INT:
            if found.dtype == torch.int64:
                return found
            if not found.is_floating_point() and not found.is_complex():
                return found.long()
        case DType.BOOL:
            if found.dtype == torch.bool:
                return found
    dtype = str(found.dtype).removeprefix("torch.")
    raise mismatch(f"`{decl.name}` is {decl.dtype}, and is given as {dtype}", decl.span)


def riding(artifact: Artifact, inputs: Sequence[torch.Tensor]) -> tuple[int, ...]:
    """How many axes each input has in front of its own."""
    counts = []
    for value, argument in zip(inputs, artifact.arguments, strict=True):
        extra = value.dim() - len(argument.axes)
        if extra < 0:
            decl = argument.decl
            raise mismatch(
                f"`{decl.name}` has axes [{', '.join(decl.order)}], "
                f"and is given with shape {tuple(value.shape)}",
                decl.span,
            )
        counts.append(extra)
    return tuple(counts)


def check(artifact: Artifact, inputs: Sequence[torch.Tensor]) -> dict[str, int]:
    """The run-time sizes. Raises SpecError with everything that does not fit."""
    collector = Collector()
    known: dict[str, int] = {}
    first: dict[str, Argument] = {}
    for value, argument in zip(inputs, artifact.arguments, strict=True):
        for axis, size in zip(argument.axes, value.shape, strict=True):
            for symbol in sizes.symbols(axis.size):
                if axis.size == sizes.symbol(symbol) and symbol not in known:
                    known[symbol], first[symbol] = size, argument
    for value, argument in zip(inputs, artifact.arguments, strict=True):
        decl = argument.decl
        for axis, size in zip(argument.axes, value.shape, strict=True):
            try:
                wanted = sizes.evaluate(axis.size, known)
            except KeyError:
                continue
            if wanted == size:
                continue
            message = f"`{decl.name}` has {size} along `{axis.name}`, and the model has {wanted}"
            other = first.get(next(iter(sizes.symbols(axis.size)), ""))
            if other is None or other is argument:
                collector.report(Slug.INPUT_MISMATCH, message, decl.span)
            else:
                message = (
                    f"`{axis.name}` is {size} in `{decl.name}`, and {wanted} in `{other.decl.name}`"
                )
                notes = [Note(f"`{other.decl.name}` is declared", other.decl.span)]
                collector.report(Slug.INPUT_MISMATCH, message, decl.span, notes=notes)
    for limit in artifact.limits:
        try:
            low, high = sizes.evaluate(limit.low, known), sizes.evaluate(limit.high, known)
        except KeyError:
            continue
        if low > high:
            message = f"{limit.message}; here it is {low} > {high}"
            collector.report(Slug.INPUT_MISMATCH, message, limit.span)
    collector.raise_if_errors()
    return known


def look(artifact: Artifact, inputs: Sequence[torch.Tensor]) -> None:
    """Raise SpecError if an input points outside the table that it is for."""
    known = check(artifact, inputs)
    for found in artifact.looks:
        value, decl = inputs[found.argument], artifact.arguments[found.argument].decl
        size = sizes.evaluate(found.axis.size, known)
        wrong = value[(value < 0) | (value >= size)]
        if wrong.numel():
            raise mismatch(
                f"`{decl.name}` holds {int(wrong[0])}, "
                f"and `{found.axis.name}` has {size} positions",
                decl.span,
                hint=f"0..{size}",
            )


def shape_of(axes: Sequence[Any], known: Mapping[str, int]) -> tuple[int, ...]:
    """The sizes of axes."""
    return tuple(sizes.evaluate(axis.size, known) for axis in axes)
