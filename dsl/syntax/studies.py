"""Data, weights, experiments and trainings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .blocks import Assign, AxisDecl, Branch, Carry, Declare, Doc, During, Given, Unbuilt, Write
from .tree import Tree

if TYPE_CHECKING:
    from .expressions import Expr, Item


@dataclass(frozen=True, slots=True)
class Field(Tree):
    """`clean[t of b]: text(tok)`."""

    name: str
    axes: tuple[AxisDecl, ...] | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Data(Tree):
    """`data pairs = jsonl("pairs.jsonl"): fields`."""

    name: str
    value: Expr
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Map(Tree):
    """`site = file["name"] as [d, (part h k)][part = 0]`; a group in `order` is a tuple of names,
    and `picks` are the axes of the array that the site lacks, each with a place."""

    site: Expr
    value: Expr
    order: tuple[tuple[str, ...], ...] | None
    picks: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Skip(Tree):
    """`skip file["*.attn.bias"]`: arrays that are not read."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Weights(Tree):
    """`weights name of model from "file":`; without `maps`, by the mapping that `model` names."""

    name: str
    model: Expr
    file: Expr
    maps: tuple[MapStep, ...] | None


# ---- experiments and training


@dataclass(frozen=True, slots=True)
class Run(Tree):
    """`run name = model(inputs) with a, b, site from clean`."""

    name: str
    value: Expr
    given: tuple[Given, ...]


@dataclass(frozen=True, slots=True)
class Measure(Tree):
    """`measure diff(r) = expr`."""

    name: str
    params: tuple[str, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class Over(Tree):
    """`l in layer` in a sweep."""

    name: str
    range: Expr


@dataclass(frozen=True, slots=True)
class Sweep(Tree):
    """`sweep name over l in layer, p in t:` with the steps before its result; `attribute name over
    l in layer:` is one in which nothing runs again."""

    name: str
    over: tuple[Over, ...]
    body: tuple[Run | Assign, ...]
    result: Expr
    runs_again: bool = True


@dataclass(frozen=True, slots=True)
class StudyScan(Tree):
    """`scan step * 6:` in an experiment: steps that run one after another."""

    axis: str
    count: Expr
    body: tuple[Doc | Carry | Run | Sweep | Assign | StudyScan, ...]


@dataclass(frozen=True, slots=True)
class Plot(Tree):
    """`plot heatmap(effect, x = p)`."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Show(Tree):
    """`show a, b`."""

    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Expect(Tree):
    """`expect condition`."""

    condition: Expr


MapStep = Doc | Map | Skip | Expect | Branch


@dataclass(frozen=True, slots=True)
class Experiment(Tree):
    """`experiment name of model with weights on data:`."""

    name: str
    model: Expr | None
    given: tuple[Given, ...]
    data: Expr | None
    body: tuple[Trial, ...]


Trial = (
    Doc
    | Run
    | Measure
    | Sweep
    | Plot
    | Show
    | Expect
    | Assign
    | Declare
    | StudyScan
    | Carry
    | Unbuilt
)


@dataclass(frozen=True, slots=True)
class Setting(Tree):
    """`batch 32` in `using`."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Using(Tree):
    """`using adamw(lr = 3e-4), batch 32, steps 2000`."""

    settings: tuple[Setting | Expr, ...]


@dataclass(frozen=True, slots=True)
class Schedule(Tree):
    """`schedule warmup(100) then cosine(to = 0.1)`."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Only(Tree):
    """`only PATTERN`, or with `frozen` its opposite `freeze PATTERN`."""

    patterns: tuple[Expr, ...]
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class OptimiserGroup(Tree):
    """`group PATTERN: lr = 1e-4`."""

    pattern: Expr
    settings: tuple[tuple[str, Expr], ...]


@dataclass(frozen=True, slots=True)
class Until(Tree):
    """`until step 500: write`; without a write, the end of a phase."""

    unit: str
    count: int
    write: Write | None


@dataclass(frozen=True, slots=True)
class UntilHolds(Tree):
    """`until loss < 2`, the end of a phase."""

    condition: Expr


@dataclass(frozen=True, slots=True)
class Update(Tree):
    """`update PARAM += expr`."""

    write: Write


@dataclass(frozen=True, slots=True)
class Phase(Tree):
    """`phase warm:` with what is said in it."""

    name: str
    body: tuple[Lesson, ...]


@dataclass(frozen=True, slots=True)
class Every(Tree):
    """`every 100 steps: snapshot`."""

    count: int
    unit: str
    action: str


@dataclass(frozen=True, slots=True)
class Train(Tree):
    """`train name of model from base fresh PATTERN with given on data:`."""

    name: str
    model: Expr
    start: str | None
    fresh: Expr | None
    given: tuple[Given, ...]
    data: Expr
    body: tuple[Lesson, ...]


@dataclass(frozen=True, slots=True)
class Calibrate(Tree):
    """`calibrate name of model with given on data for 8 batches:`."""

    name: str
    model: Expr
    given: tuple[Given, ...]
    data: Expr
    count: Expr
    unit: str
    body: tuple[Doc | Assign | Run, ...]


Lesson = (
    Doc
    | Run
    | Assign
    | Expect
    | Using
    | Schedule
    | Only
    | OptimiserGroup
    | Until
    | UntilHolds
    | Every
    | Write
    | During
    | Update
    | Phase
    | Unbuilt
)
