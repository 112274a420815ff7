"""The laws of what rides along: a batch, or any axis that a model does not touch, is each of its
slices by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..runtime.examples import inputs_for
from .comparing import assert_close
from .data import reached
from .models import computing_in, held_in, model_of, results, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..runtime.model import SpecModel
    from ..runtime.program import Program

SLICES = 2


def check_lifting(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    axis: str | None = None,
    seed: int = 0,
) -> None:
    """An extra leading axis gives what each slice gives by itself. Some inputs, at least one, get
    the axis; the others are the same for all slices.

    With `axis`, the same of an axis that the inputs have, such as the examples `b`: along it, no
    slice may see another. A model that keeps a state is lifted over nothing, and refused.
    """
    made = model_of(program, model)
    if axis is None:
        _check_new_axis(made, inputs, seed)
    else:
        given = inputs_for(made, seed, {axis: SLICES}) if inputs is None else inputs
        _check_own_axis(made, given, axis)


def _check_new_axis(model: SpecModel, inputs: Sequence[Any] | None, seed: int) -> None:
    first = inputs_for(model, seed) if inputs is None else inputs
    lengths = {
        axis: length
        for decl, value in zip(model.checked.inputs, first, strict=True)
        for axis, length in zip(decl.order, np.shape(value), strict=True)
    }
    other = inputs_for(model, seed + 1, lengths)
    riding = np.random.default_rng(seed).integers(0, 2, len(other)).astype(bool)
    if not len(riding):
        return
    riding[seed % len(riding)] = True
    slices = [first, [b if rides else a for a, b, rides in zip(first, other, riding, strict=True)]]
    together = [
        torch.stack([tensor(a), tensor(b)]) if rides else tensor(a)
        for a, b, rides in zip(*slices, riding, strict=True)
    ]
    found = results(model, together)
    for place, alone in enumerate(slices):
        for index, (whole, one) in enumerate(zip(found, results(model, alone), strict=True)):
            if whole.dim() == one.dim():  # it depends on no input that has the axis
                whole = whole.expand(SLICES, *one.shape)
            assert_close(
                whole[place],
                one,
                met=reached(model, alone),
                what=f"slice {place} of result {index}",
            )


def _check_own_axis(model: SpecModel, given: Sequence[Any], axis: str) -> None:
    found = results(model, given)
    orders = [decl.order for decl in model.checked.inputs]
    count = {
        np.shape(value)[o.index(axis)] for value, o in zip(given, orders, strict=True) if axis in o
    }
    for place in range(max(count, default=0)):
        alone = [
            np.take(value, [place], o.index(axis)) if axis in o else value
            for value, o in zip(given, orders, strict=True)
        ]
        for index, (whole, one, decl) in enumerate(
            zip(found, results(model, alone), model.checked.results, strict=True)
        ):
            if axis in decl.order:
                whole = whole.narrow(decl.order.index(axis), place, 1)
            assert_close(
                whole, one, met=reached(model, alone), what=f"`{axis}` {place} of result {index}"
            )


def check_ragged(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    lengths: Sequence[int] | None = None,
    *,
    seed: int = 0,
) -> None:
    """A batch of one equals a row of a batch: each example of a batch in which examples have lengths
    of their own gives what it gives alone. Behind their ends stand numbers that could be seen.

    The model has one ragged axis. Raises SpecError (`unbuilt`) where it mixes examples.
    """
    made = model_of(program, model)
    ((axis, over),) = made.checked.ragged.items()
    numbers = np.random.default_rng(seed)
    if inputs is None:
        count = int(numbers.integers(1, 4)) if lengths is None else len(lengths)
        inputs = inputs_for(made, seed, {over: count})
    orders = [decl.order for decl in made.checked.inputs]
    shapes = dict(
        pair
        for o, value in zip(orders, inputs, strict=True)
        for pair in zip(o, np.shape(value), strict=True)
    )
    if lengths is None:
        lengths = [int(n) for n in numbers.integers(1, shapes[axis] + 1, shapes[over])]
    model_ = held_in(made, "float64")
    with torch.no_grad(), computing_in("float64"):
        found = model_(*map(tensor, inputs), lengths=list(lengths))
    for place, length in enumerate(lengths):
        alone = [
            _cut(value, o, axis, over, place, length)
            for value, o in zip(inputs, orders, strict=True)
        ]
        for index, one in enumerate(results(made, alone)):
            order = made.checked.results[index].order
            whole = found[index] if isinstance(found, tuple) else found
            if over in order:
                whole = whole.narrow(order.index(over), place, 1)
            elif whole.dim() > one.dim():  # it depends on the lengths alone
                whole = whole[place]
            for at, size in enumerate(one.shape):
                whole = whole.narrow(at, 0, size)
            assert_close(
                whole,
                one,
                met=reached(made, alone),
                what=f"example {place} of {length}, result {index}",
            )


def _cut(value: Any, order: Sequence[str], axis: str, over: str, place: int, length: int) -> Any:
    """The part of an input that one example has."""
    array = np.asarray(value)
    if over in order:
        array = np.take(array, [place], order.index(over))
    return array.take(range(length), order.index(axis)) if axis in order else array
