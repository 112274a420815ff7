"""Interventions as they are planned: writes at addresses, and writes along paths."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .. import syntax as s
    from ..source import Span
    from .scope import Scope
    from .values import Owned


@dataclass(frozen=True, slots=True)
class Planned:
    """One write at one address. `turns` are the turns that a wildcard or swept variable stands for
    here: (loop, `*` or the variable, turn). `when` is the part of the selection that says when."""

    write: s.Write
    selection: tuple[s.Item, ...]
    turns: tuple[tuple[str, str, int], ...]
    scope: Scope
    when: tuple[s.Item, ...] = ()

    @property
    def is_part(self) -> bool:
        """Whether only a part of the value is meant, or only some members of a sweep."""
        return bool(self.selection) or any(by != "*" for _, by, _ in self.turns)


@dataclass(frozen=True, slots=True)
class Consumer:
    """What reads on a path: the value at an address and, if it is that of a call, all that is
    computed in the call, whose steps have the scope `region`."""

    address: str
    region: str
    planned: Planned


@dataclass(frozen=True, slots=True)
class Detour:
    """Writes along one path: what is changed, and who reads that, hop by hop. Blocks on the way are
    held but for those in `through`. With `but`, the consumers read what was there before."""

    sources: dict[str, list[Planned]]
    hops: tuple[tuple[Consumer, ...], ...]
    through: frozenset[str]
    path: s.Path

    def goes_along(self, other: Detour) -> bool:
        """Whether both have the same path."""
        return self._key == other._key

    @property
    def _key(self) -> object:
        hops = [[(c.region, c.planned.selection, c.planned.turns) for c in h] for h in self.hops]
        return hops, self.through, self.path.but


@dataclass(slots=True)
class Plan:
    """All writes of a run: by address, and those along paths; and what interventions own. `trained`
    says whether it is a step of a training, of parameters that are trained; `whole` is where a run
    is said that surely decodes nothing."""

    writes: dict[str, list[Planned]] = field(default_factory=dict)
    detours: list[Detour] = field(default_factory=list)
    owned: list[Owned] = field(default_factory=list)
    trained: bool = False
    whole: Span | None = None
