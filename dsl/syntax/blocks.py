"""Blocks, models and interventions."""

from __future__ import annotations

from dataclasses import dataclass

from .expressions import Expr, Item, Listing, Range
from .tree import Tree


@dataclass(frozen=True, slots=True)
class AxisDecl(Tree):
    """`t`, `t of b`, `*i`; in an experiment `seed = 20`."""

    name: str
    of: str | None = None
    pack: bool = False
    size: Expr | None = None


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
class Rule(Tree):
    """`backward y = expr` in a block: what comes back to a value becomes what is said."""

    name: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class Unbuilt(Tree):
    """Something that the grammar has and the compiler does not have yet; `feature` names it."""

    feature: str
    parts: tuple[Tree, ...] = ()


Step = Doc | Declare | Carry | Assign | Return | Loop | Shared | Scan | Branch | Rule | Unbuilt


@dataclass(frozen=True, slots=True)
class Block(Tree):
    """`block` or `model`, by `kind`."""

    kind: str
    name: str
    axes: tuple[Item, ...]
    params: tuple[Param, ...]
    results: tuple[tuple[AxisDecl, ...], ...]
    body: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Path(Tree):
    """`along {A, B} then C through {D}`: each hop is a consumer, or several in braces. With `but`,
    `along not`: all consumers but these."""

    hops: tuple[Expr, ...]
    through: Expr | None = None
    but: bool = False

    @property
    def consumers(self) -> tuple[tuple[Expr, ...], ...]:
        """Those of each hop."""
        return tuple(_several(hop) for hop in self.hops)

    @property
    def blocks(self) -> tuple[Expr, ...]:
        """What the path goes through."""
        return () if self.through is None else _several(self.through)


def _several(tree: Expr) -> tuple[Expr, ...]:
    return tree.items if isinstance(tree, Listing) and tree.braces else (tree,)


RULES = ("backward", "gain", "freeze")


@dataclass(frozen=True, slots=True)
class Write(Tree):
    """`site op value`; `op` is `=`, `+=`, `-=`, `*=`, `/=` or `from` (then `value` is a run). With
    a `path`, only what is on it is changed. `backward`, `gain` and `freeze` change what comes back
    to the site, not its value."""

    site: Expr
    op: str
    value: Expr
    path: Path | None = None

    @property
    def is_rule(self) -> bool:
        """Whether it is about the way back."""
        return self.op in RULES


@dataclass(frozen=True, slots=True)
class Owned(Tree):
    """`share r = rotation[d -> f]` in an intervention, which owns its parameters; `share
    layer[*].r` is one for each turn."""

    site: Expr
    value: Expr


@dataclass(frozen=True, slots=True)
class During(Tree):
    """`during decode 3..8:`: writes at the positions of a phase, or of some of its steps; one may
    stand on the same line."""

    phase: str
    steps: Range | None
    body: tuple[Write | Doc | During | Owned | Unbuilt, ...]
    short: bool = False


@dataclass(frozen=True, slots=True)
class Intervention(Tree):
    """`intervention name(params) on model with others:`."""

    name: str
    params: tuple[Param, ...]
    model: str
    given: tuple[Given, ...]
    body: tuple[Write | Doc | During | Owned | Unbuilt, ...]


@dataclass(frozen=True, slots=True)
class Placed(Tree):
    """`W as layer[5].sae`: weights at a part of a model."""

    weights: Expr
    part: Expr


Given = Expr | Write | During | Placed | Unbuilt  # what may follow `with`, or hold in a training
