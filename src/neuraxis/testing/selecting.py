"""The laws of what is written: parts of a site in their order, and no write to what is not there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from ..compiler.reference import evaluate
from ..dsl.core import DType
from ..dsl.diagnostics import Slug, SpecError
from ..runtime.examples import inputs_for
from .changes import some, writes
from .comparing import assert_close
from .data import given_for
from .interventions import scans_around, under, writable
from .models import model_of, results

if TYPE_CHECKING:
    from ..compiler.reference import NamedArray
    from ..runtime.model import SpecModel
    from ..runtime.program import Program

MOST = 3  # sites that are tried
NOWHERE = {Slug.UNKNOWN_SITE, Slug.UNKNOWN_AXIS, Slug.BAD_INDEX}


def check_parts(program: Program, model: SpecModel | str | None = None, *, seed: int = 0) -> None:
    """Writes to parts of a site that do not meet give the same in either order, to the bit; where
    they meet, each is of what the one before it made."""
    made = model_of(program, model)
    given, name = inputs_for(made, seed), made.checked.name
    first: list[str] = []
    second: list[str] = []
    lines: list[str] = []
    told: list[str] = []
    scans, own = scans_around(made.checked.body), made.checked.aliases
    for site in some(writable(made), seed):
        around = scans.get(own.get(site.address, site.address), ())
        axes = [axis for axis in site.axes if axis.isidentifier() and axis not in around]
        if site.node.dtype is not DType.FLOAT or not axes or len(first) == MOST:
            continue
        at, axis = site.address, axes[0]
        first.append(f"{at}[{axis} = 0] = 0.5 * it")
        second.append(f"{at}[{axis} != 0] = tanh(it)")
        lines += [f"{at} = tanh(it)", f"{at}[{axis} = 0] = 0.5 * it"]
        told.append(f"{at} = where({axis} == 0, 0.5 * tanh(it), tanh(it))")

    def found(text: str) -> list[NamedArray]:
        changed = under(made, text)
        return list(evaluate(changed.checked.body, **given_for(changed, given).keywords()))

    if first:
        one, other = writes(name, [*first, *second]), writes(name, [*second, *first])
        assert_close(
            found(one), found(other), tolerance=0.0, what=f"{one}in the other order, result"
        )
        one, other = writes(name, lines), writes(name, told)
        assert_close(found(one), found(other), tolerance=0.0, what=f"{one}as one write, result")
        assert_close(
            results(under(made, one), given),
            results(under(made, other), given),
            what=f"{one}result",
        )


def check_selectors(
    program: Program, model: SpecModel | str | None = None, *, seed: int = 0
) -> None:
    """A write to what is not there is a diagnostic before anything runs: an address that nothing
    has, a turn too many, an axis that the site lacks, a position outside of a size that is known."""
    made = model_of(program, model)
    numbers = np.random.default_rng(seed)
    taken = {part for site in made.sites() for part in re.findall(r"\w+", site.address)}
    axes = {axis for site in made.sites() for axis in site.axes}
    free = next(word for word in ("nowhere", "nowhere_2") if word not in taken | axes)
    for site in some(writable(made), seed)[:MOST]:
        sized = [(a.name, a.size) for a in site.node.axes if isinstance(a.size, int)]
        own = [(name, size) for name, size in sized if name.isidentifier()]
        wrong = [f"{site.address}.{free}", f"{free}.{site.address}", f"{site.address}[{free} = 0]"]
        wrong += [f"{site.address}[{name} = {size}]" for name, size in own]
        wrong += [re.sub(r"\[\d+\]", "[99]", site.address)] if "[" in site.address else []
        line = f"{wrong[int(numbers.integers(len(wrong)))]} = it"
        said = _said(made, line)
        assert said, f"`{line}` writes nothing, and nothing is said"
        assert said <= NOWHERE, f"`{line}` is refused for something else: {', '.join(said)}"


def _said(model: SpecModel, line: str) -> set[Slug]:
    """What is wrong with a write."""
    try:
        under(model, writes(model.checked.name, [line]))
    except SpecError as error:
        return {found.slug for found in error.diagnostics}
    return set()
