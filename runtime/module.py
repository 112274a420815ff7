"""Emitted source as a module that checks what it is given."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.compiler import is_compiling
from torch.overrides import TorchFunctionMode

from ..compiler.draws import drawn
from ..compiler.emit import emit
from ..dsl import sizes
from ..dsl.core import Axis, DType, names
from ..dsl.ops import INPUT, InputAttrs, RandomAttrs
from . import attention, border, emitted
from .bound import Bound, is_small
from .held import Holder, as_tensor
from .kernels import chosen, functions, worth

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ..compiler.artifact import Artifact
    from ..compiler.graph import Graph
    from ..dsl.core import Node
    from ..dsl.program import CheckedModel


def build(
    graph: Graph,
    checked: CheckedModel,
    *,
    seed: int = 0,
    shared: nn.Module | None = None,
    passes: tuple[str, ...] = (),
    base: type[Model] | None = None,
    kernels: bool = True,
    filled: Collection[str] = (),
    lean: bool = False,
) -> Any:
    """A model of a compiled graph. What `shared` has at an address is shared, the rest drawn, but
    for what will be `filled`. Without `kernels` it is PyTorch alone; if `lean`, it holds no value
    longer than it must."""
    artifact = emit(
        graph,
        checked,
        passes=passes,
        kernels=chosen if kernels else None,
        contractions=attention.chosen if kernels else None,
        fusing=worth if kernels else None,
        lean=lean,
    )
    module = emitted.loaded(artifact.source, artifact.name, functions(artifact.kernels))
    bases = (base or Model, getattr(module, artifact.entry))
    own = {"__module__": module.__name__, "_emitted": bases[1].forward}
    made = type(artifact.entry, bases, own)  # the border in front
    with torch.device("meta"), _Undrawn():
        model = made()
    model._start(artifact, graph, checked, seed, shared, filled)
    return model


def beside(model: nn.Module, others: Mapping[str, nn.Module]) -> nn.Module:
    """The parameters of a model, and under their names those of others: what a study with several
    sets of weights shares."""
    if not others:
        return model
    both = nn.Module()
    both._parameters, both._buffers = model._parameters, model._buffers
    both._modules = {**model._modules, **{f"{name}:": other for name, other in others.items()}}
    return both


class _Undrawn(TorchFunctionMode):
    """Draws nothing: the numbers are replaced anyway, and on `meta` PyTorch takes seconds for
    it."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_", "bernoulli_"):
            return args[0]
        return func(*args, **(kwargs or {}))


OFTEN = 16  # runs without gradients, after which one function is made of it all


