"""What the checker hands on: models as programs over the core language, with their borders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .stages import DecodePlan, SweepPlan, all_stages

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .core import Axes, Body, DType, Node
    from .elaborate.models import ModelRequest
    from .sizes import Size
    from .source import Span
    from .stages import Stage


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
    `request` is what it was made by. If it `reads_mode`, it asks whether it is trained, and may be
    another then; if it `reads_last`, it is another where it is decoded.
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
    request: ModelRequest | None = field(default=None, compare=False, repr=False)
    reads_mode: bool = False
    reads_last: bool = False

    @property
    def time(self) -> str | None:
        """The axis along which it is decoded: the last one of its first input that its first
        result has and no parameter, if that has a size that a call says."""
        held = {
            axis.name
            for step in self.body.steps
            if step.node.op.name == "param"
            for axis in step.node.axes
        }
        for step in self.body.steps:
            if step.node.op.name == "input" and self.results:
                order = [
                    n for decl in self.inputs if decl.name == step.node.site for n in decl.order
                ]
                known = [n for n in order if n in self.results[0].order and n not in held]
                free = [n for n in known if not isinstance(step.node.size(n), int)]
                if known:
                    return free[-1] if free and (free[-1] != known[0]) else known[-1]
        return None


PROMPT = "during.prompt"
"""The input that says how many positions are the prompt's, of a model with writes in phases."""

POSITION = "at."
"""In front of a position field of the data: the input of a model that is written there."""


# ---- experiments and training

AFTER = "@"
"""Between the name of a training and a number of steps: the weights that it had then."""


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


@dataclass(frozen=True, slots=True)
class DecodeOutput:
    """The tokens that were decoded, by the name of the run."""

    run: str


@dataclass(frozen=True, slots=True)
class ScanInput:
    """In a scan of an experiment a carry as the step begins; with the name of the scan, the number
    of the step."""

    scan: str
    name: str


@dataclass(frozen=True, slots=True)
class ScanOutput:
    """What a name of a scan of an experiment held at all steps."""

    scan: str
    name: str


@dataclass(frozen=True, slots=True)
class StatisticsInput:
    """What a `calibrate` statement found, under one of its names."""

    calibration: str
    name: str


Source = (
    FieldInput
    | StatisticsInput
    | SweepInput
    | SweepOutput
    | TextInput
    | StatisticInput
    | ArgumentInput
    | DecodeOutput
    | ScanInput
    | ScanOutput
)
MadeInput = SweepOutput | DecodeOutput | ScanInput | ScanOutput  # what an experiment itself makes


@dataclass(frozen=True, slots=True)
class Output:
    """Something a study gives out.

    `kind` is `value` (named), `show`, `text`, `plot`, `expect`, or `until`. `nodes` are the values;
    of the last two the sides of the comparison `op`, or one truth. `options` are those of a plot,
    and of a text the `data` whose tokeniser reads it and the `axis` along which its tokens stand.
    `roles` say of the further values of a plot for which option each is, and how it is written.
    """

    kind: str
    label: str
    nodes: tuple[str, ...]
    span: Span
    op: str = ""
    options: tuple[tuple[str, str | float], ...] = ()
    roles: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DataPart:
    """A data set as a study uses it: by name, with the range of examples if one is given."""

    name: str
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedStudy:
    """An experiment, or the losses of a training, as one program.

    `model` is that of the first run, if there is one. `stages` are run in their order, in front of
    what reads them. `body.results` are the nodes that they compute, then all nodes of the outputs.
    `sources` say where each input node's values come from. `weights` names what the parameters come
    from: a training or a `weights` statement. Those whose address begins with one of `beside` and a
    colon come from there instead.
    """

    name: str
    model: CheckedModel | None
    body: Body
    sources: Mapping[str, Source]
    stages: tuple[Stage, ...]
    outputs: tuple[Output, ...]
    data: DataPart | None
    weights: str | None
    span: Span
    updates: tuple[tuple[str, str], ...] = ()  # the address of a state or parameter, node
    beside: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def sweeps(self) -> tuple[SweepPlan, ...]:
        """All sweeps, also those in scans."""
        return tuple(plan for plan in all_stages(self.stages) if isinstance(plan, SweepPlan))

    @property
    def decodes(self) -> tuple[DecodePlan, ...]:
        """All runs that decode, also those in scans."""
        return tuple(plan for plan in all_stages(self.stages) if isinstance(plan, DecodePlan))


def owned(study: CheckedStudy) -> tuple[Node, ...]:
    """The parameters of a study that are not of its model: those that interventions own. Not those
    of weights besides its own."""
    model = study.model.body.steps if study.model is not None else ()
    known = {step.node.site for step in model}
    nodes = (step.node for step in study.body.steps if step.node.op.name == "param")
    return tuple(n for n in nodes if n.site not in known and ":" not in (n.site or ""))


