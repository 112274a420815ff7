"""Draws recurrences of each kind that do not run away: decays at most 1, corrections that contract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from ..compiler.recurrences import Kind
from ..dsl import sizes
from ..dsl.core import DType

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ..dsl.program import CheckedModel

    Draw = Callable[[st.SearchStrategy[Any]], Any]
    Arrays = dict[str, NDArray[Any]]

DECAYS = (1 - 2**-23, 1e-30, 0.0, 1.0, 0.5, 0.97)
INPUTS = {
    "x": "x[b, t, d]",
    "u": "u[d]",
    "w": "w[d, e]",
    "q": "q[b, t, k]",
    "key": "key[b, t, k]",
    "left": "left[b, t, k]",
    "val": "val[b, t, v]",
    "lefts": "lefts[b, t, k, r]",
    "rights": "rights[b, t, k, r]",
    "start": "start[b]",
    "stop": "stop[b, t]: bool",
    "real": "real[b, t]: bool",
}


@dataclass(frozen=True)
class Family:
    """Recurrences that differ in their decay `a`: carries with their axes, lines in which the old
    value of a carry is `NAME'` and `a` its decay, what is read of them and its axes."""

    carries: dict[str, str]
    lines: tuple[str, ...]
    read: str
    axes: str


VECTOR, MATRIX = {"S": "d"}, {"S": "k, v"}
READ = ("dot[k](q, S)", "v")
FAMILIES: dict[Kind, tuple[Family, ...]] = {
    Kind.ELEMENTWISE: (
        Family(VECTOR, ("S = a * S' + x",), "S", "d"),
        Family(VECTOR, ("S = a * S' + (1 - a) * x",), "S", "d"),
        Family(
            {"S": "d", "R": "d"},
            ("S = 0.7 * a * (S' - R') + x", "R = 0.7 * a * (S' + R')"),
            "S * R",
            "d",
        ),
        Family(MATRIX, ("S = a * S' + key * val",), *READ),
        Family({"S": "k, v", "M": "k, v"}, ("M = 0.5 * M' + key * val", "S = a * S' + M"), *READ),
    ),
    Kind.LOW_RANK: (
        Family(
            MATRIX,
            ("kept = a * S'", "S = kept + 0.5 * key * (val - dot[k](key, kept))"),
            *READ,
        ),
        Family(MATRIX, ("S = 0.7 * a * S' + 0.1 * left * dot[k](key, S') + key * val",), *READ),
        Family(
            MATRIX,
            ("S = 0.5 * a * S' + 0.05 * dot[r](lefts, dot[k](rights, S')) + key * val",),
            *READ,
        ),
        Family(
            MATRIX,
            (
                "half = a * S' + 0.5 * key * (val - a * dot[k](key, S'))",
                "S = half - 0.5 * left * dot[k](left, half)",
            ),
            "S",
            "k, v",
        ),
        Family(
            {"S": "k, v", "M": "k, v"},
            ("M = 0.4 * M' + 0.1 * key * (val - dot[k](key, S'))", "S = 0.9 * a * S' + M"),
            *READ,
        ),
    ),
    Kind.AFFINE: (
        Family(VECTOR, ("S = 0.3 * a * dot[e](w, S'[d -> e]) + x",), "S", "d"),
        Family(VECTOR, ("S = a * flip[d](S') + x",), "S", "d"),
    ),
    Kind.SEPARATE: (
        Family(VECTOR, ("S = tanh(u * a * S' + x)",), "S", "d"),
        Family(
            VECTOR,
            ("gate = sigmoid(x + u * S')", "S = (1 - gate) * a * S' + gate * tanh(x - u * S')"),
            "S",
            "d",
        ),
        Family(
            {"S": "d", "c": "d"},
            ("c = a * sigmoid(u * S' + x) * c' + x", "S = tanh(c) * sigmoid(S')"),
            "S",
            "d",
        ),
    ),
    Kind.NONLINEAR: (
        Family(VECTOR, ("S = tanh(0.3 * a * dot[e](w, S'[d -> e]) + x)",), "S", "d"),
        Family(
            MATRIX,
            ("more = a * S' + key * val", "S = more / (1 + norm[k](more))"),
            *READ,
        ),
    ),
}


@st.composite
def cells(draw: Draw, kind: Kind) -> str:
    """The text of a spec with one model, `cell`: a scan whose first carry is of a kind.

    A sequence may start anew where `stop` holds and stand still where `real` does not, as packed
    and padded ones do; it may run backwards.
    """
    family = draw(st.sampled_from(FAMILIES[kind]))
    backwards, anew, stands = (draw(st.booleans()) for _ in range(3))
    body = [f"carry {name}[{axes}] = start" for name, axes in family.carries.items()]
    body += [f"was_{name} = {name}" for name in family.carries]
    for name in family.carries:
        body.append(f"old_{name} = {f'where(stop, 0, was_{name})' if anew else f'was_{name}'}")
    for line in family.lines:
        name, _, value = re.sub(r"(\w+)'", r"old_\1", line).partition(" = ")
        if name in family.carries and stands:
            value = f"where(real, {value}, was_{name})"
        body.append(f"{name} = {value}")
    first, axes = next(iter(family.carries.items()))
    decay = ["b", "t", *draw(st.sampled_from([[], axes.split(", ")[:1]]))]
    words = set(re.findall(r"\w+", " ".join([*body, family.read])))
    inputs = [text for name, text in INPUTS.items() if name in words]
    lines = "".join(f"        {line}\n" for line in body)
    return (
        f"model cell[d = 3, e = 3, k = 3, v = 2, r = 2](a[{', '.join(decay)}], "
        f"{', '.join(inputs)}) -> [b, t, {family.axes}], [b, {axes}]:\n"
        f"    scan t{' reversed' if backwards else ''}:\n{lines}"
        f"    return {family.read}, {first}[t = {0 if backwards else -1}]\n"
    )


def operands(model: CheckedModel, length: int, seed: int, batch: int = 2) -> Arrays:
    """Inputs of a drawn cell for so many steps, exact in float32: decays of any size up to 1, few
    starts, many steps that are real, other numbers between -1 and 1."""
    numbers = np.random.default_rng(seed)
    known = {"b": batch, "t": length}
    nodes = {step.node.site: step.node for step in model.body.steps}
    some = numbers.choice(DECAYS, size=numbers.integers(1, len(DECAYS) + 1))
    found: Arrays = {}
    for decl in model.inputs:
        own = {axis.name: axis.size for axis in nodes[decl.name].axes}
        shape = [sizes.evaluate(own[axis], known) for axis in decl.order]
        if decl.dtype is DType.BOOL:
            chance = numbers.uniform(size=shape)
            found[decl.name] = chance < (0.05 if decl.name == "stop" else 0.9)
        elif decl.name == "a":
            found[decl.name] = numbers.choice(some, size=shape).astype(np.float32)
        else:
            found[decl.name] = numbers.uniform(-1, 1, shape).astype(np.float32)
    return found
