"""Known shapes of programs, one row each: what is looked for, and the form that it is written in.

The first row that fits wins. What stands inside must have no other reader, so that a norm whose
scale is read, say, is computed in the open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..forms import BatchNorm, CrossEntropy, Form, LayerNorm, Pointwise, RMSNorm
from .patterns import (
    Found,
    Pattern,
    call,
    either,
    gathered,
    literal,
    only_along,
    product,
    reduction,
    stored,
    total,
    value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

X = value("x")
SQUARED = product(1, (X, 2))
CENTRED = total(0, (X, 1), (reduction("mean", X), -1))
VARIANCE = either(reduction("var", X), reduction("mean", product(1, (CENTRED, 2))))
SPREAD = total("eps", (VARIANCE, 1))
POWER = total("eps", (reduction("mean", SQUARED), 1))
WEIGHT, BIAS = only_along("weight"), only_along("bias")
NORMED = (CENTRED, 1), (SPREAD, -0.5)
SCALED = product(1, *NORMED, (WEIGHT, 1))
STORED = (
    (total(0, (X, 1), (stored("mean"), -1)), 1),
    (total("eps", (stored("variance"), 1)), -0.5),
    (only_along("weight"), 1),
)
CUBIC = total(0, (X, 1), (product(0.044715, (X, 3)), 1))
TANH = call("tanh", product(math.sqrt(2 / math.pi), (CUBIC, 1)))
ERF = call("erf", product(math.sqrt(0.5), (X, 1)))
SCORES = value("scores")


@dataclass(frozen=True)
class Idiom:
    """A pattern, the form it is written in, and the labels of what that reads, in order."""

    name: str
    pattern: Pattern
    form: Callable[[Found], Form]
    reads: tuple[str, ...] = ("x",)


def _layer_norm(found: Found) -> Form:
    return LayerNorm(found.axes, found.numbers["eps"])


def _rms_norm(found: Found) -> Form:
    return RMSNorm(found.axes, found.numbers["eps"])


def _batch_norm(found: Found) -> Form:
    return BatchNorm(found.axes[0], found.numbers["eps"])


def _pointwise(text: str) -> Callable[[Found], Form]:
    return lambda _: Pointwise(text)


IDIOMS = (
    Idiom("layer norm", total(0, (SCALED, 1), (BIAS, 1)), _layer_norm, ("x", "weight", "bias")),
    Idiom("layer norm", SCALED, _layer_norm, ("x", "weight")),
    Idiom("layer norm", product(1, *NORMED), _layer_norm),
    Idiom("rms norm", product(1, (X, 1), (POWER, -0.5), (WEIGHT, 1)), _rms_norm, ("x", "weight")),
    Idiom("rms norm", product(1, (X, 1), (POWER, -0.5)), _rms_norm),
    Idiom(
        "batch norm",
        total(0, (product(1, *STORED), 1), (BIAS, 1)),
        _batch_norm,
        ("x", "mean", "variance", "weight", "bias"),
    ),
    Idiom("gelu", product(0.5, (X, 1), (total(1, (ERF, 1)), 1)), _pointwise("F.gelu({})")),
    Idiom(
        "gelu",
        product(0.5, (X, 1), (total(1, (TANH, 1)), 1)),
        _pointwise('F.gelu({}, approximate="tanh")'),
    ),
    Idiom("silu", product(1, (X, 1), (call("sigmoid", X), 1)), _pointwise("F.silu({})")),
    Idiom("relu", product(1, (X, 1), (call("gt", X, literal(0)), 1)), _pointwise("F.relu({})")),
    Idiom("relu", call("max", X, literal(0)), _pointwise("F.relu({})")),
    Idiom("relu", call("max", literal(0), X), _pointwise("F.relu({})")),
    Idiom(
        "relu", call("where", call("gt", X, literal(0)), X, literal(0)), _pointwise("F.relu({})")
    ),
    Idiom("inverse root", product(1, (X, -0.5)), _pointwise("torch.rsqrt({})")),
    Idiom(
        "cross entropy",
        total(0, (reduction("logsumexp", SCORES), 1), (gathered(SCORES, value("target")), -1)),
        lambda found: CrossEntropy(found.axes[0], mean=False),
        ("scores", "target"),
    ),
)
