"""The laws of paths and of rules for the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..dsl.core import DType
from ..dsl.elaborate.routes import blocks_of
from ..dsl.ops import INPUT, PARAM, RANDOM, SCAN, STATE, ItemAttrs
from ..runtime.examples import inputs_for
from .changes import some, writes
from .comparing import assert_close
from .interventions import ADDRESS, under, writable
from .models import computing_in, held_in, model_of, results, tensor, trace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..runtime.model import SpecModel
    from ..runtime.program import Program

LEAVES = (INPUT, PARAM, RANDOM, STATE)
VALUES = ("0", "2 * it", "it + 0.5", "tanh(it)")
FACTORS = ("0", "0.5", "-2")
NOTHING = ("{} += 0 * it", "{} *= 1", "{} = where(0 > 1, 0, it)", "{} -= 0")
MOST = 3  # sites that are tried


def check_reroute(program: Program, model: SpecModel | str | None = None, *, seed: int = 0) -> None:
    """Where all that read a site read the new value, the path is the write; where all but these
    do, nothing is written."""
    made = model_of(program, model)
    numbers = np.random.default_rng(seed)
    given, name = inputs_for(made, seed), made.checked.name
    floats = [s.address for s in some(writable(made), seed) if s.node.dtype is DType.FLOAT]
    found = [(address, readers) for address in floats if (readers := _readers(made, address))]
    for address, readers in found[:MOST]:
        value = VALUES[int(numbers.integers(len(VALUES)))]
        written = under(made, writes(name, [f"{address} = {value}"]))
        line = f"{address} along {{{', '.join(readers)}}} = {value}"
        along = under(made, writes(name, [line]))
        assert_close(results(along, given), results(written, given), what=f"{line}: result")
        line = line.replace(" along ", " along not ")
        along = under(made, writes(name, [line]))
        assert_close(results(along, given), results(made, given), what=f"{line}: result")


def check_gains(program: Program, model: SpecModel | str | None = None, *, seed: int = 0) -> None:
    """A gain changes no value, and gains of 1 no gradient."""
    made = model_of(program, model)
    numbers = np.random.default_rng(seed)
    sites = some([s for s in writable(made) if s.node.dtype is DType.FLOAT], seed)[: 2 * MOST]
    if not sites:
        return
    given, name = inputs_for(made, seed), made.checked.name
    factor = FACTORS[int(numbers.integers(len(FACTORS)))]
    changed = under(made, writes(name, [f"gain {site.address} = {factor}" for site in sites]))
    assert_close(results(changed, given), results(made, given), what="under gains, result")
    text = writes(name, [f"gain {site.address} = 1" for site in sites])
    ones, wanted = _gradients(under(made, text), given), _gradients(made, given)
    for key, value in wanted.items():
        largest = max((float(v.abs().max()) for v in wanted.values() if v.numel()), default=0.0)
        assert_close(ones[key], value, met=largest, what=f"{text}gradient of `{key}`")


def check_nothing(program: Program, model: SpecModel | str | None = None, *, seed: int = 0) -> None:
    """A write with a strength of 0, times 1, or to nothing, is the plain model, to the bit."""
    made = model_of(program, model)
    numbers = np.random.default_rng(seed)
    given = inputs_for(made, seed)
    sites = some([s for s in writable(made) if s.node.dtype is DType.FLOAT], seed)[: 2 * MOST]
    top = {step.node.site for step in made.checked.body.steps}
    addresses = [s.address for s in sites if made.checked.aliases.get(s.address, s.address) in top]
    if not addresses:
        return
    held = trace(made, given, addresses)
    lines = [
        NOTHING[int(numbers.integers(len(NOTHING)))].format(address)
        for address in addresses
        if bool(torch.isfinite(held[address].tensor).all())
    ]
    if lines:
        found = under(made, writes(made.checked.name, lines))
        what = "\n".join([*lines, "result"])
        assert_close(results(found, given), results(made, given), what=what)


def _readers(model: SpecModel, address: str) -> list[str]:
    """All that read a site, as consumers that a path can name; none if there are others."""
    checked = model.checked
    steps = checked.body.steps
    nodes = {step.node.name: step.node for step in steps}
    source = next(
        (n for n in nodes.values() if n.site == checked.aliases.get(address, address)), None
    )
    kept = source is None or source.op in LEAVES or isinstance(source.attrs, ItemAttrs)
    if source is None or kept or source.name in checked.body.results:
        return []
    sites = {node.site for node in nodes.values()}
    inside, found, waiting = set(blocks_of(source.scope)), dict[str, None](), [source.name]
    while waiting:
        name = waiting.pop()
        for step in steps:
            if name not in step.operands:
                continue
            node = step.node
            entered = [block for block in blocks_of(node.scope) if block not in inside]
            consumer = entered[0] if entered else node.site
            if node.op is SCAN or isinstance(node.attrs, ItemAttrs):
                return []
            if consumer is None and node.name not in checked.body.results:
                waiting.append(node.name)
            elif consumer not in sites or not ADDRESS.fullmatch(consumer or ""):
                return []
            else:
                found[consumer or ""] = None
    return list(found)


def _gradients(model: SpecModel, given: Sequence[Any]) -> dict[str, torch.Tensor]:
    """Of a sum over the results, by parameter."""
    made = held_in(model, "float64")
    named = {name: p for name, p in made.named_parameters() if p.requires_grad}
    with torch.enable_grad(), computing_in("float64"):
        found = made(*map(tensor, given))
        all_of = found if isinstance(found, tuple) else (found,)
        parts = [r.clip(-1e3, 1e3).tanh().sum() for r in all_of if r.requires_grad]
        if not named or not parts:
            return {}
        back = torch.autograd.grad(sum(parts), list(named.values()), allow_unused=True)
    return {
        name: torch.zeros_like(p) if g is None else g.nan_to_num(0, 0, 0)
        for (name, p), g in zip(named.items(), back, strict=True)
    }
