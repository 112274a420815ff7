"""Finite differences of the oracle along random directions, and a gradient compared with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compiler.reference import NamedArray, evaluate, evaluate_nodes
from ..dsl.core import Body, Node, Step, names
from ..dsl.ops import INPUT, STOP, InputAttrs, ParamAttrs, ScanAttrs
from .comparing import SLOPES, largest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .data import Given

    Array = NDArray[Any]

STEP = 2.0**-20
BENT = 1e-3  # how far the slopes on both sides may be apart where there is no kink
DIRECTIONS = 3


def can_differ(body: Body) -> bool:
    """Whether finite differences can say the gradient: what is stopped in a scan cannot be held."""
    inner = [step.node.attrs.body for step in body.steps if isinstance(step.node.attrs, ScanAttrs)]
    return all(all(s.node.op is not STOP for s in b.steps) and can_differ(b) for b in inner)


@dataclass(frozen=True)
class Slope:
    """What the oracle's loss does along a direction: on both sides, and how large it is."""

    forward: float
    backward: float
    rounding: float

    @property
    def central(self) -> float:
        """The slope, if both sides agree."""
        return (self.forward + self.backward) / 2


class Slopes:
    """A random weighted sum of a program's results, and how it changes with inputs and parameters.

    Values under `stop` are held: no gradient flows through them.
    """

    def __init__(self, body: Body, given: Given, count: int, seed: int) -> None:
        self.given, self.count = given, count
        self._numbers = np.random.default_rng(seed)
        values = evaluate_nodes(body, **given.keywords())
        self.body, self._held = _without_stops(body, values)
        self.weights = [self._weight(values[name]) for name in body.results[:count]]
        self._here, size = self._loss({})
        self._size = max(size, largest(values.values()))  # 1 - tanh(9) is rounded as 1 is

    def _weight(self, value: NamedArray) -> NamedArray | None:
        if value.array.dtype.kind != "f" or not np.isfinite(value.array).all():
            return None
        return NamedArray(value.axes, self._numbers.normal(size=value.array.shape))

    def compare(self, gradients: Mapping[str, Array]) -> int:
        """Raise if a gradient of the sum is wrong; along how many directions that could be told."""
        told = 0
        for chosen in self._directions(list(gradients)):
            direction = {n: self._numbers.integers(-4, 5, gradients[n].shape) / 4 for n in chosen}
            with np.errstate(invalid="ignore"):
                parts = [np.asarray(gradients[name] * direction[name]) for name in chosen]
            found = float(sum(part.sum() for part in parts))
            slope = self._along(direction)
            scale = max(abs(slope.central), float(sum(np.nansum(np.abs(part)) for part in parts)))
            bend = abs(slope.forward - slope.backward)
            if not np.isfinite(bend) or bend > BENT * scale + slope.rounding:
                continue  # a kink, or a pole
            told += 1
            gap = abs(found - slope.central)
            if not gap <= SLOPES * scale + slope.rounding:  # not a number is wrong too
                raise AssertionError(
                    f"the gradient along {', '.join(chosen)} is {found:.8g}, and finite differences"
                    f" of the oracle say {slope.central:.8g}"
                )
        return told

    def _directions(self, names_: list[str]) -> list[list[str]]:
        """All together, then one by one."""
        if len(names_) < 2:
            return [[name] for name in names_]
        some = self._numbers.permutation(len(names_))[:DIRECTIONS]
        return [names_, *([names_[place]] for place in some)]

    def _along(self, direction: Mapping[str, Array]) -> Slope:
        ahead, _ = self._loss({name: STEP * part for name, part in direction.items()})
        behind, _ = self._loss({name: -STEP * part for name, part in direction.items()})
        with np.errstate(invalid="ignore"):
            rounding = 16 * np.finfo(float).eps * self._size / STEP
            return Slope((ahead - self._here) / STEP, (self._here - behind) / STEP, rounding)

    def _loss(self, moved: Mapping[str, Array]) -> tuple[float, float]:
        """The sum where inputs and parameters are moved, and the size of its terms."""
        keywords = self.given.keywords()
        params = dict(keywords["params"])
        inputs = {**keywords["inputs"], **self._held}
        for step in self.body.steps:
            node = step.node
            shift = moved.get(node.site or node.name)
            if shift is None:
                continue
            if isinstance(node.attrs, ParamAttrs):
                params[node.site] = params[node.site] + shift
            elif isinstance(node.attrs, InputAttrs):
                key = node.site if node.site in inputs else node.name
                inputs[key] = _moved(inputs[key], node.attrs.order, shift)
        found = evaluate(self.body, **{**keywords, "params": params, "inputs": inputs})
        loss = size = 0.0
        for value, weight in zip(found, self.weights, strict=False):
            if weight is not None:
                terms = value.arranged(weight.axes) * weight.array
                loss, size = loss + float(terms.sum()), size + float(np.abs(terms).sum())
        return loss, size


def _moved(value: NamedArray, order: tuple[str, ...], shift: Array) -> NamedArray:
    return NamedArray(order, value.arranged(order) + shift)


def _without_stops(
    body: Body, values: Mapping[str, NamedArray]
) -> tuple[Body, dict[str, NamedArray]]:
    """The program with an input in the place of each stopped value, and these values."""
    held: dict[str, NamedArray] = {}
    inputs: list[Step] = []
    rest: list[Step] = []
    for step in body.steps:
        node = step.node
        if node.op is STOP:
            held[node.name] = values[node.name]
            inputs.append(Step(_as_input(node), ()))
        else:
            (inputs if node.op is INPUT else rest).append(step)
    return replace(body, steps=(*inputs, *rest)), held


def _as_input(node: Node) -> Node:
    attrs = InputAttrs(names(node.axes), node.axes, node.dtype)
    return replace(node, op=INPUT, attrs=attrs, site=None)
