"""A model that goes on where it stopped: a prompt at once, then new positions, one or several."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch

from ...dsl import sizes
from ...dsl.ops import InputAttrs
from ...dsl.program import PROMPT
from ..border import mismatch, tensor
from .forms import Forms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...compiler.decoding import State
    from ..model import SpecModel
    from .forms import Form

    Kept = dict[str, Any]  # tensors and caches, by the site of their state

ROOM = 64  # positions that a cache has room for at first


class Stepper:
    """Runs a causal model along an axis, a part at a time; what it keeps is found by the compiler.

    `stepper(x)` takes the next positions, one or many, and gives the results there. The first call
    after `reset` reads a prompt in parallel; for writes in phases it is all of the prompt, unless
    `during.prompt` says otherwise.
    """

    def __init__(
        self, model: SpecModel, axis: str | None = None, *, last: bool = False, extra: int = 0
    ) -> None:
        self.model, self.last, self.extra = model, last, extra
        self.axis = axis or model.decoded_axis
        self.forms = Forms.of(model, self.axis, extra)
        self.states = self.forms.decoding(1).states  # what has no step is refused before it is run
        self.room = ROOM
        self.reset()

    def reset(self) -> None:
        """Forget all positions."""
        self.kept: Kept = {}
        self.position = self.prompt = 0
        self._running: Form | None = None

    # ---- running

    @torch.no_grad()
    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The results at the positions of these inputs, which come after all before."""
        given = self.given(inputs, named)
        count = self._count(given)
        if PROMPT in given and PROMPT not in self._said(inputs, named):
            self.prompt = self.prompt or count
            given[PROMPT] = torch.full_like(given[PROMPT], self.prompt)
        self.check(self.position + count)
        if self.position == 0:
            found = self._read(given)
        else:
            found = self.advance(self.forms.step(count), given)
        self.position += count
        results = found[: len(self.model.checked.results)]
        return results[0] if len(results) == 1 else results

    def _read(self, given: Mapping[str, torch.Tensor]) -> tuple[Any, ...]:
        form = self.forms.prefill(last=self.last)
        found = _several(form.module(*(given[name] for name in form.inputs)))
        count = len(self.model.checked.results)
        for state, value in zip(form.gives, found[count:], strict=True):
            self.kept[state.site] = self._stored(state, value)
        return found[:count]

    def _stored(self, state: State, value: torch.Tensor) -> torch.Tensor:
        """What is kept of the prompt; of a cache with a reach, the last positions."""
        if state.reach is None or state.kind != "cache":
            return value
        place = self.place(state, state.axis)
        length = value.shape[place]
        kept = min(length, state.reach)
        return value.narrow(place, length - kept, kept)

    def advance(self, form: Form, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Run a step on inputs that fit, and keep what it leaves."""
        if form is not self._running:
            self._hold(form)
        arguments = [self.kept[name] if name in self.kept else given[name] for name in form.inputs]
        found = _several(form.run(*arguments))
        results = len(self.model.checked.results)
        for state, value in zip(form.gives, found[results:], strict=True):
            self.kept[state.site] = self._stored(state, value)
        return found[:results]

    def _hold(self, form: Form) -> None:
        """Keep each state as the step wants it: what grows in place in a cache, else a tensor."""
        given = {state.site for state in form.gives}
        for state in self.states:
            value = self.kept[state.site]
            if state.site not in form.inputs:
                continue
            if state.site in given and not isinstance(value, torch.Tensor):
                self.kept[state.site] = value.values
            elif state.site not in given and isinstance(value, torch.Tensor):
                cache = sys.modules[type(form.module).__module__].Cache
                place = self.place(state, state.axis)
                self.kept[state.site] = cache(value, place, state.reach, self.room)
        self._running = form

    def place(self, state: State, axis: str) -> int:
        """The dimension of a state that is an axis; ValueError if it has none."""
        return self.axes(state).index(axis)

    def axes(self, state: State) -> tuple[str, ...]:
        """The axes of a state, in their order."""
        attrs = self.forms.decoding(1).step.node(state.name).attrs
        assert isinstance(attrs, InputAttrs)
        return attrs.order

    # ---- what it is given

    def given(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        """The inputs of a step by name, as tensors that fit, and the position. Raises SpecError."""
        model = self.model
        wanted = [argument.decl.name for argument in model._artifact.arguments]
        values = self._said(inputs, named)
        found = {}
        for argument in model._artifact.arguments:
            name = argument.decl.name
            if name not in values and name in model._defaults:
                values[name] = model._default(name)
            if name not in values:
                raise mismatch(
                    f"a step of `{model.checked.name}` needs `{name}`", argument.decl.span
                )
            found[name] = tensor(values[name], argument, model._given_like())
            more = self.extra * (self.axis in argument.decl.order)
            if found[name].dim() != len(argument.axes) + more:
                wanted_axes = ", ".join(argument.decl.order)
                raise mismatch(
                    f"`{name}` has axes [{wanted_axes}], and a step is given it with shape "
                    f"{tuple(found[name].shape)}",
                    argument.decl.span,
                )
        unknown = [name for name in values if name not in wanted]
        if unknown or len(inputs) > len(wanted):
            raise mismatch(
                f"`{model.checked.name}` takes no `{(unknown or ['more'])[0]}`", model.checked.span
            )
        like = model._given_like()
        found[self.forms.decoding(1).position] = torch.tensor(
            self.position, device=None if like is None else like.device
        )
        return found

    def _said(self, inputs: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
        """What is given, by name."""
        order = (argument.decl.name for argument in self.model._artifact.arguments)
        return dict(zip(order, inputs, strict=False)) | dict(named)

    def _count(self, given: Mapping[str, torch.Tensor]) -> int:
        counts = {
            given[argument.decl.name].shape[self.extra + argument.decl.order.index(self.axis)]
            for argument in self.model._artifact.arguments
            if self.axis in argument.decl.order
        }
        if len(counts) != 1 or 0 in counts:
            raise mismatch(
                f"the inputs have {sorted(counts)} new positions of `{self.axis}`",
                self.model.checked.span,
            )
        return int(counts.pop())

    def check(self, length: int) -> None:
        """Raise SpecError if a model cannot have so many positions."""
        for limit in self.model.checked.limits:
            try:
                low, high = (
                    sizes.evaluate(side, {self.axis: length}) for side in (limit.low, limit.high)
                )
            except KeyError:
                continue
            if low > high:
                raise mismatch(f"{limit.message}; here it is {low} > {high}", limit.span)


def _several(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)