@dataclass(frozen=True, slots=True)
class Call:
    """`adamw(lr = 3e-4)`: a name with numbers."""

    name: str
    args: tuple[float, ...]
    options: tuple[tuple[str, float], ...]


Group = tuple[tuple[str, ...], tuple[tuple[str, float], ...]]


@dataclass(frozen=True, slots=True)
class Phase:
    """How a training goes: what is said outside of phases, or for a while in one.

    `trained` are the addresses that the optimiser gets, `groups` those with settings of their own;
    the optimiser `none` gets none. The schedule is over the whole training, or with `own_schedule`
    over the phase. The phase is over before the step `end`, or when the output called `when` holds
    on the held-out part.
    """

    name: str
    optimiser: Call
    clip: float
    schedule: tuple[Call, ...]
    trained: tuple[str, ...]
    groups: tuple[Group, ...]
    own_schedule: bool = False
    end: int | None = None
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """When a write holds: in the phase of that number, before that step."""

    phase: int | None
    until: int | None


def holding(timed: tuple[Timed, ...], phase: int, step: int) -> tuple[int, ...]:
    """The numbers of the writes that hold in a phase at a step, counted from 0."""
    return tuple(
        place
        for place, write in enumerate(timed)
        if write.phase in (None, phase) and (write.until is None or step < write.until)
    )


@dataclass(frozen=True, slots=True)
class Form:
    """The losses of a training as programs in both modes, while some timed writes hold."""

    train: CheckedStudy
    evaluate: CheckedStudy


@dataclass(frozen=True, slots=True)
class CheckedTraining:
    """A training: its losses as programs in both modes, and how it goes.

    Of both programs the first output is the loss, if there is one. They are those without `timed`
    writes; `forms` has the others, by the numbers of the writes that hold. `course` is what is
    said outside of `phases`, and holds after the last of them. `every` is what happens how often.
    Parameters start as those of `start`, and those of `placed` parts as those of other weights.
    """

    name: str
    train: CheckedStudy
    evaluate: CheckedStudy
    course: Phase
    settings: Mapping[str, float]
    every: tuple[tuple[int, str], ...]
    start: str | None
    fresh: tuple[str, ...]
    phases: tuple[Phase, ...] = ()
    timed: tuple[Timed, ...] = ()
    forms: Mapping[tuple[int, ...], Form] = field(default_factory=dict)
    placed: tuple[tuple[str, str], ...] = ()

    @property
    def model(self) -> CheckedModel:
        """What is trained."""
        assert self.train.model is not None
        return self.train.model

    @property
    def owned(self) -> tuple[Node, ...]:
        """The parameters that its interventions own, which stand beside those of the model."""
        return owned(self.train)

    @property
    def has_loss(self) -> bool:
        """Whether there is a loss: with the optimiser `none` there need not be one."""
        return any(output.label == "loss" for output in self.train.outputs[:1])

    def form(self, phase: int, step: int) -> tuple[int, ...]:
        """Which timed writes hold in a phase at a step, counted from 0."""
        return holding(self.timed, phase, step)


@dataclass(frozen=True, slots=True)
class Fold:
    """One statistic over all examples. `nodes` are what it is of, `over` the axes that go, `keys`
    the axis of a result that is no axis of them; `results` are the names, each with its axes.
    `extents` are nodes that say how much there is of axes that go, which may be another number for
    each example."""

    statistic: str
    nodes: tuple[str, ...]
    over: tuple[str, ...]
    keys: tuple[str, ...]
    numbers: tuple[float, ...]
    results: tuple[tuple[str, Axes], ...]
    extents: tuple[tuple[str, str], ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The nodes that it reads."""
        return (*self.nodes, *(node for _, node in self.extents))


@dataclass(frozen=True, slots=True)
class CheckedCalibration:
    """Statistics of values of a model: the program that gives the values, what is made of them, and
    how many examples are read."""

    name: str
    study: CheckedStudy
    folds: tuple[Fold, ...]
    examples: int


Cut = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class FileMapping:
    """One parameter from one array of a file, or from several along axes of its own.

    `names` are those that the array may have, in the order in which they are looked for; `{e}` in
    one stands for the positions along an axis `e`, and `*` for any text. Of the array `cuts` are
    taken, its axes are `order` (a group of names is one axis of the file, first major), and `picks`
    says the place along those that the parameter lacks. Then it is `scale * array + shift`.
    """

    address: str
    names: tuple[str, ...]
    span: Span
    cuts: tuple[Cut | int, ...] = ()
    order: tuple[tuple[str, ...], ...] | None = None
    picks: tuple[tuple[str, int], ...] = ()
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckedWeights:
    """A checkpoint mapped onto a model; the arrays that `skipped` names need not be read. One that
    `lacks` its config has the default sizes of the model, and cannot be read."""

    name: str
    model: CheckedModel
    file: str
    mappings: tuple[FileMapping, ...]
    span: Span
    skipped: tuple[str, ...] = ()
    lacks_config: bool = False
