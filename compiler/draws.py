"""Random numbers that depend on nothing but seed and key: initial parameters, and draws of a call.

Drawn as float32, by the oracle too, so that it gets the very numbers that a module gets.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dsl import sizes as size_rules
from ..dsl.core import Body, DType, names
from ..dsl.ops import Distribution, ParamAttrs, RandomAttrs, StateAttrs
from .reference import evaluate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from ..dsl.core import Node
    from .reference import Draw

    Array = NDArray[Any]
    Rule = Callable[..., Array]

SEEDED = re.compile(r"seed=(\d+)'*:")  # as `seeded` writes it
Shape = tuple[int, ...]
NUMPY = {DType.FLOAT: np.float32, DType.INT: np.int64, DType.BOOL: np.bool_}


def generator(*key: str | int) -> np.random.Generator:
    """The stream of a key, such as seed and address: the same in every process."""
    text = "\0".join(str(part) for part in key)
    entropy = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def draw(distribution: Distribution, shape: Shape, stream: np.random.Generator) -> Array:
    """Numbers of this distribution: float32, or int64 and bool where they are such."""
    return DISTRIBUTIONS[distribution.name](stream, shape, *distribution.args)


def initial(node: Node, seed: int) -> Array:
    """What a parameter or a state starts from, with its axes as written.

    Distributions give float32, ints or bools; an expression gives what the node holds.
    """
    attrs = node.attrs
    if not isinstance(attrs, ParamAttrs | StateAttrs):
        raise TypeError(f"%{node.name} is no parameter and no state")
    shape = {axis.name: size_rules.evaluate(axis.size, {}) for axis in attrs.axes}
    if isinstance(attrs.init, Body):
        (value,) = evaluate(attrs.init)
        return value.spread(names(attrs.axes), shape).astype(NUMPY[node.dtype])
    named = node.site or node.name
    address = named.rpartition(":")[2]  # without the set of weights
    stream = generator("initial", _seed_of(named, seed), address)
    return draw(attrs.init, tuple(shape.values()), stream)


def drawn(seed: int, call: int = 0) -> Draw:
    """The numbers of random nodes at one call."""

    def of(node: Node, shape: Shape) -> Array:
        if not isinstance(node.attrs, RandomAttrs):
            raise TypeError(f"%{node.name} is not random")
        key = node.attrs.key
        stream = generator("draw", _seed_of(key, seed), SEEDED.sub("", key), call)
        array = draw(node.attrs.distribution, shape, stream)
        return array.astype(NUMPY[node.dtype], copy=False)

    return of


def _seed_of(key: str, seed: int) -> int:
    """The seed that a key says, or else that of all."""
    said = SEEDED.match(key)
    return int(said[1]) if said else seed


def _scaled(numbers: Array, low: float, scale: float) -> Array:
    numbers *= np.float32(scale)
    numbers += np.float32(low)
    return numbers


def _normal(stream: np.random.Generator, shape: Shape, mean: float = 0, std: float = 1) -> Array:
    return _scaled(np.asarray(stream.standard_normal(shape, dtype=np.float32)), mean, std)


def _uniform(stream: np.random.Generator, shape: Shape, low: float = 0, high: float = 1) -> Array:
    return _scaled(np.asarray(stream.random(shape, dtype=np.float32)), low, high - low)


def _log_uniform(stream: np.random.Generator, shape: Shape, low: float, high: float) -> Array:
    return np.exp(_uniform(stream, shape, math.log(low), math.log(high)))


def _integers(stream: np.random.Generator, shape: Shape, low: float, high: float) -> Array:
    return np.asarray(stream.integers(int(low), int(high), shape, dtype=np.int64))


def _bernoulli(stream: np.random.Generator, shape: Shape, p: float) -> Array:
    return np.asarray(stream.random(shape, dtype=np.float32) < p)


def _truncated_normal(
    stream: np.random.Generator, shape: Shape, mean: float = 0, std: float = 1
) -> Array:
    """Normal, what is more than two deviations away drawn again."""
    numbers = np.asarray(stream.standard_normal(shape, dtype=np.float32)).reshape(-1)
    while (far := np.flatnonzero(np.abs(numbers) > 2)).size:
        numbers[far] = stream.standard_normal(far.size, dtype=np.float32)
    return _scaled(numbers.reshape(shape), mean, std)


def _orthogonal(stream: np.random.Generator, shape: Shape, gain: float = 1) -> Array:
    """Rows (first axis) or columns (all others), whichever are fewer, orthonormal times gain."""
    rows = shape[0] if shape else 1
    columns = math.prod(shape[1:])
    tall = stream.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diagonal(r))  # so that every orthogonal matrix is as likely as any other
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(np.float32)


def _constant(_: np.random.Generator, shape: Shape, value: float) -> Array:
    return np.full(shape, value, np.float32)


DISTRIBUTIONS: Mapping[str, Rule] = {
    "normal": _normal,
    "uniform": _uniform,
    "log_uniform": _log_uniform,
    "integers": _integers,
    "bernoulli": _bernoulli,
    "truncated_normal": _truncated_normal,
    "orthogonal": _orthogonal,
    "constant": _constant,
}
