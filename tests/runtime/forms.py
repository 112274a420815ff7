"""A drawn recurrence in each form that it may be run in, and what the oracle says of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neuraxis.compiler.artifact import KernelCall, Provided
from neuraxis.compiler.build import build
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit import emit
from neuraxis.compiler.reference import NamedArray, evaluate_nodes
from neuraxis.dsl.core import Body, DType, names
from neuraxis.dsl.derivatives import pullback
from neuraxis.dsl.ops import INPUT
from neuraxis.runtime import emitted, kernels
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close
from neuraxis.testing.cells import operands
from neuraxis.testing.comparing import largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuraxis.compiler.artifact import Artifact
    from neuraxis.compiler.graph import Graph
    from neuraxis.runtime.loops import Function

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Drawn:
    """A cell, how many steps, and the numbers that it is given."""

    text: str
    length: int
    seed: int

    @cached_property
    def program(self) -> Program:
        return Program.from_text(self.text)

    @cached_property
    def checked(self) -> Any:
        return self.program.model("cell").checked

    @cached_property
    def given(self) -> dict[str, Any]:
        return operands(self.checked, self.length, self.seed)

    @cached_property
    def weights(self) -> list[Any]:
        """What the loss takes each result times."""
        numbers = np.random.default_rng(self.seed + 1)
        return [
            numbers.uniform(-1, 1, value.array.shape).astype(np.float32) for value in self.values
        ]

    @cached_property
    def body(self) -> Body:
        """Of no steps, the last carry is the first one: the pass `fold` says so."""
        return (build(self.checked) if self.length else self.graph).to_body()

    def _oracle(self, body: Body, more: dict[str, NamedArray]) -> tuple[list[NamedArray], float]:
        """The results of a program, and the largest number on the way to them."""
        inputs = {d.name: NamedArray(d.order, self._wide(d.name)) for d in self.checked.inputs}
        found = evaluate_nodes(body, {**inputs, **more}, sizes={"b": 2, "t": self.length})
        return [found[name] for name in body.results], largest(found.values())

    def _wide(self, name: str) -> Any:
        value = self.given[name]
        return value.astype(np.float64) if value.dtype == np.float32 else value

    @cached_property
    def values(self) -> list[NamedArray]:
        """Outputs and the last carry, in float64."""
        return self._oracle(self.body, {})[0]

    @cached_property
    def leaves(self) -> list[str]:
        """The inputs that have gradients."""
        return [d.name for d in self.checked.inputs if d.dtype is DType.FLOAT]

    @cached_property
    def gradients(self) -> tuple[dict[str, Any], float]:
        """Those of the weighted sum of all results, in float64, by inputs that are read; and the
        largest number on the way: they may be sums that cancel."""
        nodes = {s.node.site: s.node for s in self.body.steps if s.node.op is INPUT}
        read = [name for name in self.leaves if name in nodes]
        pulled = pullback(self.body, [nodes[name].name for name in read])
        more = {
            f"cotangent.{at}": NamedArray(value.axes, weight.astype(np.float64))
            for at, (value, weight) in enumerate(zip(self.values, self.weights, strict=True))
        }
        found, met = self._oracle(pulled, more)
        order = {d.name: d.order for d in self.checked.inputs}
        assert all(
            set(v.axes) == set(names(nodes[n].axes)) for n, v in zip(read, found, strict=True)
        )
        return {n: v.arranged(order[n]) for n, v in zip(read, found, strict=True)}, met

    def check(self, run: Callable[..., Any], what: str, device: str = "cpu") -> None:
        """Results and gradients of a function of the inputs, in float32, are those of the oracle."""
        tensors = {n: torch.from_numpy(np.array(v)).to(device) for n, v in self.given.items()}
        for name in self.leaves:
            tensors[name].requires_grad_()
        found = run(*tensors.values())
        loss = torch.zeros((), device=device)
        for decl, one, value, weight in zip(
            self.checked.results, found, self.values, self.weights, strict=True
        ):
            assert bool(one.isfinite().all()), f"{what}: not finite"
            assert_close(one, value.arranged(decl.order), tolerance=TOLERANCE, what=what)
            turned = NamedArray(value.axes, weight).arranged(decl.order)
            loss = loss + (one * torch.from_numpy(turned.copy()).to(device)).sum()
        pulled = torch.autograd.grad(
            loss, [tensors[n] for n in self.leaves], allow_unused=True, materialize_grads=True
        )
        wanted, met = self.gradients
        for name, one in zip(self.leaves, pulled, strict=True):
            assert bool(one.isfinite().all()), f"{what}: the gradient of {name} is not finite"
            if name in wanted:
                assert_close(
                    one,
                    wanted[name],
                    tolerance=TOLERANCE,
                    met=met,
                    what=f"{what}: gradient of {name}",
                )

    def through(self, form: Callable[[KernelCall], Function]) -> Callable[..., Any]:
        """The model as PyTorch, its recurrence in a form."""
        artifact = emit(self.graph, self.checked, kernels=lambda _: Provided(None))
        calls = [call for call in artifact.kernels if isinstance(call, KernelCall)]
        return _loaded(artifact, tuple((call.name, form(call)) for call in calls))

    def chosen(self) -> Callable[..., Any]:
        """The model with the kernel that this machine has for it, without the checks at its border:
        they refuse the last of no steps."""
        artifact = emit(self.graph, self.checked, kernels=kernels.chosen)
        assert artifact.kernels
        return _loaded(artifact, kernels.functions(artifact.kernels))

    @cached_property
    def graph(self) -> Graph:
        """After all passes."""
        return compile_graph(build(self.checked), Context())


def _loaded(artifact: Artifact, given: Any) -> Callable[..., Any]:
    module = emitted.loaded(artifact.source, artifact.name, given)
    forward: Callable[..., Any] = getattr(module, artifact.entry)().forward
    return forward
