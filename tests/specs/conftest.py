"""What tests of shipped specs share: a model from text, run on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from neuraxis import specs
from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.draws import drawn
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit import emit
from neuraxis.compiler.reference import NamedArray, evaluate, evaluate_nodes
from neuraxis.dsl import sizes as size_rules
from neuraxis.dsl.diagnostics import Collector, render
from neuraxis.dsl.elaborate import ModelRequest, elaborate_model
from neuraxis.dsl.modules import Loader
from neuraxis.dsl.ops import ParamAttrs, StateAttrs
from neuraxis.dsl.syntax import Block

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis.dsl.program import CheckedModel

Array = np.ndarray[Any, Any]


@dataclass
class Bench:
    """A checked model with parameters and states to run it with."""

    model: CheckedModel
    params: dict[str, Array]
    states: dict[str, Array]
    training: bool = False

    def __call__(self, *arrays: Any, call: int = 0) -> Any:
        """The results in the order of axes in which the model writes them.

        They are the oracle's, and the emitted module must give the same.
        """
        found = evaluate(
            self.model.body,
            self._named(arrays),
            self.params,
            states=self.states,
            random=drawn(0, call),
        )
        results = [
            value.arranged([*(n for n in value.axes if n not in declared.order), *declared.order])
            for value, declared in zip(found, self.model.results, strict=False)
        ]
        others, states = self.emitted(*arrays, call=call)
        for other, result in zip(others, results, strict=True):
            same(other, result)
        for address, new in zip(self.model.updates, found[len(results) :], strict=True):
            same(states[address], new.array)
        return results[0] if len(results) == 1 else results

    def emitted(self, *arrays: Any, call: int = 0) -> tuple[list[Array], dict[str, Array]]:
        """What the module that is emitted for PyTorch gives, in float64, and its states then."""
        artifact = emit(compile_graph(build(self.model), Context()), self.model)
        made: dict[str, Any] = {}
        exec(compile(artifact.source, "emitted", "exec"), made)
        entry = made[artifact.entry]
        module = entry().double() if isinstance(entry, type) else entry
        kept = self.params | self.states
        if isinstance(entry, type):
            weights = {own.key: torch.tensor(kept[own.site]) for own in artifact.stored}
            module.load_state_dict(weights, strict=True)
            module.train(self.training)
        sizes: dict[str, int] = {}
        for argument, array in zip(artifact.arguments, arrays, strict=True):
            for axis, length in zip(argument.axes, np.shape(array), strict=True):
                if axis.size == size_rules.symbol(axis.name):
                    sizes[axis.name] = length
        noise = [
            drawn(0, call)(node, tuple(size_rules.evaluate(axis.size, sizes) for axis in node.axes))
            for node in artifact.draws
        ]
        with torch.no_grad():
            found = module(*map(_tensor, [*arrays, *noise]))
        after = module.state_dict() if isinstance(entry, type) else {}
        states = {own.site: after[own.key].numpy() for own in artifact.stored}
        return [part.numpy() for part in (found if isinstance(found, tuple) else (found,))], states

    def updated(self, *arrays: Any) -> dict[str, Array]:
        """What the states become."""
        found = evaluate(
            self.model.body,
            self._named(arrays),
            self.params,
            states=self.states,
            random=drawn(0),
        )
        new = found[len(self.model.results) :]
        return {at: value.array for at, value in zip(self.model.updates, new, strict=True)}

    def site(self, address: str, *arrays: Any) -> NamedArray:
        """The value at an address."""
        values = evaluate_nodes(
            self.model.body,
            self._named(arrays),
            self.params,
            states=self.states,
            random=drawn(0),
        )
        address = self.model.aliases.get(address, address)
        name = next(s.node.name for s in self.model.body.steps if s.node.site == address)
        return values[name]

    def sites(self) -> dict[str, tuple[str, ...]]:
        """Every address with its axes."""
        return {
            step.node.site: tuple(axis.name for axis in step.node.axes)
            for step in self.model.body.steps
            if step.node.site is not None
        }

    def _named(self, arrays: tuple[Any, ...]) -> dict[str, NamedArray]:
        return {
            declared.name: NamedArray(declared.order, np.asarray(array))
            for declared, array in zip(self.model.inputs, arrays, strict=True)
        }


def same(found: Array, wanted: Array) -> None:
    """Equal up to rounding in float64, relative to the largest."""
    largest = np.abs(wanted).max(initial=1e-30)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9 * largest)


def _tensor(array: Any) -> torch.Tensor:
    made = torch.tensor(array)
    return made.double() if made.is_floating_point() else made


def checked(text: str, name: str, **request: Any) -> CheckedModel:
    """A block or model of a spec; anything said about it, even a warning, is a failure."""
    collector = Collector()
    module = Loader(collector).from_text("test.nax", text, None)
    assert module is not None, render(collector.diagnostics)
    block = module.own[name]
    assert isinstance(block, Block)
    model = elaborate_model(ModelRequest(block, module, **request), collector)
    assert not collector.diagnostics, render(collector.diagnostics)
    assert model is not None
    return model


def bench(text: str, name: str = "probe", *, seed: int = 0, **request: Any) -> Bench:
    """A model with random parameters, and states as they start."""
    model = checked(text, name, **request)
    stream = np.random.default_rng(seed)
    params: dict[str, Array] = {}
    states: dict[str, Array] = {}
    for step in model.body.steps:
        attrs = step.node.attrs
        if isinstance(attrs, ParamAttrs | StateAttrs):
            shape = [size_rules.evaluate(axis.size, {}) for axis in attrs.axes]
            assert step.node.site is not None
            if isinstance(attrs, ParamAttrs):
                params[step.node.site] = stream.normal(size=shape)
            else:
                states[step.node.site] = np.abs(stream.normal(size=shape))
    return Bench(model, params, states, bool(request.get("training")))


@pytest.fixture
def probe() -> Callable[..., Bench]:
    """Makes a `Bench` from the text of a spec that has a model called `probe`."""
    return bench


@pytest.fixture
def shipped() -> Callable[..., Bench]:
    """Makes a `Bench` from a model that comes with neuraxis: `shipped("gpt2", sizes={...})`."""

    def load(name: str, file: str | None = None, **request: Any) -> Bench:
        return bench(specs.read(f"models/{file or name}"), name, **request)

    return load


@pytest.fixture
def published() -> Callable[[str], CheckedModel]:
    """A model that comes with neuraxis, with the sizes that it has by itself."""
    return lambda name: checked(specs.read(f"models/{name}"), name)
