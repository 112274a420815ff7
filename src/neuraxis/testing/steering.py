"""Interventions that say where they are: at absolute positions, in phases, or at `@last`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ..dsl.core import DType
from .interventions import Drawn, writable
from .models import model_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..runtime.model import SpecModel
    from ..runtime.program import Program

    Draw = Callable[[st.SearchStrategy[Any]], Any]

VALUES = ("= 0", "= 0.5 * it", "= tanh(it)", "+= 0.25", "-= strength", "*= 2", "= it + base.{site}")
STRENGTH = "strength = 0.75"


@dataclass(frozen=True)
class Steering:
    """Writes that say where they are, and the same with every position as a number."""

    said: Drawn
    told: Drawn

    def __str__(self) -> str:
        return self.said.text


@st.composite
def steerings(
    draw: Draw,
    program: Program,
    model: SpecModel | str | None = None,
    *,
    prompt: int,
    axis: str = "t",
    most: int = 3,
) -> Steering:
    """Up to `most` writes to sites along the axis that is decoded: at absolute positions, in phases
    of decoding and at `@last`, of a run whose first `prompt` positions are its prompt."""
    made = model_of(program, model)
    sites = [
        site.address
        for site in writable(made)
        if site.node.dtype is DType.FLOAT and axis in site.axes
    ]
    said, told = [], []
    for _ in range(draw(st.integers(1, most)) if sites else 0):
        site = draw(st.sampled_from(sites))
        value = draw(st.sampled_from(VALUES)).format(site=site)
        phase, region, other = draw(_places(axis, prompt, phases=made.checked.time == axis))
        said.append(f"{phase}{site}{region} {value}")
        told.append(f"{site}{other} {value}")
    name, params = made.checked.name, (STRENGTH,) if any("strength" in v for v in said) else ()
    own = frozenset(made.checked.aliases.get(site, site) for site in sites)
    return Steering(Drawn(tuple(said), own, name, params), Drawn(tuple(told), own, name, params))


@st.composite
def _places(draw: Draw, axis: str, prompt: int, *, phases: bool) -> tuple[str, str, str]:
    """A phase, a part of a site, and the part that both are together."""
    at = draw(st.integers(0, prompt + 2))
    region = draw(
        st.sampled_from(["", f"{axis} >= {at}", f"{axis} != {at}", f"{axis} in {{0, {at}}}"])
    )
    if at < prompt:  # a position that is there in any part of the run
        region = draw(st.sampled_from([region, f"{axis} = {at}", f"{axis} = 0..{at + 1}"]))
    kind = draw(st.sampled_from(["", "last", "prefill", "decode", "steps"])) if phases else ""
    start = draw(st.integers(0, 2))
    stop = start + draw(st.integers(1, 2))
    match kind:
        case "last":
            return "", f"[{axis} = @last]", f"[{axis} >= {prompt - 1}]"
        case "prefill":
            phase, when = "during prefill: ", f"{axis} < {prompt}"
        case "decode":
            phase, when = "during decode: ", f"{axis} >= {prompt}"
        case "steps":
            phase = f"during decode {start}..{stop}: "
            when = f"{axis} >= {prompt + start}, {axis} < {prompt + stop}"
        case _:
            phase, when = "", ""
    items = [item for item in (region, when) if item]
    return phase, f"[{region}]" if region else "", f"[{', '.join(items)}]" if items else ""
