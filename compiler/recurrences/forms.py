"""Which forms a group of carries can be computed in, and which is taken where parallel ones are."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ...dsl.core import DType
from ..bodies import mentions
from .classify import Kind
from .interpret import Unsaid
from .parts import correction

if TYPE_CHECKING:
    from .classify import Group, Recurrence


class Form(StrEnum):
    """How the carries of a group are computed for all steps."""

    STEPS = "step by step"
    DOUBLING = "associative scan in chunks"
    CHUNKS = "products of matrices in chunks"


@dataclass(frozen=True, slots=True)
class Choice:
    """The form of a group, and why; nothing more is to be said where its kind has no other."""

    form: Form
    why: str


def choices(found: Recurrence) -> tuple[Choice, ...]:
    """The parallel form of each group, or why it has none."""
    if any(mentions(step.node, found.scan.axis.name) for step in found.scan.body.steps):
        why = f"the axis `{found.scan.axis.name}` has another meaning inside"
        return (Choice(Form.STEPS, why),) * len(found.groups)
    return tuple(_choice(found, at, group) for at, group in enumerate(found.groups))


def _choice(found: Recurrence, at: int, group: Group) -> Choice:
    carries = [found.body.node(found.carries[place]) for place in group.carries]
    results = [found.body.node(found.scan.body.results[place]) for place in group.carries]
    if any(node.dtype is not DType.FLOAT for node in (*carries, *results)):
        return Choice(Form.STEPS, "the carry does not hold floats")
    match group.kind:
        case Kind.ELEMENTWISE if len(carries) == 1 and not _read_whole(found, at):
            return Choice(Form.CHUNKS, "only sums over axes of the carry are read")
        case Kind.ELEMENTWISE:
            return Choice(Form.DOUBLING, "steps can be joined element by element")
        case Kind.LOW_RANK if len({c.over for c in group.corrections}) > 1:
            return Choice(Form.STEPS, "the carries are corrected by sums over different axes")
        case Kind.LOW_RANK if len(group.corrections) > 1 and any(
            c.links for c in group.corrections
        ):
            return Choice(Form.STEPS, "several corrections, one of them of a rank of its own")
        case Kind.LOW_RANK if any(
            not isinstance(axis.size, int)
            for c in group.corrections
            for factor in c.left
            for axis in found.body.node(factor).axes
            if axis.name in c.links
        ):
            return Choice(Form.STEPS, "the rank is known only when the model runs")
        case Kind.LOW_RANK:
            return Choice(Form.CHUNKS, "what corrects the carry is of low rank")
    return Choice(Form.STEPS, "")


def _read_whole(found: Recurrence, at: int) -> bool:
    """Whether an element of the carry is needed by itself, not in a sum over axes of it."""
    group, results = found.groups[at], found.scan.body.results
    own = {found.carries[place] for place in group.carries}
    waiting = list(results[found.scan.carries :])
    for later in found.groups[at + 1 :]:
        waiting += [results[place] for place in later.carries]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in found.forms[at]:
            continue
        seen.add(name)
        if name in own:
            return True
        form = found.form(at, name)
        if found.level[name] == at and not isinstance(form, Unsaid):
            read = [correction(found.algebra, p) for p in form if p.carry is not None]
            if all(c is not None and c.over for c in read):
                continue
        waiting += found.body.operands(name)
    return False
