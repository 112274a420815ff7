"""Decoding of tokens: prompts in, the tokens that follow out."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch

from ...dsl.core import DType
from ...dsl.diagnostics import Slug
from ...dsl.program import PROMPT
from ..border import mismatch
from ..mistakes import mistake
from .sampling import Sampling, stream_of
from .stepper import Stepper

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ...dsl.program import InputDecl
    from ..model import SpecModel

    Stop = int | Sequence[int | Sequence[int]]


@dataclass(frozen=True)
class Decoded:
    """What was decoded. `tokens` are those after the prompts, [b, samples, steps] in the axes that
    were asked for; behind the `lengths` of those that stopped stands -1. `logits` are the scores
    that each was chosen by, [.., steps, vocab]."""

    tokens: torch.Tensor
    lengths: torch.Tensor
    axes: tuple[str, ...]
    logits: torch.Tensor | None = None


@dataclass(frozen=True)
class Options:
    """How tokens are decoded; see `SpecModel.decode`."""

    steps: int
    sampling: Sampling
    samples: int | None = None
    stop: Stop = ()
    seed: int | Sequence[int] | None = None
    lengths: Any = None
    axis: str | None = None

    @classmethod
    def of(cls, steps: int, given: dict[str, Any]) -> tuple[Options, dict[str, Any]]:
        """The options among what is given, and the rest: inputs of the model."""
        rest = dict(given)
        chances = {f.name: rest.pop(f.name) for f in fields(Sampling) if f.name in rest}
        own = {f.name: rest.pop(f.name) for f in fields(cls) if f.name in rest}
        made = cls(steps, Sampling(**chances), **own)
        if steps < 1 or (made.samples is not None and made.samples < 1):
            raise mistake(Slug.WRONG_ARGUMENTS, "`steps` and `samples` are 1 at least")
        return made, rest

    @property
    def stops(self) -> list[list[int]]:
        """The tokens, or sequences of tokens, at which a row ends."""
        if isinstance(self.stop, int):
            return [[self.stop]]
        return [[one] if isinstance(one, int) else list(one) for one in self.stop]


def decode(
    model: SpecModel, tokens: Any, *, steps: int, logits: bool = False, **options: Any
) -> Decoded:
    """See `SpecModel.decode`."""
    run = _Run(model, tokens, *Options.of(steps, options))
    found: list[torch.Tensor] = []
    scores: list[torch.Tensor] = []
    for new, score in run.steps():
        found.append(new)
        if logits:
            scores.append(score)
    made = torch.stack(found, -1)
    return Decoded(
        run.shaped(made),
        run.shaped((made >= 0).sum(-1)),
        (*run.axes, run.stepper.axis),
        run.shaped(torch.stack(scores, -2)) if logits else None,
    )


def stream(model: SpecModel, tokens: Any, *, steps: int, **options: Any) -> Iterator[torch.Tensor]:
    """See `SpecModel.stream`."""
    run = _Run(model, tokens, *Options.of(steps, options))
    for new, _ in run.steps():
        yield run.shaped(new)


class _Run:
    def __init__(
        self, model: SpecModel, tokens: Any, options: Options, inputs: dict[str, Any]
    ) -> None:
        self.model = model = model._moded(decoding=True)
        self.options = options
        axis, samples, lengths = options.axis, options.samples, options.lengths
        self.decl = _fed(model, axis, inputs)
        self.count, self.sampling, self.stops = options.steps, options.sampling, options.stops
        self.samples = samples or 1
        self.prompts, self.front = _rows(tokens, lengths, self.decl)
        seed = model._seed if options.seed is None else options.seed
        self.seeds = [seed] * len(self.prompts) if isinstance(seed, int) else list(seed)
        if len(self.seeds) != len(self.prompts):
            why = f"there are {len(self.seeds)} seeds of {len(self.prompts)} prompts"
            raise mismatch(why, self.decl.span)
        own = len(self.decl.order)
        self.stepper = Stepper(model, axis, last=True, extra=int(own == 1))
        self.batch = next((name for name in self.decl.order if name != self.stepper.axis), "^1")
        self.inputs = {**self._of_rows(), **inputs}
        names = [f"^{n}" for n in range(len(self.front), 0, -1)]
        if own == 2 and names:
            names[-1] = self.batch
        self.axes = (*names, *(("sample",) if samples is not None else ()))
        self.shape = (*self.front, *((samples,) if samples is not None else ()))

    def shaped(self, value: torch.Tensor) -> torch.Tensor:
        """Rows as the prompts were given, samples behind them."""
        return value.reshape((*self.shape, *value.shape[1:]))

    def steps(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The next token of every row, and its scores, step after step."""
        groups: dict[int, list[int]] = {}
        for place, prompt in enumerate(self.prompts):
            groups.setdefault(len(prompt), []).append(place)
        runs = [self._group(length, rows) for length, rows in groups.items()]
        if len(runs) == 1 and not self.stops:
            yield from runs[0]
            return
        order = [
            row * self.samples + sample
            for rows in groups.values()
            for row in rows
            for sample in range(self.samples)
        ]
        back = torch.tensor(order).argsort()
        history: list[list[int]] = [[] for _ in order]
        done = [False] * len(order)
        for parts in zip(*runs, strict=True):
            new = torch.cat([part[0] for part in parts])[back]
            scores = torch.cat([part[1] for part in parts])[back]
            if self.stops:
                new = self._stopped(new, history, done)
            yield new, scores
            if self.stops and all(done):
                return

    def _stopped(
        self, new: torch.Tensor, history: list[list[int]], done: list[bool]
    ) -> torch.Tensor:
        """-1 for rows that have stopped; the token that stops is the last one."""
        tokens = new.tolist()
        for row, token in enumerate(tokens):
            if done[row]:
                tokens[row] = -1
                continue
            history[row].append(token)
            done[row] = any(history[row][-len(stop) :] == stop for stop in self.stops if stop)
        return torch.tensor(tokens)

    def _group(self, length: int, rows: list[int]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Prompts of one length, each with its samples."""
        stepper = (
            self.stepper
            if len(rows) == len(self.prompts)
            else Stepper(self.model, self.stepper.axis, last=True, extra=self.stepper.extra)
        )
        stepper.reset()
        stepper.room = self.count
        stepper.check(length + self.count - 1)
        streams = (
            [
                stream_of(self.seeds[row], self.prompts[row].tolist(), sample)
                for row in rows
                for sample in range(self.samples)
            ]
            if not self.sampling.greedy
            else []
        )
        others = self._others(rows, length + self.count - 1)
        if PROMPT in self.model._defaults:
            others[PROMPT] = torch.tensor(length, device=self.prompts[0].device)
        prompts = torch.stack([self.prompts[row] for row in rows])
        read = self._at(others, 0, length, len(rows))
        scores = self._scores(stepper(**{self.decl.name: prompts}, **read))
        if self.samples > 1:
            scores = scores.repeat_interleave(self.samples, 0)
            others = self._repeated(stepper, others)
        form = stepper.forms.step(1) if self.count > 1 else None
        along = [name for name in others if self._place(name) is not None]
        read = self._at(others, length, 1, len(scores)) if form is not None else others
        given = stepper.given((), {self.decl.name: scores.new_zeros(len(scores), 1).long(), **read})
        position = stepper.forms.decoding(1).position
        for place in range(self.count):
            new = self.sampling.choose(scores, streams)
            yield new.cpu(), scores
            if form is None or place == self.count - 1:
                return
            given[self.decl.name] = new[:, None]
            if along:
                now = {name: others[name] for name in along}
                given |= self._at(now, stepper.position, 1, len(scores))
            if position in form.inputs:  # of one before, in half of the time
                before = given.get(position) if place else None
                given[position] = (
                    torch.tensor(stepper.position, device=new.device)
                    if before is None
                    else before + 1
                )
            with torch.no_grad():
                scores = self._scores(stepper.advance(form, given))
            stepper.position += 1

    @staticmethod
    def _scores(found: Any) -> torch.Tensor:
        """The scores [row, vocab] at the last position, among the results."""
        first: torch.Tensor = found[0] if isinstance(found, tuple) else found
        return first.select(1, -1)

    def _of_rows(self) -> dict[str, torch.Tensor]:
        """What the model was given before for each row."""
        return {
            decl.name: value
            for decl in self.model.checked.inputs
            if self.batch in decl.order
            and isinstance(value := self.model._defaults.get(decl.name), torch.Tensor)
        }

    def _others(self, rows: list[int], wanted: int) -> dict[str, torch.Tensor]:
        """What else the model is given, for these prompts; along the axis that is decoded, at so
        many positions."""
        found = {}
        for argument in self.model._artifact.arguments:
            name, order = argument.decl.name, argument.decl.order
            if name not in self.inputs:
                continue
            value = torch.as_tensor(self.inputs[name])
            if self.stepper.axis in order:
                along = self.stepper.axis
                have = value.shape[order.index(along) - len(order)] if value.dim() else 0
                if have < wanted:
                    why = (
                        f"`{name}` is given at {have} positions of `{along}`, and {wanted} are read"
                    )
                    raise mismatch(why, argument.decl.span)
            if self.batch in order:
                at = torch.tensor(rows, device=value.device)
                value = value.index_select(order.index(self.batch), at)
            found[name] = value
        unknown = [name for name in self.inputs if name not in found]
        if unknown:
            raise mismatch(f"`{self.model.checked.name}` takes no `{unknown[0]}`", self.decl.span)
        return found

    def _place(self, name: str) -> int | None:
        """The dimension of an input along which is decoded, if it has one."""
        orders = {a.decl.name: a.decl.order for a in self.model._artifact.arguments}
        axis = self.stepper.axis
        return orders[name].index(axis) if axis in orders[name] else None

    def _at(
        self, others: dict[str, torch.Tensor], start: int, count: int, rows: int
    ) -> dict[str, torch.Tensor]:
        """Further inputs at some positions; the same for all rows, if a model knows of none."""
        found = dict(others)
        for name, value in others.items():
            place = self._place(name)
            if place is not None:
                part = value.narrow(place, start, count)
                is_alone = bool(self.stepper.extra)
                found[name] = part.expand(rows, *part.shape) if is_alone else part
        return found

    def _repeated(
        self, stepper: Stepper, others: dict[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        """All that is kept, and given, once for each sample."""
        for state in stepper.states:
            axes = stepper.axes(state)
            if self.batch in axes:
                kept = stepper.kept[state.site]
                place = axes.index(self.batch)
                stepper.kept[state.site] = kept.repeat_interleave(self.samples, place)
        orders = {a.decl.name: a.decl.order for a in self.model._artifact.arguments}
        return {
            name: value.repeat_interleave(self.samples, orders[name].index(self.batch))
            if self.batch in orders[name]
            else value
            for name, value in others.items()
        }


def _fed(model: SpecModel, axis: str | None, given: Collection[str]) -> InputDecl:
    """The input that is decoded: whole numbers along the axis that are not given by name, of which
    the first result gives scores along one axis more."""
    checked = model.checked
    axis = axis or model.decoded_axis
    free = [d for d in checked.inputs if d.name not in given]
    found = [d for d in free if axis in d.order and d.dtype is DType.INT]
    if len(found) != 1:
        message = f"`{checked.name}` has {len(found)} inputs of whole numbers along `{axis}`"
        hint = "decoding is of models of tokens; `model.stepper()` runs any causal model"
        raise mistake(Slug.WRONG_ARGUMENTS, message, checked.span, hint=hint)
    first = checked.results[0]
    if first.order[:-1] != found[0].order or len(found[0].order) > 2 or found[0].order[-1] != axis:
        message = (
            f"`{checked.name}` gives [{', '.join(first.order)}], and what follows "
            f"`{found[0].name}` is read off scores [{', '.join([*found[0].order, 'vocab'])}]"
        )
        raise mistake(Slug.WRONG_ARGUMENTS, message, checked.span)
    return found[0]


def _rows(tokens: Any, lengths: Any, decl: InputDecl) -> tuple[list[torch.Tensor], tuple[int, ...]]:
    """The prompts one by one, and the shape in which they stand."""
    if isinstance(tokens, list | tuple) and tokens and not isinstance(tokens[0], int):
        rows = [torch.as_tensor(row) for row in tokens]
        shape: tuple[int, ...] = (len(rows),)
        if any(row.dim() != 1 for row in rows):
            raise mismatch(f"prompts of `{decl.name}` are lists of tokens", decl.span)
    else:
        whole = torch.as_tensor(tokens)
        if whole.dim() < 1:
            raise mismatch(f"a prompt of `{decl.name}` is a list of tokens", decl.span)
        shape = tuple(whole.shape[:-1])
        rows = list(whole.reshape(-1, whole.shape[-1]))
    if lengths is not None:
        counts = [int(length) for length in lengths]
        if len(counts) != len(rows):
            raise mismatch(f"there are {len(counts)} lengths of {len(rows)} prompts", decl.span)
        wrong = [c for c, row in zip(counts, rows, strict=True) if not 1 <= c <= len(row)]
        if wrong:
            raise mismatch(f"a prompt has {wrong[0]} tokens, and the input others", decl.span)
        rows = [row[:count] for row, count in zip(rows, counts, strict=True)]
    for row in rows:
        if row.is_floating_point() or row.is_complex():
            raise mismatch(f"`{decl.name}` is int, and is given as {row.dtype}", decl.span)
        if not len(row):
            raise mismatch(f"a prompt of `{decl.name}` has one token at least", decl.span)
    return rows, shape
