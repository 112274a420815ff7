"""What programs are run on: inputs that fit, parameters, the numbers that they draw."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.draws import drawn, initial
from ..compiler.reference import NamedArray, evaluate_nodes
from ..dsl import ops, sizes
from ..dsl.core import names
from ..runtime.examples import QUARTERS, example
from .comparing import largest, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ..compiler.graph import Graph
    from ..runtime.model import SpecModel

    Array = NDArray[Any]

FINE = 4096  # inputs and moved parameters are whole numbers of these parts, or of QUARTERS


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
    """Inputs and parameters of a drawn graph, with `length` for the size `t`, and two examples."""
    known = {"t": length, "b": 2}
    numbers = np.random.default_rng(seed)
    inputs, params = {}, {}
    for name in graph.in_order():
        node = graph.node(name)
        shape = tuple(sizes.evaluate(axis.size, known) for axis in node.axes)
        if node.op is ops.INPUT:
            inputs[name] = NamedArray(names(node.axes), example(numbers, node.dtype, shape, parts))
        elif node.op is ops.PARAM and node.site is not None:
            params[node.site] = numbers.uniform(-1, 1, shape)
    return Given(inputs, params, known, seed)


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