class Model(Holder):
    """A model: called with its inputs in the order in which its spec declares them."""

    _graph: Graph
    _checked: CheckedModel
    _emitted: Callable[..., Any]
    packs = True  # whether weights may be held again in an order that is faster
    _bound: Bound | None = None
    _runs = 0

    def _start(
        self,
        artifact: Artifact,
        graph: Graph,
        checked: CheckedModel,
        seed: int,
        shared: nn.Module | None,
        filled: Collection[str],
    ) -> None:
        self._artifact, self._graph, self._checked = artifact, graph, checked
        self._seed, self._calls = seed, 0
        self._seen: set[object] = set()
        self._variants: dict[tuple[int, ...], Model] = {}
        self._held = ()
        self._share(shared)
        self._draw_initial(filled)
        self._like = self._probe()

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "_variants": {},
            "_bound": None,
            "_runs": 0,
            "_links": (None, 0, []),
        }

    # ---- running

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The results, in the order of the model's `return`."""
        if is_compiling():
            return self._run(inputs)
        if named or self._key(inputs) not in self._seen:
            return self._checked_run(inputs, named)
        try:
            return self._run(inputs)
        except (IndexError, RuntimeError):
            border.look(self._artifact, inputs)
            raise

    def _key(self, inputs: Any) -> object:
        """What a check of inputs depends on; of what is no tensor yet, nothing that is known."""
        like = self._like
        try:
            shapes = [(value.shape, value.dtype) for value in inputs]
        except AttributeError:
            return None
        return None if like is None else like[0][like[1]].dtype, *shapes

    def _checked_run(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Run inputs whose shapes are new, or which are to be made tensors first."""
        artifact = self._artifact
        if named or len(inputs) != len(artifact.arguments):
            inputs = border.ordered(artifact, inputs, named)
        like = self._given_like()
        given = [
            border.tensor(value, argument, like)
            for value, argument in zip(inputs, artifact.arguments, strict=True)
        ]
        extra = border.riding(artifact, given)
        if any(extra):
            return self._riding(extra, given)
        border.check(artifact, given)
        if all(value is new for value, new in zip(inputs, given, strict=True)):
            self._seen.add(self._key(given))
        try:
            return self._run(given)
        except (IndexError, RuntimeError):
            border.look(artifact, given)
            raise

    def _run(self, given: Any) -> Any:
        if not self._artifact.draws:
            return self._function()(*given)
        return self._function()(*given, *self._drawn(given))

    def _function(self) -> Callable[..., Any]:
        """What the source says, or the same as one function: without gradients, often, of a small
        model, so that what binding it takes comes back."""
        if self._bound is not None and self._bound.module is self:  # a replica is another one
            return self._bound.current()
        if not is_compiling() and not torch.is_grad_enabled():
            self._runs += 1
            if self._runs == OFTEN and is_small(self) and not self._checked.updates:
                self._bound = Bound(self)
        return self._emitted

    @cached_property
    def _read(self) -> frozenset[str | None]:
        """The inputs that a result depends on."""
        nodes = map(self._graph.node, self._graph.in_order())
        return frozenset(node.site for node in nodes if node.op is INPUT)

    @property
    def draws(self) -> tuple[Node, ...]:
        """The nodes whose numbers are drawn at each call."""
        return self._artifact.draws

    def run_with(self, inputs: Any, draws: Any) -> Any:
        """Run on inputs of the right shapes, with these numbers as drawn."""
        return self._function()(*inputs, *draws)

    def restart(self) -> None:
        """Draw at the next call what was drawn at the first one."""
        self._calls = 0

    def _drawn(self, given: Any) -> list[torch.Tensor]:
        """The numbers of this call."""
        known = border.check(self._artifact, given)
        draw = drawn(self._seed, self._calls)
        self._calls += 1
        floats = [value for value in given if value.is_floating_point()]
        like = floats[0] if self._like is None and floats else self._given_like()
        found = []
        for node in self._artifact.draws:
            assert isinstance(node.attrs, RandomAttrs)
            numbers = as_tensor(draw(node, border.shape_of(node.attrs.axes, known)))
            dtype = None if node.dtype is not DType.FLOAT else torch.get_default_dtype()
            if like is not None:
                dtype = None if dtype is None else like.dtype
                numbers = numbers.to(like.device)
            found.append(numbers.to(dtype))
        return found

    # ---- axes that ride along

    def _riding(self, extra: tuple[int, ...], given: list[torch.Tensor]) -> Any:
        """Run with axes in front. What no result depends on has them for nothing."""
        read = [a.decl.name in self._read for a in self._artifact.arguments]
        given = [
            value if reads else value[(0,) * count]
            for value, reads, count in zip(given, read, extra, strict=True)
        ]
        extra = tuple(count if reads else 0 for count, reads in zip(extra, read, strict=True))
        return self._lifted(extra)._given(self, given)

    def _lifted(self, extra: tuple[int, ...]) -> Model:
        """The same model with so many more axes in front of each input."""
        if not any(extra):
            return self
        if extra not in self._variants:
            if self._checked.updates:
                raise border.mismatch(
                    f"`{self._checked.name}` keeps a state, over which no axes ride along",
                    self._checked.span,
                )
            graph = lifted(self._graph, self._checked, extra)
            self._variants[extra] = build(graph, self._checked, seed=self._seed, shared=self)
        return self._variants[extra]

    def _given(self, owner: Model, given: list[torch.Tensor]) -> Any:
        self._share(owner)  # parameters may have been replaced since
        self._calls = owner._calls
        owner._calls += 1
        return self.forward(*given)


def lifted(graph: Graph, checked: CheckedModel, extra: tuple[int, ...]) -> Graph:
    """The graph with more axes in front of the inputs; the last of each input's is the same one."""
    counts = {decl.name: count for decl, count in zip(checked.inputs, extra, strict=True)}
    with graph.edit() as edit:
        changed = []
        for name in graph.in_order():
            node = graph.node(name)
            count = counts.get(node.site or "", 0) if node.op is INPUT else 0
            if count:
                assert isinstance(node.attrs, InputAttrs)
                front = tuple(Axis(f"^{n}", sizes.symbol(f"^{n}")) for n in range(count, 0, -1))
                order = (*names(front), *node.attrs.order)
                axes = (*front, *node.attrs.axes)
                attrs = replace(node.attrs, order=order, axes=axes)
                edit.put(replace(node, attrs=attrs, axes=axes))
                changed.append(name)
        edit.retype(changed)
    return edit.graph
