"""Evaluates a program node by node, scans step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...dsl import sizes as size_rules
from ...dsl.core import Axis, names
from ...dsl.items import body_inputs
from ...dsl.ops import (
    AlongAttrs,
    BackwardAttrs,
    ConcatAttrs,
    ConstAttrs,
    ContractAttrs,
    DeriveAttrs,
    IndexAttrs,
    InputAttrs,
    IotaAttrs,
    ItemAttrs,
    MapAttrs,
    ParamAttrs,
    RandomAttrs,
    ReduceAttrs,
    RenameAttrs,
    ScanAttrs,
    ScatterAttrs,
    StateAttrs,
    StopAttrs,
)
from ..graph import Graph
from ..lift import with_inputs
from . import positions, reductions, scalars
from .values import NUMPY, NamedArray, aligned, number, union

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ...dsl.core import Axes, Body, Node

Draw = Callable[["Node", tuple[int, ...]], "NDArray[Any]"]
"""Numbers for a random node, given the sizes of its axes in their order."""


@dataclass(frozen=True)
class _Given:
    """What evaluation starts from. A closed program needs nothing."""

    params: Mapping[str, ArrayLike] = field(default_factory=dict)
    states: Mapping[str, ArrayLike] = field(default_factory=dict)
    random: Draw | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)


def evaluate(
    program: Graph | Body,
    inputs: Mapping[str, NamedArray] | None = None,
    params: Mapping[str, ArrayLike] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    random: Draw | None = None,
    states: Mapping[str, ArrayLike] | None = None,
) -> list[NamedArray]:
    """The results, as float64, int64 and bool, each with at least its node's axes.

    Inputs go by address or name of their node, parameters and states by address, their arrays with
    the axes as written. Run-time sizes are read off the inputs. What inputs have more rides along.
    """
    body = program.to_body() if isinstance(program, Graph) else program
    values = evaluate_nodes(body, inputs, params, sizes=sizes, random=random, states=states)
    return [values[name] for name in body.results]


def evaluate_nodes(
    program: Graph | Body,
    inputs: Mapping[str, NamedArray] | None = None,
    params: Mapping[str, ArrayLike] | None = None,
    *,
    sizes: Mapping[str, int] | None = None,
    random: Draw | None = None,
    states: Mapping[str, ArrayLike] | None = None,
) -> dict[str, NamedArray]:
    """The value of every node, by name; a scan has those of its items only."""
    body = program.to_body() if isinstance(program, Graph) else program
    known = dict(sizes or {})
    arguments = []
    given = inputs or {}
    types, rides = [], False
    for node in body_inputs(body):
        value = given[node.site] if node.site and node.site in given else given[node.name]
        arguments.append(value)
        _learn(node.axes, value, known)
        more = tuple(Axis(n, size) for n, size in value.sizes.items() if n not in node.axis_names)
        types.append(((*more, *node.axes), node.dtype))
        rides = rides or bool(more)
    if rides:
        body = with_inputs(body, types)
    return _run(body, arguments, _Given(params or {}, states or {}, random, known))


def _learn(axes: Axes, value: NamedArray, known: dict[str, int]) -> None:
    """Read run-time sizes off an input."""
    for axis in axes:
        for symbol in size_rules.symbols(axis.size):
            if axis.size == size_rules.symbol(symbol):
                known.setdefault(symbol, value.sizes[axis.name])


def _run(body: Body, arguments: Sequence[NamedArray], given: _Given) -> dict[str, NamedArray]:
    values: dict[str, NamedArray] = {}
    several: dict[str, tuple[NamedArray, ...]] = {}
    waiting = iter(arguments)
    for step in body.steps:
        node = step.node
        if isinstance(node.attrs, InputAttrs):
            value = next(waiting)
            values[node.name] = NamedArray(value.axes, value.array.astype(NUMPY[node.dtype]))
        elif isinstance(node.attrs, ItemAttrs):
            values[node.name] = several[step.operands[0]][node.attrs.index]
        elif isinstance(node.attrs, ScanAttrs):
            several[node.name] = _scan(node.attrs, [values[name] for name in step.operands], given)
            continue
        else:
            values[node.name] = _value(node, [values[name] for name in step.operands], given)
        _check(node, values[node.name], given.sizes)
    return values


def _check(node: Node, value: NamedArray, known: Mapping[str, int]) -> None:
    """What the types say is what comes out."""
    wanted = {axis.name: size_rules.evaluate(axis.size, known) for axis in node.axes}
    if value.sizes != wanted:
        raise ValueError(f"%{node.name} should have {wanted}, not {value.sizes}")
    if value.array.dtype != NUMPY[node.dtype]:
        raise ValueError(f"%{node.name} should be {node.dtype}, not {value.array.dtype}")


def _value(node: Node, operands: Sequence[NamedArray], given: _Given) -> NamedArray:
    match node.attrs:
        case ParamAttrs(axes=axes):
            return _stored(node, axes, given.params)
        case StateAttrs(axes=axes):
            return _stored(node, axes, given.states)
        case RandomAttrs(axes=axes):
            if given.random is None:
                raise ValueError(f"%{node.name} needs random numbers")
            shape = tuple(size_rules.evaluate(axis.size, given.sizes) for axis in axes)
            drawn: NDArray[Any] = np.asarray(given.random(node, shape))
            return NamedArray(names(axes), drawn.astype(NUMPY[node.dtype]))
        case ConstAttrs(value=value):
            return NamedArray((), np.asarray(value, NUMPY[node.dtype]))
        case IotaAttrs(axis=axis):
            count = size_rules.evaluate(axis.size, given.sizes)
            return NamedArray((axis.name,), np.arange(count, dtype=np.int64))
        case MapAttrs(fn=fn):
            return scalars.apply(fn, operands, node.dtype)
        case ReduceAttrs(fn=fn, axes=gone, argument=argument):
            return reductions.reduce(fn, operands[0], gone, argument, node.dtype)
        case ContractAttrs(axes=gone):
            return _contract(operands, gone)
        case RenameAttrs() as attrs:
            return positions.rename(attrs, operands[0], given.sizes)
        case IndexAttrs() as attrs:
            return positions.index(attrs, operands, given.sizes)
        case ScatterAttrs() as attrs:
            return positions.scatter(attrs, operands, node.dtype)
        case ConcatAttrs() as attrs:
            return positions.concat(attrs, operands, node.dtype)
        case AlongAttrs(fn=fn, axes=along):
            return reductions.along(fn, operands[0], along, node.dtype)
        case StopAttrs() | BackwardAttrs():
            return operands[0]
        case InputAttrs() | ItemAttrs() | ScanAttrs() | DeriveAttrs():
            raise ValueError(f"%{node.name} has no value of its own")


def _stored(node: Node, axes: Axes, arrays: Mapping[str, ArrayLike]) -> NamedArray:
    if node.site is None:
        raise ValueError(f"%{node.name} has no address")
    return NamedArray(names(axes), np.asarray(arrays[node.site]).astype(NUMPY[node.dtype]))


def _contract(operands: Sequence[NamedArray], gone: Sequence[str]) -> NamedArray:
    order = list(union(operands))
    rest = [name for name in order if name not in gone]
    arguments: list[Any] = []
    for value in operands:
        arguments += [number(value.array), [order.index(name) for name in value.axes]]
    arguments.append([order.index(name) for name in rest])
    with np.errstate(all="ignore"):
        return NamedArray(tuple(rest), np.asarray(np.einsum(*arguments)))


def _scan(
    attrs: ScanAttrs, operands: Sequence[NamedArray], given: _Given
) -> tuple[NamedArray, ...]:
    axis, count = attrs.axis.name, size_rules.evaluate(attrs.axis.size, given.sizes)
    inputs = body_inputs(attrs.body)

    def widened(values: Sequence[NamedArray]) -> list[NamedArray]:
        return [_wide(v, node, given.sizes) for v, node in zip(values, inputs, strict=False)]

    carries = widened(operands[: attrs.carries])
    per_step = operands[attrs.carries : attrs.carries + attrs.steps]
    constants = operands[attrs.carries + attrs.steps :]
    outputs: list[list[NamedArray]] = [[] for _ in attrs.body.results[attrs.carries :]]
    for value in per_step:
        if value.sizes[axis] != count:
            raise ValueError(f"{axis} has sizes {count} and {value.sizes[axis]}")
    for at in reversed(range(count)) if attrs.reverse else range(count):
        present = [_at(value, axis, at) for value in per_step]
        values = _run(attrs.body, [*carries, *present, *constants], given)
        results = [values[name] for name in attrs.body.results]
        carries = widened(results[: attrs.carries])
        for output, value in zip(outputs, results[attrs.carries :], strict=True):
            output.append(value)
    nodes = {step.node.name: step.node for step in attrs.body.steps}
    stacked = [
        _stacked(output[::-1] if attrs.reverse else output, axis, nodes[name], given.sizes)
        for output, name in zip(outputs, attrs.body.results[attrs.carries :], strict=True)
    ]
    return (*carries, *stacked)


def _at(value: NamedArray, axis: str, at: int) -> NamedArray:
    place = value.axes.index(axis)
    return NamedArray(value.axes[:place] + value.axes[place + 1 :], value.array.take(at, place))


def _wide(value: NamedArray, node: Node, known: Mapping[str, int]) -> NamedArray:
    """The value as that of the node: repeated along what axes it lacks, its dtype widened."""
    want = {axis.name: size_rules.evaluate(axis.size, known) for axis in node.axes}
    both = union([NamedArray(tuple(want), np.empty(tuple(want.values()))), value])
    return NamedArray(tuple(both), value.spread(tuple(both), both).astype(NUMPY[node.dtype]))


def _stacked(
    steps: Sequence[NamedArray], axis: str, node: Node, known: Mapping[str, int]
) -> NamedArray:
    if not steps:
        shape = tuple(size_rules.evaluate(own.size, known) for own in node.axes)
        return NamedArray((axis, *names(node.axes)), np.zeros((0, *shape), NUMPY[node.dtype]))
    axes, arrays = aligned(steps)
    return NamedArray((axis, *axes), np.stack(arrays))


def finite_gradient(
    function: Callable[[NDArray[np.float64]], float],
    at: NDArray[np.float64],
    step: float = 1e-6,
) -> NDArray[np.float64]:
    """The gradient of a number with respect to an array, by central differences."""
    gradient = np.zeros(at.shape)
    for place in np.ndindex(*at.shape):
        away = np.zeros(at.shape)
        away[place] = step
        gradient[place] = (function(at + away) - function(at - away)) / (2 * step)
    return gradient


def value_of(node: Node, operands: Sequence[NamedArray], sizes: Mapping[str, int]) -> NamedArray:
    """The value of one node from those of its operands; not of inputs, parameters or scans."""
    return _value(node, operands, _Given(sizes=sizes))
