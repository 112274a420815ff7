"""Experiments computed by the oracle: a sweep in rows, along its axes, and member by member."""

from __future__ import annotations

import itertools
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.graph import Graph
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.sweeps import pack
from neuraxis.compiler.verify import verify
from neuraxis.dsl import sizes as size_rules
from neuraxis.dsl.check import check_text
from neuraxis.dsl.core import Body, DType, names
from neuraxis.dsl.ops import ParamAttrs
from neuraxis.dsl.program import ArgumentInput, CheckedStudy, SweepInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Variables = dict[str, "Sequence[float]"]


def study(text: str) -> CheckedStudy:
    """The one experiment of a spec."""
    checked = check_text("test.nax", textwrap.dedent(text).lstrip("\n"))
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    (found,) = checked.experiments.values()
    return found


def parameters(body: Body, seed: int = 0) -> dict[str, Any]:
    """Numbers for all parameters: by address, so that equal models get equal ones."""
    found = {}
    for node in (step.node for step in body.steps):
        if isinstance(node.attrs, ParamAttrs):
            shape = [size_rules.evaluate(axis.size, {}) for axis in node.attrs.axes]
            key = [seed, *map(ord, node.site or "")]
            found[node.site or ""] = np.random.default_rng(key).standard_normal(shape) * 0.5
    return found


@dataclass
class Sweep:
    """A sweep in a frame: text before it, its ranges, and its body, in which `{l}` is a variable.

    `sizes` are those of run-time axes, `whole` numbers below which what ints hold stays.
    """

    head: str
    over: Mapping[str, tuple[str, Sequence[float]]]
    body: str
    sizes: Mapping[str, int]
    most: int = 6
    seed: int = 0

    def _body(self, **names: object) -> str:
        return textwrap.indent(textwrap.dedent(self.body).strip("\n").format(**names), " " * 8)

    def swept(self) -> str:
        """The spec with the sweep."""
        ranges = ", ".join(f"{name} in {shown}" for name, (shown, _) in self.over.items())
        return f"{self.head}    sweep found over {ranges}:\n" + self._body(
            **{name: name for name in self.over}
        )

    def apart(self) -> str:
        """The spec with each member written out."""
        lines = []
        for place, values in enumerate(itertools.product(*(v for _, v in self.over.values()))):
            body = self._body(**dict(zip(self.over, values, strict=True))).replace(" " * 8, " " * 4)
            *runs, last = body.replace("patched", f"patched_{place}").split("\n")
            lines += [*runs, f"    member_{place} = {last.strip()}"]
        return self.head + "\n".join(lines)

    # ---- numbers

    def inputs(self, found: CheckedStudy, graph: Graph, lengths: dict[str, int]) -> dict[str, Any]:
        """What the inputs of a graph hold, by address."""
        given = {}
        for name in graph.in_order():
            node, source = graph.node(name), found.sources.get(name)
            if node.op.name != "input" or source is None:
                continue
            key = [self.seed, *map(ord, node.site or "")]
            stream = np.random.default_rng(key)
            shape = [size_rules.evaluate(axis.size, lengths) for axis in node.axes]
            match source:
                case SweepInput(variable=variable):
                    array: Any = np.asarray(self.over[variable.rstrip("'")][1])
                case ArgumentInput(default=float(default)):
                    array = np.asarray(default)
                case _ if node.dtype is DType.INT:
                    array = stream.integers(0, self.most, shape)
                case _:
                    array = stream.standard_normal(shape)
            given[node.site or name] = NamedArray(names(node.axes), array)
        return given

    def lengths(self) -> dict[str, int]:
        """All run-time sizes."""
        return dict(self.sizes) | {
            f"found_{name}": len(values) for name, (_, values) in self.over.items()
        }

    def members(self) -> np.ndarray[Any, Any]:
        """Each member by itself: an experiment that says them one by one."""
        found = study(self.apart())
        graph = Graph.from_body(found.body)
        values = evaluate(
            graph,
            self.inputs(found, graph, self.lengths()),
            parameters(found.body),
            sizes=self.lengths(),
        )
        return np.array([value.array for value in values])

    def check(self) -> str:
        """The law of sweeps. Gives why it was not packed, or nothing."""
        found = study(self.swept())
        (sweep,) = found.sweeps
        graph = Graph.from_body(Body(found.body.steps, (sweep.result,)))
        graph = compile_graph(graph, Context())
        lengths = self.lengths()
        inputs = self.inputs(found, graph, lengths)
        params = parameters(found.body)
        (along,) = evaluate(graph, inputs, params, sizes=lengths)
        riding = along.arranged(sweep.variables)
        np.testing.assert_allclose(riding.ravel(), self.members(), rtol=0, atol=1e-9)
        swept = {
            name: inputs[graph.node(name).site or name]
            for variable in sweep.variables
            for name, source in found.sources.items()
            if name in graph and isinstance(source, SweepInput) and source.variable == variable
        }
        packed = pack(graph, swept, lengths)
        if isinstance(packed, str):
            return packed
        verify(packed.graph, "pack")
        tidy = compile_graph(packed.graph, Context())
        for name, numbers in packed.numbers.items():
            node = packed.graph.node(name)
            inputs[node.site or name] = NamedArray(names(node.axes), numbers)
        (rows,) = evaluate(tidy, inputs, params, sizes=lengths | packed.rows)
        np.testing.assert_allclose(rows.arranged(sweep.variables), riding, rtol=0, atol=1e-9)
        return ""
