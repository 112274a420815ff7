"""The laws of decoding: a prompt and then more, position after position, is one run over all of it,
and what is written on the way is written in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.build import build
from ..compiler.reference import NamedArray, evaluate, evaluate_nodes
from ..dsl.items import body_inputs
from ..dsl.program import PROMPT
from ..runtime.decoding import Stepper
from ..runtime.decoding.forms import decoded_axis, derived, time_axis
from ..runtime.examples import inputs_for
from .comparing import assert_close, largest
from .data import given_for
from .models import computing_in, held_in, model_of, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

    from ..compiler.decoding import Decoding
    from ..runtime.model import SpecModel
    from ..runtime.program import Program
    from .data import Given
    from .steering import Steering

    Part = tuple[int, int]  # where it begins, and how many positions it has

TOLERANCES = {"float32": 1e-5}
"""How close a step is to the run over all, where that is closer than rounding at large."""


def check_decoding(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    parts: Sequence[int] = (3, 1, 1, 2),
    axis: str | None = None,
    dtype: str = "float64",
    seed: int = 0,
) -> None:
    """A causal model read in parts along an axis gives what it gives of the whole: the derived
    graphs by the oracle, and the emitted steps, in float32 within 1e-5. Raises SpecError
    (`not-causal`) if the model has no step."""
    made = model_of(program, model)
    axis = axis or decoded_axis(made.checked)
    given = inputs_for(made, seed, {axis: sum(parts)}) if inputs is None else inputs
    _check_parts(made, made, given, axis, parts, dtype)


def check_steering(
    program: Program,
    model: SpecModel | str | None,
    steering: Steering,
    inputs: Sequence[Any] | None = None,
    *,
    parts: Sequence[int] = (3, 1, 1, 2),
    axis: str = "t",
    dtype: str = "float64",
    seed: int = 0,
) -> None:
    """Writes at absolute positions, in phases and at `@last` give with caches what they give in a
    run over the whole with each position as a number, whose first part is the prompt. Raises
    SpecError (`not-causal`) if the model has no step."""
    made = model_of(program, model)
    given = inputs_for(made, seed, {axis: sum(parts)}) if inputs is None else inputs
    said = steering.said.decoded(made)
    _check_parts(said, steering.told.under(made), given, axis, parts, dtype, f"{steering}")


def _check_parts(
    made: SpecModel,
    whole: SpecModel,
    inputs: Sequence[Any],
    axis: str,
    parts: Sequence[int],
    dtype: str,
    what: str = "",
) -> None:
    """A model in parts is another over the whole, of which `inputs` are the first inputs of both."""
    given = given_for(whole, _filled(whole, inputs, parts), dtype)
    graph = build(whole.checked)
    values = evaluate_nodes(graph, **given.keywords())
    names_ = graph.results[: len(whole.checked.results)]
    size = time_axis(whole.checked, axis).size
    times = [[own.name for own in graph.node(name).axes if own.size == size] for name in names_]
    wanted = [values[name] for name in names_]
    met = largest(values.values())
    own_inputs = _filled(made, inputs, parts)
    if dtype == "float64":
        own_given = given_for(made, own_inputs, dtype)
        for place, part, found in _by_the_oracle(made, own_given, axis, parts):
            own = _seen(wanted[place], times[place], axis, part)
            message = f"{what}result {place} of the step, by the oracle"
            assert_close(found, own, met=met, what=message)
    for place, part, emitted in _emitted(made, own_inputs, axis, parts, dtype):
        order = made.checked.results[place].order
        own = _seen(wanted[place], times[place], axis, part)
        message, limit = f"{what}result {place} of the emitted step", TOLERANCES.get(dtype)
        assert_close(emitted, own.arranged(order), dtype, tolerance=limit, met=met, what=message)


def _filled(model: SpecModel, inputs: Sequence[Any], parts: Sequence[int]) -> list[Any]:
    """The inputs, and behind them what an intervention takes: the first part is the prompt."""
    defaults = {**model._defaults, PROMPT: parts[0]}
    more = [decl.name for decl in model.checked.inputs[len(inputs) :]]
    return [*inputs, *(np.asarray(defaults[name]) for name in more)]


def _places(parts: Sequence[int]) -> Iterator[Part]:
    start = 0
    for count in parts:
        yield start, count
        start += count


def _seen(value: NamedArray, times: Sequence[str], axis: str, part: Part) -> NamedArray:
    """A result as a step gives it: at the new positions, along other such axes at all so far."""
    now = axis if axis in times else (*times, axis)[0]
    for other in times:
        value = _cut(value, other, part if other == now else (0, sum(part)))
    return value


def _cut(value: NamedArray, axis: str, part: Part) -> NamedArray:
    """The value at the positions of a part."""
    if axis not in value.axes:
        return value
    start, count = part
    places = np.arange(start, start + count)
    return NamedArray(value.axes, value.array.take(places, value.axes.index(axis)))


def _by_the_oracle(
    made: SpecModel, given: Given, axis: str, parts: Sequence[int]
) -> Iterator[tuple[int, Part, NamedArray]]:
    """Each result at each part."""
    graphs = {count: derived(made.checked, axis, count) for count in {1, None}}
    known = {  # a step may not read what says them
        str(own.size): given.inputs[node.site or ""].sizes[own.name]
        for node in body_inputs(made.checked.body)
        for own in node.axes
        if not isinstance(own.size, int)
    }
    kept: dict[str, NamedArray] = {}
    for part in _places(parts):
        start, count = part
        decoding = graphs[1 if count == 1 else None]
        inputs = {name: _cut(value, axis, part) for name, value in given.inputs.items()}
        inputs |= kept | {decoding.position: NamedArray((), np.asarray(start))}
        sizes = known | {
            symbol: start if reach is None else min(start, reach)
            for reach, symbol in decoding.past.items()
        }
        sizes[str(decoding.axis.size)] = count
        graph = decoding.step if start else decoding.prefill
        found = evaluate(graph, **{**given.keywords(), "inputs": inputs, "sizes": sizes})
        kept = _kept(decoding, found[decoding.results :])
        for place, value in enumerate(found[: decoding.results]):
            yield place, part, value


def _kept(decoding: Decoding, found: Sequence[NamedArray]) -> dict[str, NamedArray]:
    """The states; of a cache with a reach the last positions."""
    kept = {}
    for state, value in zip(decoding.states, found, strict=True):
        if state.kind == "cache" and state.reach is not None:
            length = value.sizes[state.axis]
            start = max(length - state.reach, 0)
            value = _cut(value, state.axis, (start, length - start))
        kept[state.site] = value
    return kept


def _emitted(
    made: SpecModel, inputs: Sequence[Any], axis: str, parts: Sequence[int], dtype: str
) -> Iterator[tuple[int, Part, torch.Tensor]]:
    held = held_in(made, dtype)
    with computing_in(dtype):
        stepper = Stepper(held, axis)
        for part in _places(parts):
            own = [
                tensor(value, dtype).narrow(decl.order.index(axis), *part)
                if axis in decl.order
                else tensor(value, dtype)
                for decl, value in zip(made.checked.inputs, inputs, strict=True)
            ]
            found = stepper(*own)
            for place, value in enumerate(found if isinstance(found, tuple) else (found,)):
                yield place, part, value
