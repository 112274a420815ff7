"""Draws well-typed interventions on a model, and puts them in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ..dsl.core import DType
from ..dsl.diagnostics import Collector, SpecError
from ..dsl.elaborate.under import elaborate_under
from ..dsl.modules import Loader
from ..dsl.ops import ScanAttrs
from ..runtime.model import SpecModel, spec_model
from .models import model_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..dsl.core import Body
    from ..runtime.program import Program
    from ..runtime.sites import Site

    Draw = Callable[[st.SearchStrategy[Any]], Any]

NAME = "drawn_writes"
ADDRESS = re.compile(r"[A-Za-z_]\w*(\[\d+\])?(\.[A-Za-z_]\w*(\[\d+\])?)*")
VALUES = (
    "it",
    "0",
    "0.5 * it",
    "-it",
    "tanh(it)",
    "it + 0.25",
    "where(it > 0.1, it, 0)",
    "max(it, 0)",
)


@dataclass(frozen=True)
class Drawn:
    """An intervention as text, and the addresses that it writes."""

    writes: tuple[str, ...]
    sites: frozenset[str]
    model: str
    params: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The statement, as it would stand in a spec."""
        head = (
            f"intervention {NAME}({', '.join(self.params)}) on {self.model}:"
            if self.params
            else f"intervention {NAME} on {self.model}:"
        )
        return "\n".join([head, *(f"    {write}" for write in self.writes), ""])

    def __str__(self) -> str:
        return self.text

    def under(self, model: SpecModel, **arguments: Any) -> SpecModel:
        """The model with the writes in its graph, as `model.under` gives it."""
        return under(model, self.text, arguments)

    def decoded(self, model: SpecModel) -> SpecModel:
        """The same as it is decoded: `@last` is the end of a prompt, and each position after it."""
        return under(model, self.text, decoding=True)

    def then(self, other: Drawn) -> Drawn:
        """The writes of both, the other's after these."""
        return Drawn(
            (*self.writes, *other.writes),
            self.sites | other.sites,
            self.model,
            tuple(dict.fromkeys([*self.params, *other.params])),
        )


def under(
    model: SpecModel,
    text: str,
    arguments: Mapping[str, Any] = MappingProxyType({}),
    *,
    decoding: bool = False,
) -> SpecModel:
    """The model under an intervention that is given as text, and need not stand in its spec."""
    collector = Collector()
    module = Loader(collector).from_text("(drawn)", text, None)
    collector.raise_if_errors()
    assert module is not None
    ((name, _),) = module.own.items()
    home = replace(model._module, own={**model._module.own, **module.own})
    numbers = {key: value for key, value in arguments.items() if isinstance(value, int | float)}
    found = elaborate_under(model.checked, home, [(name, numbers)], collector, decoding=decoding)
    if found is None:
        raise SpecError(collector.diagnostics)
    checked, defaults = found
    tensors = {f"{name}.{key}": value for key, value in arguments.items() if key not in numbers}
    return spec_model(
        checked, home, {**model._defaults, **defaults, **tensors}, shared=model, seed=model._seed
    )


def writable(model: SpecModel) -> list[Site]:
    """The sites that a spec can write: those whose address it can say."""
    return [site for site in model.sites() if ADDRESS.fullmatch(site.address)]


@st.composite
def interventions(
    draw: Draw,
    program: Program,
    model: SpecModel | str | None = None,
    *,
    most: int = 3,
    only: Sequence[str] | None = None,
) -> Drawn:
    """A well-typed intervention of up to `most` writes: to regions of sites, to all turns, with all
    operators. `only` are the addresses that may be written."""
    made = model_of(program, model)
    sites = [
        s
        for s in writable(made)
        if s.node.dtype is DType.FLOAT and (only is None or s.address in only)
    ]
    if not sites:
        return Drawn((), frozenset(), made.checked.name)
    own = made.checked.aliases
    steps = scans_around(made.checked.body)
    groups: dict[str, list[Site]] = {}
    for site in sites:
        groups.setdefault(re.sub(r"\[\d+\]", "[*]", site.address), []).append(site)
    writes, written, params = [], set(), set()
    for _ in range(draw(st.integers(1, most))):
        site = draw(st.sampled_from(sites))
        path, hit = site.address, [site]
        pattern = re.sub(r"\[\d+\]", "[*]", path)
        alike = {tuple(s.node.axes) for s in groups[pattern]}
        everywhere = [s.address for s in made.sites(pattern)]
        if (
            pattern.count("[*]") == 1
            and len(alike) == 1
            and set(everywhere) <= {s.address for s in groups[pattern]}
            and draw(st.booleans())
        ):
            path, hit = pattern, groups[pattern]
        text, uses = _write(draw, path, site, steps.get(own.get(site.address, site.address), ()))
        writes.append(text)
        params |= uses
        written |= {own.get(s.address, s.address) for s in hit}
    return Drawn(tuple(writes), frozenset(written), made.checked.name, tuple(sorted(params)))


def scans_around(body: Body) -> dict[str, tuple[str, ...]]:
    """For each address the axes of the scans around it: there, a value is that of a step."""
    found: dict[str, tuple[str, ...]] = {}
    for address, around in _scans(body, ()):
        found[address] = max(found.get(address, ()), around, key=len)  # the innermost is written
    return found


def _scans(body: Body, around: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for step in body.steps:
        if step.node.site is not None and around:
            yield step.node.site, around
        if isinstance(step.node.attrs, ScanAttrs):
            yield from _scans(step.node.attrs.body, (*around, step.node.attrs.axis.name))


def _write(draw: Draw, path: str, site: Site, steps: tuple[str, ...]) -> tuple[str, set[str]]:
    """One write, and the parameters that it needs."""
    region = _region(draw, site)
    op = draw(st.sampled_from(["=", "=", "*=", "+=", "-=", "/="]))
    if op != "=":
        value = draw(st.sampled_from(["0.5", "2", "0.25", "strength"]))
        return f"{path}{region} {op} {value}", {"strength = 0.75"} & {f"{value} = 0.75"}
    ways = list(VALUES)
    whole = [axis for axis in site.axes if axis not in steps]
    if whole:
        axis = draw(st.sampled_from(whole))
        if axis.isidentifier():
            ways += [f"mean[{axis}](it)", f"it - mean[{axis}](it)"]
    if "*" not in path:
        ways += [f"0.5 * base.{path}", f"it + base.{path}"]
    return f"{path}{region} = {draw(st.sampled_from(ways))}", set()


def _region(draw: Draw, site: Site) -> str:
    """The part that is written: all of it, a position, a range, or where a condition holds."""
    axes = [axis for axis in site.node.axes if axis.name.isidentifier()]
    if not axes or draw(st.booleans()):
        return ""
    items = []
    for axis in draw(st.lists(st.sampled_from(axes), min_size=1, max_size=2, unique=True)):
        last = axis.size - 1 if isinstance(axis.size, int) else 0
        items.append(draw(st.sampled_from([
            f"{axis.name} = {last}", f"{axis.name} = -1", f"{axis.name} = 0", f"{axis.name} = 0..1",
            f"{axis.name} = ..{last + 1}", f"{axis.name} != 0", f"{axis.name} >= 1", f"{axis.name} in {{0, 2}}",
        ])))  # fmt: skip
    return f"[{', '.join(items)}]"
