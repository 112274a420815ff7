"""A model of a spec: a torch module that knows its graph, its sites and its interventions."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..compiler.build import build as graph_of
from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.expose import expose
from ..compiler.lengths import lengths_name
from ..dsl.core import names
from ..dsl.diagnostics import Collector, Slug, SpecError, nearest, or_nearest
from ..dsl.elaborate.models import elaborate_model
from ..dsl.elaborate.under import elaborate_under
from ..dsl.ops import InputAttrs
from ..dsl.program import POSITION, PROMPT, InputDecl, ResultDecl
from .decoding import Decoded, Stepper, decode, stream
from .decoding.forms import decoded_axis
from .found import statistics_of
from .mistakes import mistake
from .module import Model, build
from .ragged import check_updates, given_lengths, padded
from .sites import Site, matching_sites
from .trace import Trace, Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    import networkx
    from torch import nn

    from ..dsl.core import Axes
    from ..dsl.elaborate.models import ModelRequest
    from ..dsl.elaborate.under import Under
    from ..dsl.modules import Module
    from ..dsl.program import CheckedModel
    from .decoding.forms import Forms

    Defaults = Mapping[str, float | torch.Tensor | None]

PASSES = Context()


class SpecModel(Model):
    """A model: called with its inputs in the order in which its spec declares them."""

    checked: CheckedModel
    _module: Module
    _defaults: Defaults
    _under: tuple[Under, ...] | None  # its interventions; None: a form of a model, of one mode
    _others: dict[tuple[str, ...] | None, SpecModel]  # by what is traced; None: for ragged batches
    _modes: dict[tuple[bool, bool], SpecModel]  # while it is trained or not, decoded or not
    _steps: dict[tuple[str, int], Forms]  # how it is decoded, by axis
    _wanted: dict[tuple[str, ...], list[Site]]  # the sites that patterns match

    @property
    def graph(self) -> networkx.MultiDiGraph:
        """The graph that is run, as networkx; each node has its record under `node`."""
        return self._now._graph.nx

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_others": {}, "_modes": {}, "_steps": {}, "_wanted": {}}

    @property
    def current(self) -> CheckedModel:
        """Its program in the mode that it is in."""
        return self._now.checked

    @property
    def defaults(self) -> Defaults:
        """What inputs hold that need not be given at a call, by name."""
        return self._defaults

    # ---- its modes

    @property
    def _now(self) -> SpecModel:
        """The model in its mode: itself, or what it is in the other one."""
        return self._moded(decoding=False)

    def _moded(self, *, decoding: bool) -> SpecModel:
        """The model in its mode, as it is decoded or as it is over the whole."""
        request = self.checked.request
        is_same = self._is_training == self.training and not (decoding and self.checked.reads_last)
        if self._under is None or request is None or is_same:
            return self
        key = self.training, decoding
        if key not in self._modes:
            self._modes[key] = self._in_mode(replace(request, training=self.training), decoding)
        return self._modes[key]

    @property
    def _is_training(self) -> bool:
        """The mode that it was made in; if it has but one, that which it is in."""
        checked = self.checked
        if checked.request is None or not checked.reads_mode:
            return self.training
        return checked.request.training

    def _in_mode(self, request: ModelRequest, decoding: bool) -> SpecModel:
        collector = Collector()
        checked, defaults = elaborate_model(request, collector), dict(self._defaults)
        for under in self._under or ():
            if checked is not None:
                found = elaborate_under(
                    checked,
                    self._module,
                    [under],
                    collector,
                    training=self.training,
                    decoding=decoding,
                )
                checked = None if found is None else found[0]
                defaults = {**(found[1] if found is not None else {}), **defaults}
        if checked is None:
            raise SpecError(collector.diagnostics)
        other = self._like_this(checked, defaults)
        own, theirs = ({**w, **s} for w, s in map(Model.parameters_by_site, (self, other)))
        lacking = [site for site in theirs if site not in own]
        if lacking:
            mode = "is" if self.training else "is not"
            message = f"`{lacking[0]}` is there only where the model {mode} trained"
            hint = "declare it outside of the `if`"
            raise mistake(Slug.MISPLACED, message, request.block.span, hint=hint)
        return other

    # ---- running

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The results, in the order of the model's `return`.

        `lengths` are those of the examples of a ragged batch: `model(tokens, lengths=[5, 9])`; of
        several ragged axes, a dictionary. What stands behind an example's end is then not seen.
        """
        now = self._moded(decoding=PROMPT in named)
        if now is not self:
            return self._through(now, inputs, named)
        wanted = [decl.name for decl in self.checked.inputs]
        if self._has_lengths(named):
            return self._ragged(inputs, named)
        missing = [name for name in wanted[len(inputs) :] if name not in named]
        if self._defaults and missing:
            filled = {name: self._default(name) for name in missing if name in self._defaults}
            filled = {name: value for name, value in filled.items() if value is not None}
            if not named and list(filled) == missing:
                inputs = (*inputs, *filled.values())
            else:
                named = {**named, **filled}
        return super().forward(*inputs, **named)

    def _has_lengths(self, named: Mapping[str, Any]) -> bool:
        return "lengths" in named and all(d.name != "lengths" for d in self.checked.inputs)

    def _default(self, name: str) -> torch.Tensor | None:
        """What an input holds that is not given."""
        value = self._defaults[name]
        if value is None or isinstance(value, torch.Tensor):
            return value
        like = self._given_like()
        if isinstance(value, int) and like is not None:
            return torch.tensor(value, device=like.device)
        if like is None:
            return torch.tensor(value)
        return torch.tensor(value, dtype=like.dtype, device=like.device)

    def _ragged(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        given = named.pop("lengths")
        known: dict[str, int] = {}
        values = dict(zip((decl.name for decl in self.checked.inputs), inputs, strict=False))
        for decl in self.checked.inputs:
            if decl.name in {**values, **named}:
                shape = torch.as_tensor({**values, **named}[decl.name]).shape
                known |= dict(zip(reversed(decl.order), reversed(shape), strict=False))
        lengths = given_lengths(given, self.checked, known)
        model = self._padded()
        used = [decl.name for decl in model.checked.inputs]
        for axis, counts in lengths.items():
            if lengths_name(axis) in used:
                named[lengths_name(axis)] = counts
        return self._through(model, inputs, named)

    def _padded(self) -> SpecModel:
        """The same model for batches of several lengths, which are inputs too."""
        if None not in self._others:
            checked = self.checked
            built = graph_of(checked)
            graph = padded(built, checked.ragged, checked.ragged)
            check_updates(built, graph, range(len(checked.results), len(built.results)))
            declared = tuple(
                InputDecl(node.site or "", node.attrs.order, node.dtype, checked.span)
                for node in map(graph.node, graph.in_order())
                if node.made_by == "pad" and isinstance(node.attrs, InputAttrs)
            )
            results = [
                replace(decl, order=_order(graph.node(name).axes, decl.order))
                for decl, name in zip(checked.results, graph.results, strict=False)
            ]
            changed = replace(
                checked,
                body=graph.to_body(),
                inputs=(*checked.inputs, *declared),
                results=tuple(results),
                ragged={},
            )
            self._others[None] = self._like_this(changed, self._defaults)
        return self._others[None]

    def _like_this(self, checked: CheckedModel, defaults: Defaults) -> SpecModel:
        """Another program for the same parameters."""
        return spec_model(checked, self._module, defaults, shared=self, seed=self._seed)

    def _through(self, other: SpecModel, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run another form of the model as if it were this one: with the parameters and states
        that this one has now, and at its call."""
        with self._as(other):
            return other(*inputs, **named)

    @contextmanager
    def _as(self, other: SpecModel) -> Iterator[None]:
        other._share(self)
        other._calls = self._calls
        try:
            yield
        finally:
            self._calls = other._calls
            self._share(other)

    # ---- sites

    def sites(self, pattern: str = "*") -> list[Site]:
        """The addresses that match, such as `layer[*].attn.z`, with axes and sizes."""
        return matching_sites(self._now.checked, pattern)

    def trace(self, *inputs: Any, sites: Iterable[str], **named: Any) -> Trace:
        """Run, and keep the values at addresses or patterns."""
        now = self._moded(decoding=PROMPT in named)
        if now is not self:
            with self._as(now):
                return now.trace(*inputs, sites=sites, **named)
        patterns = tuple(sites)
        if patterns not in self._wanted:
            self._wanted[patterns] = [site for p in patterns for site in self._matching(p)]
        found = self._wanted[patterns]
        own = {site.address: self.checked.aliases.get(site.address, site.address) for site in found}
        addresses = tuple(dict.fromkeys(own.values()))
        if addresses not in self._others:
            self._others[addresses] = self._exposing(addresses)
        traced = self._others[addresses]
        given = self._through(traced, inputs, named)
        values = given if isinstance(given, tuple) else (given,)
        ran = traced._padded() if self._has_lengths(named) else traced
        count = len(self.checked.results)
        table = {
            address: Value(_axes(decl, value), value)
            for address, decl, value in zip(
                addresses, ran.checked.results[count:], values[count:], strict=True
            )
        }
        return Trace({site.address: table[own[site.address]] for site in found}, values[:count])

    def _exposing(self, addresses: tuple[str, ...]) -> SpecModel:
        """The model with the values at these addresses as further results."""
        graph, nodes = expose(graph_of(self.checked), addresses)
        count = len(self.checked.results)
        kept = [nodes[address] for address in addresses]
        with graph.edit() as edit:
            edit.set_results([*graph.results[:count], *kept, *graph.results[count:]])
        more = [
            ResultDecl(address, names(graph.node(name).axes))
            for address, name in zip(addresses, kept, strict=True)
        ]
        results = (*self.checked.results, *more)
        changed = replace(self.checked, results=results, body=edit.graph.to_body())
        return self._like_this(changed, self._defaults)

    def _matching(self, pattern: str) -> list[Site]:
        found = self.sites(pattern)
        if not found:
            near = nearest(pattern, [site.address for site in self.sites()])
            hint = f"did you mean {', '.join(near)}?" if near else None
            raise mistake(Slug.UNKNOWN_SITE, f"no site matches `{pattern}`", hint=hint)
        return found

    # ---- position after position

    @cached_property
    def decoded_axis(self) -> str:
        """The axis along which the model is decoded if none is named. Raises SpecError."""
        return decoded_axis(self.checked)

    def stepper(self, axis: str | None = None) -> Stepper:
        """The model a part at a time along an axis (by default the last run-time axis that its
        inputs and results share): `stepper(x)` takes the next positions and gives the results
        there. Raises SpecError (`not-causal`) if what is earlier sees what is later."""
        return Stepper(self._moded(decoding=True), axis)

    def decode(self, tokens: Any, *, steps: int, **options: Any) -> Decoded:
        """The tokens that follow prompts [.., t], the most likely ones.

        With `temperature` above 0 tokens are drawn, of the `top_k` most likely, of those that are
        `top_p` likely together; `samples` for each prompt; by `seed`, the prompt and the number of
        the sample alone. `stop` is a token, or a list of tokens and lists of tokens at which a row
        ends. Prompts of several lengths are a list, or are given with `lengths`. `logits=True`
        keeps the scores. Other inputs go by name. Raises SpecError."""
        return decode(self, tokens, steps=steps, **options)

    def stream(self, tokens: Any, *, steps: int, **options: Any) -> Iterator[torch.Tensor]:
        """The same, a token for each row at a time, as they are found."""
        return stream(self, tokens, steps=steps, **options)

    # ---- interventions

    def under(self, name: str, **arguments: Any) -> SpecModel:
        """The same parameters with an intervention of the file in the graph. Numbers that pick no
        site, size or case, and tensors, are inputs that can be given at each call by name. So is a
        position of each example: `source` for a write at `[t = @source]`, later `at.source`. What
        it reads of a calibration is given by the name of that: `under("cut", stats=found)`, with
        what `Program.calibrated` found."""
        fixed = {
            key: value.item() if isinstance(value, np.number) else value
            for key, value in arguments.items()
            if isinstance(value, int | float | np.number)
        }
        collector = Collector()
        made = self.checked.reads_mode and self._is_training
        found = elaborate_under(
            self.checked, self._module, [(name, fixed)], collector, training=made
        )
        if found is None:
            raise SpecError(collector.diagnostics)
        checked, defaults = found
        own = {_parameter(site, name): site for site in (*self._defaults, *defaults)}
        own = {
            key: site for key, site in own.items() if site in defaults or site.startswith(POSITION)
        }
        tables = {key: value for key, value in arguments.items() if isinstance(value, dict)}
        read = {decl.name.partition(".")[0] for decl in checked.inputs}
        unknown = [
            k for k in arguments if k not in {*own, *fixed} and not (k in tables and k in read)
        ]
        if unknown:
            hint = or_nearest(unknown[0], own)
            raise mistake(Slug.WRONG_ARGUMENTS, f"`{name}` has no input `{unknown[0]}`", hint=hint)
        given = {own[k]: v for k, v in arguments.items() if k not in {*fixed, *tables}}
        given = {k: torch.as_tensor(v) if k.startswith(POSITION) else v for k, v in given.items()}
        given |= statistics_of(checked, {**self._defaults, **tables}, self._module, name)
        under = None if self._under is None else (*self._under, (name, fixed))
        return spec_model(
            checked,
            self._module,
            {**self._defaults, **defaults, **given},
            shared=self,
            seed=self._seed,
            under=under,
        ).train(self.training)


def spec_model(
    checked: CheckedModel,
    module: Module,
    defaults: Defaults,
    *,
    shared: nn.Module | None = None,
    seed: int = 0,
    under: tuple[Under, ...] | None = None,
    filled: Collection[str] = (),
) -> SpecModel:
    """Compile a checked model. `under` are the interventions that it has; without, it stays in the
    mode that it was made in. What will be `filled` is not drawn."""
    graph = compile_graph(graph_of(checked), PASSES)
    model: SpecModel = build(
        graph, checked, seed=seed, shared=shared, base=SpecModel, filled=filled
    )
    model.checked, model._module, model._defaults = checked, module, dict(defaults)
    model._under, model._others, model._modes, model._steps = under, {}, {}, {}
    model._wanted = {}
    return model.eval()


def _parameter(site: str, intervention: str) -> str:
    """What `under` calls an input: a parameter of the intervention, or a position."""
    inner = site.removeprefix(f"{intervention}.").removeprefix("again.").rstrip("'")
    return inner.removeprefix(POSITION)


def _order(axes: Axes, declared: tuple[str, ...]) -> tuple[str, ...]:
    """The declared order, other axes in front."""
    return (*(name for name in names(axes) if name not in declared), *declared)


def _axes(decl: ResultDecl, value: torch.Tensor) -> tuple[str, ...]:
    """The axes of a result; those that ride along have no name."""
    extra = value.dim() - len(decl.order)
    return (*(f"^{n}" for n in range(extra, 0, -1)), *decl.order)
