"""What a run that decodes reads of its experiment; in a sweep, for each of its members."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...dsl.core import names
from ...dsl.signatures import EXAMPLES
from ..data import DataError
from ..lowering import address, lower
from ..mistakes import mistake
from ..training.interrupts import Stop, deferred

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import nn

    from ...dsl.core import Node
    from ...dsl.program import CheckedStudy
    from ...dsl.stages import DecodePlan
    from ..model import SpecModel
    from ..sources import Given, Library
    from .kept import KeptTokens

    Place = tuple[int, ...]

ROWS = 1024  # prompts that are decoded beside each other
WHOLE = ("top_k", "samples", "seed", "stop")


@dataclass(frozen=True)
class Value:
    """A value of the experiment, with the names of its axes."""

    axes: tuple[str, ...]
    tensor: torch.Tensor

    def at(self, place: Mapping[str, int]) -> Value:
        """What a member has of it."""
        tensor, axes = self.tensor, self.axes
        for name in [name for name in axes if name in place]:
            tensor = tensor.select(axes.index(name), place[name])
            axes = tuple(other for other in axes if other != name)
        return Value(axes, tensor)

    def ordered(self, order: Sequence[str], count: int, batch: str) -> torch.Tensor:
        """In an order of axes; along that of the examples repeated, if it has none."""
        tensor, axes = self.tensor, self.axes
        if batch in order and batch not in axes:
            tensor, axes = tensor.expand(count, *tensor.shape), (batch, *axes)
        return tensor.permute([axes.index(name) for name in order])


@dataclass(frozen=True)
class Read:
    """A plan, and the values that it reads by node. `members` are the inputs of swept values, by
    axis; `lengths` those of the prompts, where they differ."""

    plan: DecodePlan
    seed: int
    members: dict[str, Node]
    counts: tuple[int, ...]
    values: dict[str, Value]
    prompt: Value
    lengths: list[int] | None

    @classmethod
    def of(
        cls,
        plan: DecodePlan,
        study: CheckedStudy,
        given: Given,
        shared: nn.Module,
        library: Library,
        seed: int,
    ) -> Read:
        """Everything that it reads, computed. Raises SpecError."""
        nodes = {step.node.name: step.node for step in study.body.steps}
        members = {nodes[name].axes[0].name: nodes[name] for name in plan.members}
        wanted = tuple(name for name in plan.reads if name not in plan.members)
        values: dict[str, Value] = {}
        if wanted:
            lowered = lower(study, wanted, shared, ragged=given.ragged, seed=seed)
            with torch.no_grad():
                found = lowered(given.inputs)
            for name, node, tensor in zip(wanted, lowered.results, found, strict=True):
                values[name] = Value(names(node.axes), tensor)
        values |= {
            node.name: Value((axis,), given.inputs[address(node)]) for axis, node in members.items()
        }
        counts = tuple(len(given.inputs[address(node)]) for node in members.values())
        if plan.text is not None:
            prompt = Value((plan.model.time or "",), _encoded(plan, library))
            return cls(plan, seed, members, counts, values, prompt, None)
        prompt = values[plan.prompt]
        lengths = given.inputs.get(f"lengths.{plan.model.time}")
        most = prompt.tensor.shape[prompt.axes.index(plan.model.time or "")]
        is_ragged = lengths is not None and EXAMPLES in prompt.axes and most == lengths.max()
        own = lengths.tolist() if lengths is not None and is_ragged else None
        return cls(plan, seed, members, counts, values, prompt, own)

    def decoded(self, model: SpecModel, kept: KeptTokens | None = None) -> torch.Tensor:
        """The tokens [members.., b, sample, t] in as many positions as there are steps; -1 behind
        the end of a row. Parts that are kept are not decoded again."""
        found: dict[Place, torch.Tensor] = {}
        parts = [(part, how) for group, how in self._groups() for part in self._parts(group)]
        with nullcontext(Stop()) if kept is None else deferred() as stop:
            for number, (places, options) in enumerate(parts):
                tokens = None if kept is None else kept.read(number)
                if tokens is None:
                    tokens = self._part(model, places, options)
                    if kept is not None:
                        kept.write(number, tokens)
                counts = [len(self._prompts(place)) for place in places]
                found |= dict(zip(places, torch.split(tokens, counts), strict=True))
                if stop.asked:
                    raise KeyboardInterrupt
        own = [found[place] if self._has_rows else found[place][0] for place in self._places()]
        return torch.stack(own).reshape(*self.counts, *own[0].shape)

    def _part(
        self, model: SpecModel, places: list[Place], options: dict[str, float]
    ) -> torch.Tensor:
        """What some members decode, their rows one after another."""
        rows = [self._prompts(place) for place in places]
        inputs = self._inputs(model, places, [len(part) for part in rows])
        seeds = [self._seed(place) for place in places]
        many = [one for one, part in zip(seeds, rows, strict=True) for _ in part]
        prompts = [row for part in rows for row in part]
        tokens = model.decode(prompts, steps=self.steps, seed=many, **options, **inputs).tokens
        missing = self.steps - tokens.shape[-1]
        return torch.nn.functional.pad(tokens, (0, missing), value=-1)

    @property
    def steps(self) -> int:
        """How many tokens are decoded at most."""
        return int(self.plan.options["steps"])

    @property
    def _has_rows(self) -> bool:
        time = self.plan.model.time
        return any(name not in (time, *self.members) for name in self.prompt.axes)

    def _places(self) -> Iterator[Place]:
        return product(*map(range, self.counts))

    def _option(self, name: str, place: Place) -> float:
        value = self.plan.options[name]
        if not isinstance(value, str):
            return value
        held = self.values[value].at(self._named(place)).tensor.item()
        return int(held) if name in WHOLE else held

    def _named(self, place: Place) -> dict[str, int]:
        return dict(zip(self.members, place, strict=True))

    def _seed(self, place: Place) -> int:
        return int(self._option("seed", place)) if "seed" in self.plan.options else self.seed

    def _groups(self) -> list[tuple[list[Place], dict[str, float]]]:
        """Members that have the same options, and these."""
        found: dict[tuple[tuple[str, float], ...], list[Place]] = {}
        kept = [name for name in self.plan.options if name not in ("steps", "seed")]
        for place in self._places():
            own = [(name, self._option(name, place)) for name in kept]
            found.setdefault(tuple(own), []).append(place)
        return [
            (places, {name: int(v) if name in WHOLE else v for name, v in options})
            for options, places in found.items()
        ]

    def _parts(self, group: list[Place]) -> list[list[Place]]:
        """Those that are decoded at once."""
        if not self.plan.rows:
            return [[place] for place in group]
        count = max(1, ROWS // max(1, len(self._prompts(group[0]))))
        return [group[at : at + count] for at in range(0, len(group), count)]

    def _prompts(self, place: Place) -> list[torch.Tensor]:
        """The prompts of a member, each as long as it is."""
        own = self.prompt.at(self._named(place))
        time = self.plan.model.time or ""
        rows = own.tensor.movedim(own.axes.index(time), -1)
        if rows.dim() == 1:
            return [rows]
        lengths = self.lengths or [rows.shape[-1]] * len(rows)
        return [row[:length] for row, length in zip(rows, lengths, strict=True)]

    def _inputs(
        self, model: SpecModel, places: list[Place], counts: list[int]
    ) -> dict[str, torch.Tensor]:
        """What else the model is given, for some members."""
        found = {}
        orders = {decl.name: decl.order for decl in model.checked.inputs}
        time = self.plan.model.time
        (fed,) = [o for o in orders.values() if time in o][:1]
        batch = next((name for name in fed if name != time), "")
        for name, node in self.plan.values.items():
            order = orders[name]
            own = [
                self.values[node].at(self._named(place)).ordered(order, count, batch)
                for place, count in zip(places, counts, strict=True)
            ]
            found[name] = torch.cat(own) if batch in order else own[0]
        return found


def _encoded(plan: DecodePlan, library: Library) -> torch.Tensor:
    """A prompt that is a text, as tokens."""
    try:
        tokens = library.reader(plan.data).encode(plan.text or "")
    except DataError as error:
        raise mistake(error.slug, error.message, plan.span, hint=error.hint) from None
    return torch.as_tensor(np.asarray(tokens))
