"""The syntax tree: one frozen dataclass a construct, each with the span it was read from.

Spans take no part in equality, so two trees are equal when they say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .source import GENERATED, Span


@dataclass(frozen=True, slots=True)
class Tree:
    """What every construct has."""

    span: Span = field(default=GENERATED, compare=False, repr=False, kw_only=True)


# ---- expressions


@dataclass(frozen=True, slots=True)
class Number(Tree):
    """`3`, `0.5`: an int or a float."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Text(Tree):
    """`"pairs.jsonl"`."""

    value: str


@dataclass(frozen=True, slots=True)
class Name(Tree):
    """`x`, `true`, `inf`, `n'`: which of these it is, the checker knows."""

    id: str


@dataclass(frozen=True, slots=True)
class At(Tree):
    """`@subject`: a position for each example."""

    id: str


@dataclass(frozen=True, slots=True)
class SizeOf(Tree):
    """`|k|`, or of a pack `|*i|`."""

    axis: str
    pack: bool = False


@dataclass(frozen=True, slots=True)
class Unary(Tree):
    """`-x`, `+x`, `not x`."""

    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Tree):
    """Arithmetic, comparison, `and`, `or`, `in`."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Argument(Tree):
    """`x` or `alpha = 2` in a call."""

    name: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Call(Tree):
    """`target(args)`. Brackets in front of the parentheses make `target` an Index."""

    target: Expr
    args: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Index(Tree):
    """`base[items]`: a selection, a rename, the axes of a call or the turn of a repeat."""

    base: Expr
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Attr(Tree):
    """`base.name`; the name `*` is any part, and a number counts calls of one block."""

    base: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Range(Tree):
    """`1..5`, `1..`, `..-1`: half open."""

    start: Expr | None
    stop: Expr | None


@dataclass(frozen=True, slots=True)
class Tuple(Tree):
    """`(g, u)`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Listing(Tree):
    """`[0, 65]`, or with braces `{1, 5}`."""

    items: tuple[Expr, ...]
    braces: bool = False


Expr = (
    Number
    | Text
    | Name
    | At
    | SizeOf
    | Unary
    | Binary
    | Call
    | Index
    | Attr
    | Range
    | Tuple
    | Listing
)


# ---- what stands in brackets


@dataclass(frozen=True, slots=True)
class Star(Tree):
    """`*` any turn, or `*i` a pack of axes."""

    pack: str | None = None


@dataclass(frozen=True, slots=True)
class Bind(Tree):
    """`axis = value`, with what stands outside as `otherwise`."""

    axis: str
    value: Expr
    otherwise: Expr | None = None


@dataclass(frozen=True, slots=True)
class Everything(Tree):
    """`:`, all of an array's axis."""


@dataclass(frozen=True, slots=True)
class Arrow(Tree):
    """`left -> right`; either side may be empty. In `[h, k -> d]` the arrow holds `k` and `d`."""

    left: Side | None
    right: Side | None


Side = Expr | Star | Bind | Everything
Item = Side | Arrow


# ---- blocks and models


@dataclass(frozen=True, slots=True)
class AxisDecl(Tree):
    """`t`, `t of b`, `*i`."""

    name: str
    of: str | None = None
    pack: bool = False


@dataclass(frozen=True, slots=True)
class Param(Tree):
    """A parameter in a header: `x[t, d]`, `tokens[b, t]: int`, `L = 4`, `mixer: block = gla`."""

    name: str
    axes: tuple[AxisDecl, ...] | None
    kind: str | None
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Doc(Tree):
    """A documentation string."""

    text: str


@dataclass(frozen=True, slots=True)
class Declare(Tree):
    """`param w[i, o] ~ normal(0, 1)`: `kind` is param, fixed, draw or state; drawn or given."""

    kind: str
    name: str
    axes: tuple[AxisDecl, ...] | None
    value: Expr
    drawn: bool
    like: str | None = None


@dataclass(frozen=True, slots=True)
class Carried(Tree):
    """`S[h, k, v]` in a carry."""

    name: str
    axes: tuple[AxisDecl, ...] | None


@dataclass(frozen=True, slots=True)
class Carry(Tree):
    """`carry S[h, k, v] = 0`."""

    names: tuple[Carried, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class Assign(Tree):
    """`a, b = expr`. In a block the targets are Names."""

    targets: tuple[Expr, ...]
    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Return(Tree):
    """`return a, b`."""

    values: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Loop(Tree):
    """`repeat layer * L:`, `share layer * L:`, `bank e * 4:`."""

    kind: str
    name: str
    count: Expr
    body: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Shared(Tree):
    """`share enc = encoder[m = 32]`."""

    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Scan(Tree):
    """`scan t:`, `scan t reversed:`, `scan t * 1000:`."""

    axis: str
    reversed: bool
    count: Expr | None
    body: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Branch(Tree):
    """`if` with its `elif`s, decided at compile time; a case without condition is `else`."""

    cases: tuple[tuple[Expr | None, tuple[Step, ...]], ...]


@dataclass(frozen=True, slots=True)
class Unbuilt(Tree):
    """Something that the grammar has and the compiler does not have yet; `feature` names it."""

    feature: str
    parts: tuple[Tree, ...] = ()


Step = Doc | Declare | Carry | Assign | Return | Loop | Shared | Scan | Branch | Unbuilt


@dataclass(frozen=True, slots=True)
class Block(Tree):
    """`block` or `model`, by `kind`."""

    kind: str
    name: str
    axes: tuple[Item, ...]
    params: tuple[Param, ...]
    results: tuple[tuple[AxisDecl, ...], ...]
    body: tuple[Step, ...]


# ---- interventions


@dataclass(frozen=True, slots=True)
class Write(Tree):
    """`site op value`; `op` is `=`, `+=`, `-=`, `*=`, `/=` or `from` (then `value` is a run)."""

    site: Expr
    op: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Intervention(Tree):
    """`intervention name(params) on model with others:`."""

    name: str
    params: tuple[Param, ...]
    model: str
    given: tuple[Given, ...]
    body: tuple[Write | Doc | Unbuilt, ...]


Given = Expr | Write | Unbuilt  # what may follow `with`


# ---- data and weights


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
    """`site = file["name"] as [d, (h k)]`; a group in `order` is a tuple of names."""

    site: Expr
    value: Expr
    order: tuple[tuple[str, ...], ...] | None


@dataclass(frozen=True, slots=True)
class Weights(Tree):
    """`weights name of model from "file":`."""

    name: str
    model: Expr
    file: Expr
    maps: tuple[Map, ...]


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
    """`sweep name over l in layer, p in t:` with the steps before its result."""

    name: str
    over: tuple[Over, ...]
    body: tuple[Run | Assign, ...]
    result: Expr


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


@dataclass(frozen=True, slots=True)
class Experiment(Tree):
    """`experiment name of model with weights on data:`."""

    name: str
    model: Expr | None
    given: tuple[Given, ...]
    data: Expr | None
    body: tuple[Trial, ...]


Trial = Doc | Run | Measure | Sweep | Plot | Show | Expect | Assign | Unbuilt


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
    | Update
    | Phase
    | Unbuilt
)


@dataclass(frozen=True, slots=True)
class Used(Tree):
    """`gpt as lm` in a `use`."""

    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Use(Tree):
    """`use models.gpt2: gpt as lm`."""

    path: tuple[str, ...]
    names: tuple[Used, ...]


Statement = Use | Block | Intervention | Data | Weights | Experiment | Train | Unbuilt | Doc


@dataclass(frozen=True, slots=True)
class Spec(Tree):
    """A whole file."""

    statements: tuple[Statement, ...]
