"""What an experiment runs before the rest of it is computed: sweeps, runs that decode, scans."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .program import CheckedModel
    from .sizes import Size
    from .source import Span


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """A sweep: its variables in order, its result node.

    What some variables are must be known before anything runs: they are `settled`, with what each
    stands for. Then there are `cases` in place of a result: for each choice of theirs, the last
    varying fastest, a sweep over the others.
    """

    name: str
    variables: tuple[str, ...]
    result: str
    span: Span
    settled: Mapping[str, tuple[float | str, ...]] = field(default_factory=dict)
    cases: tuple[SweepPlan, ...] = ()

    @property
    def choices(self) -> tuple[Mapping[str, float | str], ...]:
        """What the settled variables stand for in each case."""
        every = product(*self.settled.values())
        return tuple(dict(zip(self.settled, chosen, strict=True)) for chosen in every)


@dataclass(frozen=True, slots=True)
class DecodePlan:
    """A run that decodes: a model with its interventions, and what its further inputs hold.

    `prompt` is the node of the tokens in the program, or a text, through the tokeniser of `data` or
    as bytes. `weights` is under which name the parameters stand, if they are not the study's own.
    `values` are the nodes of the program that further inputs hold; an option may be one as well.
    `members` are the swept variables, of a run in a sweep; with `rows` they are further examples,
    else one is decoded after another.
    """

    name: str
    model: CheckedModel
    given: Mapping[str, float | None]
    prompt: str
    text: str | None
    data: str
    options: Mapping[str, float | str]
    weights: str
    span: Span
    values: Mapping[str, str] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    rows: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """The nodes of the program that it needs."""
        nodes = [value for value in self.options.values() if isinstance(value, str)]
        prompt = (self.prompt,) if self.text is None else ()
        return tuple(dict.fromkeys((*prompt, *self.values.values(), *nodes, *self.members)))


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """A scan of an experiment, along the axis of its `name`. Of nodes, `carries` are those that are
    carried: as the step begins, in front of the first one, as it ends. `made` is what names hold at
    a step; `stages` are run in each before that is."""

    name: str
    count: Size
    carries: tuple[tuple[str, str, str], ...]
    made: tuple[tuple[str, str], ...]
    stages: tuple[Stage, ...]
    span: Span

    @property
    def results(self) -> tuple[str, ...]:
        """The nodes that are computed in a step, after the stages."""
        return (*(new for _, _, new in self.carries), *(node for _, node in self.made))


Stage = SweepPlan | DecodePlan | ScanPlan


def all_stages(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """Stages in their order, each behind those that are in it."""
    return tuple(
        each
        for stage in stages
        for each in (*(all_stages(stage.stages) if isinstance(stage, ScanPlan) else ()), stage)
    )


def computed(stages: tuple[Stage, ...]) -> tuple[str, ...]:
    """The nodes that stages compute."""
    found: list[str] = []
    for stage in all_stages(stages):
        match stage:
            case SweepPlan():
                found += [case.result for case in stage.cases or (stage,)]
            case ScanPlan():
                found += [begin for _, begin, _ in stage.carries]
                found += stage.results
    return tuple(found)
