"""What the checker hands on: models as programs over the core language, with their borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .core import Body, DType
    from .sizes import Size
    from .source import Span


@dataclass(frozen=True, slots=True)
class InputDecl:
    """An argument of a model: its axes in written order, its dtype."""

    name: str
    order: tuple[str, ...]
    dtype: DType
    span: Span
    optional: bool = False


@dataclass(frozen=True, slots=True)
class ResultDecl:
    """A result of a model, with the axis order at the border; axes that rode in stand in front."""

    name: str
    order: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """`low <= high`, to be checked at the border where run-time sizes become known."""

    low: Size
    high: Size
    message: str
    span: Span


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model, elaborated with all its sizes.

    `body.results` are the results, then the new values of `updates` (addresses of states).
    `aliases` maps further addresses of a value to the address its node carries.
    `ragged` maps a run-time size symbol to the axis for each index of which it has its own value.
    """

    name: str
    body: Body
    inputs: tuple[InputDecl, ...]
    results: tuple[ResultDecl, ...]
    span: Span
    updates: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    ragged: Mapping[str, str] = field(default_factory=dict)


# ---- experiments and training


@dataclass(frozen=True, slots=True)
class FieldInput:
    """A field of a data set."""

    data: str
    field: str


@dataclass(frozen=True, slots=True)
class SweepInput:
    """The values of a swept variable: of `sweep`, along an axis called like the variable.

    Either given, or the indices of an axis of the run-time size `count`.
    """

    sweep: str
    variable: str
    values: tuple[float, ...] | None
    count: Size


@dataclass(frozen=True, slots=True)
class SweepOutput:
    """What a sweep gave, read by what stands after it."""

    sweep: str


@dataclass(frozen=True, slots=True)
class TextInput:
    """The number of a piece of text, by the tokeniser of a data set."""

    text: str
    data: str


@dataclass(frozen=True, slots=True)
class StatisticInput:
    """A number computed from a data set: `ngram(text, n = 5)`, bits per token of a baseline."""

    name: str
    data: str
    options: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class ArgumentInput:
    """A parameter of an intervention, with its default."""

    name: str
    default: float | None


Source = FieldInput | SweepInput | SweepOutput | TextInput | StatisticInput | ArgumentInput


@dataclass(frozen=True, slots=True)
class Output:
    """Something a study gives out.

    `kind` is `value` (named), `show`, `plot`, or `expect`. `nodes` are the values; of an `expect`
    the two sides of the comparison `op`, or one truth. `options` are those of a plot.
    """

    kind: str
    label: str
    nodes: tuple[str, ...]
    span: Span
    op: str = ""
    options: tuple[tuple[str, str | float], ...] = ()


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """A sweep: its variables in order, its result node; `sites` are the addresses it writes."""

    name: str
    variables: tuple[str, ...]
    result: str
    span: Span


@dataclass(frozen=True, slots=True)
class DataPart:
    """A data set as a study uses it: by name, with the range of examples if one is given."""

    name: str
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedStudy:
    """An experiment, or the losses of a training, as one program.

    `body.results` are the results of the sweeps, in order, then all nodes of the outputs.
    `sources` say where each input node's values come from. `weights` names what the parameters
    come from: a training or a `weights` statement. Those whose address begins with one of
    `beside` and a colon come from there instead.
    """

    name: str
    model: CheckedModel
    body: Body
    sources: Mapping[str, Source]
    sweeps: tuple[SweepPlan, ...]
    outputs: tuple[Output, ...]
    data: DataPart | None
    weights: str | None
    span: Span
    updates: tuple[tuple[str, str], ...] = ()  # the address of a state or parameter, node
    beside: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """`adamw(lr = 3e-4)`: a name with numbers."""

    name: str
    args: tuple[float, ...]
    options: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class CheckedTraining:
    """A training: its losses as programs in both modes, and how it goes.

    The first output of both is the loss. `trained` are the addresses that the optimiser gets,
    `groups` those with settings of their own, `every` what happens how often.
    """

    name: str
    train: CheckedStudy
    evaluate: CheckedStudy
    optimiser: Call
    schedule: tuple[Call, ...]
    settings: Mapping[str, float]
    trained: tuple[str, ...]
    groups: tuple[tuple[tuple[str, ...], tuple[tuple[str, float], ...]], ...]
    every: tuple[tuple[int, str], ...]
    start: str | None
    fresh: tuple[str, ...]


Cut = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class FileMapping:
    """One parameter from one array of a file: a part of it, whose axes are `order` (a group of
    names is one axis of the file, first major)."""

    address: str
    key: str
    cuts: tuple[Cut | int, ...]
    order: tuple[tuple[str, ...], ...] | None
    span: Span


@dataclass(frozen=True, slots=True)
class CheckedWeights:
    """A checkpoint mapped onto a model."""

    name: str
    model: CheckedModel
    file: str
    mappings: tuple[FileMapping, ...]
    span: Span
