"""What a name can stand for while a spec is elaborated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..core import Axis, Node
    from ..modules import Module
    from ..program import CheckedModel
    from ..sizes import Poly
    from ..syntax import Block, Item, Measure
    from .scope import Scope


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor: the node that makes it."""

    node: Node


@dataclass(frozen=True, slots=True)
class Known:
    """A number, truth or text known at compile time; a Poly is a run-time size."""

    value: int | float | bool | str | Poly


@dataclass(frozen=True, slots=True)
class Template:
    """A block with some of its axes and arguments given; each call site owns parameters.

    `items` are bracket items with the scope they are read in.
    """

    block: Block
    module: Module
    items: tuple[tuple[Item, Scope], ...] = ()
    args: Mapping[str, Val] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Instance:
    """A template with one parameter set, at `path`, to be called many times; one for each member
    of the banks that it is declared in. `name` is what its calls are called that have no name of
    their own, if not like its block."""

    template: Template
    path: str
    owners: tuple[Axis, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What an intervention owns, by the intervention's name and its own: a template with one
    parameter set, or with `loops` in its path `at` one for each of their turns."""

    template: Template
    head: str
    at: tuple[tuple[str, int | str | None], ...]

    @property
    def loops(self) -> tuple[str, ...]:
        """The loops for each turn of which there is one."""
        return tuple(name for name, turn in self.at if turn == "*")


@dataclass(frozen=True, slots=True)
class Poison:
    """What an error was already reported for."""


@dataclass(eq=False, slots=True)
class Run:
    """A model run on given inputs: the nodes of its values by address. `written` says what each
    held before the writes of its interventions; `weights` under which name its parameters stand,
    if they are not the study's own, and `placed` the same of parts, by their address; `maps` are
    what its interventions own, and `owned` the values of their calls. One that is `decoded` has its
    tokens alone."""

    name: str
    model: CheckedModel
    inputs: Mapping[str, Node]
    values: dict[str, Node] = field(default_factory=dict)
    written: dict[str, Node] = field(default_factory=dict)
    before: bool = False  # reads what was there before the writes
    weights: str = ""
    placed: Mapping[str, str] = field(default_factory=dict)
    decoded: bool = False
    maps: tuple[Owned, ...] = ()
    seed: int | None = None  # of what is drawn, if it is one of its own
    owned: dict[str, Node] = field(default_factory=dict)

    def home(self, address: str) -> str:
        """Where a parameter of the model stands in the program."""
        for part, weights in self.placed.items():
            if address.startswith(f"{part}."):
                return f"{weights}:{address[len(part) + 1 :]}"
        return f"{self.weights}:{address}" if self.weights else address


@dataclass(frozen=True, slots=True)
class Table:
    """Data: a value for each field."""

    name: str
    fields: Mapping[str, Node]


@dataclass(frozen=True, slots=True)
class Formula:
    """A measure: an expression of runs."""

    tree: Measure
    scope: Scope


Val = Value | Known | Template | Instance | Owned | Poison | Run | Table | Formula


class HaltError(Exception):
    """This step cannot go on; its diagnostic is in the collector."""


class NeedsValueError(Exception):
    """What is made of swept variables must be known before anything runs; `axes` are theirs."""

    def __init__(self, axes: frozenset[str]) -> None:
        super().__init__(axes)
        self.axes = axes


@dataclass(frozen=True, slots=True)
class Binding:
    """How the brackets of a call settle a block's axes."""

    sized: dict[str, int | Poly]
    bound: dict[str, Axis]
    packs: dict[str, tuple[Axis, ...]]


def settled(value: Val, sweeping: Collection[str]) -> Val:
    """A value that must be known at compile time. Raises NeedsValueError if it is made of nothing
    but variables of the sweep that is read, which stand for all of their values."""
    axes = value.node.axis_names if isinstance(value, Value) else frozenset()
    if axes and all(axis in sweeping for axis in axes):
        raise NeedsValueError(axes)
    return value
