"""What programs are run on: inputs that fit, parameters, the numbers that they draw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.draws import drawn, initial
from ..compiler.reference import NamedArray, evaluate_nodes
from ..dsl import ops, sizes
from ..dsl.core import DType, names
from .comparing import largest, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..compiler.graph import Graph
    from ..runtime.model import SpecModel
    from ..runtime.module import Model

    Array = NDArray[Any]

QUARTERS, FINE = 4, 4096  # inputs are whole numbers of these parts, so that sums of them are exact
LONGEST = 4  # of an axis whose size is not known before the model runs


@dataclass(frozen=True)
class Given:
    """What a program is run on: the arguments of the oracle."""

    inputs: Mapping[str, NamedArray]
    params: Mapping[str, Array]
    sizes: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    call: int = 0
    states: Mapping[str, Array] = field(default_factory=dict)

    def keywords(self) -> dict[str, Any]:
        """As `evaluate` takes them."""
        return {
            "inputs": self.inputs,
            "params": self.params,
            "sizes": self.sizes,
            "states": self.states,
            "random": drawn(self.seed, self.call),
        }


def data_for(graph: Graph, seed: int, length: int, parts: int = QUARTERS) -> Given:
    """Inputs and parameters of a drawn graph, with `length` for the size `t`."""
    known = {"t": length}
    numbers = np.random.default_rng(seed)
    inputs, params = {}, {}
    for name in graph.in_order():
        node = graph.node(name)
        shape = tuple(sizes.evaluate(axis.size, known) for axis in node.axes)
        if node.op is ops.INPUT:
            inputs[name] = NamedArray(names(node.axes), _input(numbers, node.dtype, shape, parts))
        elif node.op is ops.PARAM and node.site is not None:
            params[node.site] = numbers.uniform(-1, 1, shape)
    return Given(inputs, params, known, seed)


def inputs_for(
    model: Model, seed: int = 0, lengths: Mapping[str, int] | None = None, *, parts: int = QUARTERS
) -> tuple[Array, ...]:
    """Arrays that a model can be called with, in the order and with the axes that it declares.

    Floats are multiples of `1 / parts` up to 2, ints are positions of the table that they are for.
    `lengths` are the run-time sizes; those not given are drawn, 1 to 4.
    """
    artifact = model._artifact
    numbers = np.random.default_rng(seed)
    axes = [axis for argument in artifact.arguments for axis in argument.axes]
    symbols = sorted({symbol for axis in axes for symbol in sizes.symbols(axis.size)})
    known = dict(lengths or {})
    for symbol in symbols:
        if symbol not in known:
            known[symbol] = int(numbers.integers(1, LONGEST + 1))
    for limit in artifact.limits:  # such as a range that must lie inside its axis
        for symbol in [s for s in symbols if s not in (lengths or {})]:
            while known[symbol] <= 2 * LONGEST and not _holds(limit.low, limit.high, known):
                known[symbol] += 1
    highest: dict[int, int] = {}
    for look in artifact.looks:
        size = sizes.evaluate(look.axis.size, known)
        highest[look.argument] = min(highest.get(look.argument, size), size)
    found = []
    for place, argument in enumerate(artifact.arguments):
        shape = tuple(sizes.evaluate(axis.size, known) for axis in argument.axes)
        array = _input(numbers, argument.decl.dtype, shape, parts)
        if argument.decl.dtype is DType.INT:
            array = numbers.integers(0, highest.get(place, LONGEST), shape)
        found.append(array)
    return tuple(found)


def given_for(
    model: SpecModel, inputs: Sequence[Any], dtype: str = "float64", call: int = 0
) -> Given:
    """A model's own parameters with these inputs, as rounded to a dtype."""
    named = {
        decl.name: NamedArray(decl.order, rounded(array, dtype))
        for decl, array in zip(model.checked.inputs, inputs, strict=True)
    }
    weights, states = model.parameters_by_site()
    held: dict[str, Any] = {**weights, **states}
    params: dict[str, Any] = {}
    states_: dict[str, Any] = {}
    for step in model.checked.body.steps:
        if step.node.op in (ops.PARAM, ops.STATE) and step.node.site is not None:
            own = held.get(step.node.site)  # none if no result depends on it
            value = rounded(initial(step.node, model._seed) if own is None else own, dtype)
            (params if step.node.op is ops.PARAM else states_)[step.node.site] = value
    return Given(named, params, {}, model._seed, call, states_)


def moved(given: Given, seed: int) -> Given:
    """The same with parameters a little elsewhere: where all are equal, a largest one has no slope."""
    numbers = np.random.default_rng(seed)
    params = {
        site: value + numbers.integers(-64, 65, value.shape) / FINE
        if value.dtype.kind == "f"
        else value
        for site, value in given.params.items()
    }
    return replace(given, params=params)


def reached(model: SpecModel, inputs: Sequence[Any]) -> float:
    """The largest number that the oracle meets on its way to the results."""
    values = evaluate_nodes(model.checked.body, **given_for(model, inputs).keywords())
    return largest(values.values())


def _holds(low: sizes.Size, high: sizes.Size, known: Mapping[str, int]) -> bool:
    try:
        return sizes.evaluate(low, known) <= sizes.evaluate(high, known)
    except KeyError:
        return True


def _input(numbers: np.random.Generator, dtype: DType, shape: tuple[int, ...], parts: int) -> Array:
    match dtype:
        case DType.INT:
            return np.asarray(numbers.integers(-2, 3, shape))
        case DType.BOOL:
            return np.asarray(numbers.integers(0, 2, shape).astype(bool))
        case _:
            return np.asarray(numbers.integers(-2 * parts, 2 * parts + 1, shape) / parts)
