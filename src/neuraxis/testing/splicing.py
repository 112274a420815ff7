"""The law of learned maps: what is put in as a difference, and changes nothing, is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..compiler.reference import NamedArray, evaluate
from ..dsl.core import DType
from ..runtime.examples import inputs_for
from .changes import some, writes
from .comparing import assert_close
from .data import given_for
from .interventions import scans_around, under, writable
from .models import measuring, model_of, results, trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..dsl.core import Axis
    from ..runtime.model import SpecModel
    from ..runtime.program import Program

MOST = 3  # sites that are written at once
MAPS = (
    ("sae[{a} -> {f} = 3]", "{m}(it)", "x"),
    ("topk_sae[{a} -> {f} = 3]", "{m}(it, pick = 2)", "x"),
    ("gated_sae[{a} -> {f} = 3]", "{m}(it)", "x"),
    ("jumprelu_sae[{a} -> {f} = 3]", "{m}(it)", "x"),
    ("transcoder[{a} -> {f} = 3, {a}]", "{m}(tanh(it), it)", "y"),
    ("rotation[{a} -> {f}]", "it + dot[{f}]({m}.w, where({f} < 0, {m}(it), 0))", "x"),
    ("rotation[{a} -> {f}]", "it + dot[{f}]({m}.w, {m}(it) - {m}(it))", "x"),
    ("linear[{a} -> {f} = 3]", "it + sum[{f}]({m}(it) - {m}(it))", "x"),
    ("sparse_affine[{a}]", "it + ({m}(it) - {m}(it))", "x"),
    ("invertible[{a}]", "{m}(it, inverse = true) - {m}(it, inverse = true) + it", "x"),
)
"""Blocks over an axis `a`, to an axis `f` of their own; how they are put in without a change; and the
argument that holds what was there."""

WITHIN = {"g", "half", "k", "m", "turns"}
"""Axes that these blocks make for themselves, and a scan cannot run along around them."""


@dataclass(frozen=True)
class Splice:
    """A map that is put in at an address."""

    called: str
    block: str
    address: str
    value: str
    argument: str


def check_splices(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    seed: int = 0,
) -> None:
    """A learned map that is put in as a difference and changes nothing leaves what was there, to the
    bit, by the oracle and in what is emitted. (What is computed of it may be rounded otherwise, where
    a value that is named is no longer computed together with others.)"""
    made = model_of(program, model)
    given = inputs_for(made, seed) if inputs is None else inputs
    splices = list(_splices(made, given, np.random.default_rng(seed), seed))
    if not splices:
        return
    shares = [f"share {one.called} = {one.block}" for one in splices]
    text = writes(made.checked.name, [*shares, *(f"{s.address} = {s.value}" for s in splices)])
    spliced = under(made, text)
    pairs = [(s.address, f"writes.{s.called}.{s.argument}") for s in splices]
    seen = measuring(spliced, [address for pair in pairs for address in pair])
    oracle = evaluate(seen.checked.body, **given_for(seen, given).keywords())
    emitted = [
        NamedArray(d.order, v.detach().numpy())
        for d, v in zip(seen.checked.results, results(seen, given), strict=True)
    ]
    for place, one in enumerate(splices):
        for found, how in ((oracle, "by the oracle"), (emitted, "as it is emitted")):
            after, before = map(_plain, found[2 * place : 2 * place + 2])
            assert_close(after, before, tolerance=0.0, what=f"{text}`{one.address}`, {how},")
    assert_close(results(spliced, given), results(made, given), what=f"{text}result")


def _plain(value: NamedArray) -> NamedArray:
    """With the names that axes have outside of a block that keeps them apart from its own."""
    return NamedArray(tuple(name.lstrip("^") for name in value.axes), value.array)


def _splices(
    model: SpecModel, given: Sequence[Any], numbers: np.random.Generator, seed: int
) -> Iterator[Splice]:
    """Maps at some sites that are finite: of infinity no difference can be taken."""
    own, scans = model.checked.aliases, scans_around(model.checked.body)
    found: dict[str, list[Axis]] = {}
    for site in some(writable(model), seed):
        around = scans.get(own.get(site.address, site.address), ())
        axes = [
            axis
            for axis in site.node.axes
            if isinstance(axis.size, int) and axis.name.isalpha() and axis.name not in around
        ]
        if WITHIN & set(around) or len(found) == 2 * MOST:
            continue
        if site.node.dtype is DType.FLOAT and axes:
            found[site.address] = axes
    held = trace(model, given, list(found)) if found else {}
    finite = [address for address in found if bool(torch.isfinite(held[address].tensor).all())]
    for count, address in enumerate(finite[:MOST]):
        axis = found[address][int(numbers.integers(len(found[address])))]
        ways = MAPS if isinstance(axis.size, int) and axis.size % 2 == 0 else MAPS[:-1]
        block, value, argument = ways[int(numbers.integers(len(ways)))]
        names = {"a": axis.name, "f": f"code{count}", "m": f"map{count}"}
        yield Splice(names["m"], block.format(**names), address, value.format(**names), argument)
