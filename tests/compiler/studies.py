"""Experiments computed by the oracle: a sweep in rows, along its axes, and member by member."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.graph import Graph
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.compiler.sweeps import Packed, pack
from neuraxis.compiler.verify import verify
from neuraxis.dsl import sizes as size_rules
from neuraxis.dsl.check import check_text
from neuraxis.dsl.core import Body, DType, names
from neuraxis.dsl.ops import ParamAttrs
from neuraxis.dsl.program import ArgumentInput, CheckedStudy, FieldInput, SweepInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@cache
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
    """A sweep: what stands before it, its ranges with their values, and its body, in which `{l}`
    is a variable. `sizes` are those of run-time axes; ints are less than `below`."""

    head: str
    over: Mapping[str, tuple[str, Sequence[float]]]
    body: str
    sizes: Mapping[str, int] = field(default_factory=lambda: {"b": 2, "t": 4})
    below: int = 5
    seed: int = 0

    def swept(self) -> str:
        """The spec with the sweep."""
        ranges = ", ".join(f"{name} in {shown}" for name, (shown, _) in self.over.items())
        lines = self._lines({name: name for name in self.over})
        return "\n".join(
            [f"{self.head}    sweep found over {ranges}:", *(f"        {x}" for x in lines)]
        )

    def apart(self, chosen: Sequence[Sequence[float]]) -> str:
        """The spec with some members written out."""
        text = [self.head]
        for place, values in enumerate(chosen):
            *runs, last = self._lines(dict(zip(self.over, values, strict=True)))
            text += [f"    {line}" for line in (*runs, f"member = {last}")]
            text = [line.replace("patched", f"patched_{place}") for line in text]
            text[-1] = text[-1].replace("member", f"member_{place}")
        return "\n".join(text)

    def _lines(self, names: Mapping[str, object]) -> list[str]:
        return textwrap.dedent(self.body).strip("\n").format(**names).split("\n")

    # ---- numbers

    def lengths(self) -> dict[str, int]:
        """All run-time sizes."""
        counts = {f"found_{name}": len(values) for name, (_, values) in self.over.items()}
        return {**self.sizes, **counts}

    def inputs(self, found: CheckedStudy, graph: Graph) -> dict[str, NamedArray]:
        """What the inputs of a graph hold, by address; equal inputs hold equal numbers."""
        given = {}
        for name in graph.in_order():
            node, source = graph.node(name), found.sources.get(name)
            if source is None:
                continue
            stream = np.random.default_rng([self.seed, *map(ord, node.site or "")])
            shape = [size_rules.evaluate(axis.size, self.lengths()) for axis in node.axes]
            match source:
                case SweepInput(variable=variable):
                    array: Any = np.asarray(self.over[variable.rstrip("'")][1])
                case ArgumentInput(default=float(default)):
                    array = np.asarray(default)
                case FieldInput(field="at"):
                    array = stream.integers(0, self.sizes["t"], shape)
                case _ if node.dtype is DType.INT:
                    array = stream.integers(0, self.below, shape)
                case _:
                    array = stream.standard_normal(shape)
            given[node.site or name] = NamedArray(names(node.axes), array)
        return given

    def alone(self, chosen: Sequence[Sequence[float]]) -> np.ndarray[Any, Any]:
        """Some members, from an experiment that says them one by one."""
        found = study(self.apart(chosen))
        graph = Graph.from_body(found.body)
        inputs, params = self.inputs(found, graph), parameters(found.body)
        values = evaluate(graph, inputs, params, sizes=self.lengths())
        return np.array([value.array for value in values])

    def check(self, alone: int = 3) -> Packed | str:
        """The law of sweeps: in rows == along its axes == its members alone (some of them).

        Gives the sweep in rows, or why it is not.
        """
        found = study(self.swept())
        (plan,) = found.sweeps
        built = Graph.from_body(Body(found.body.steps, (plan.result,)))
        graph = compile_graph(built, Context(verify=False))
        inputs, params = self.inputs(found, built), parameters(found.body)
        (along,) = evaluate(graph, inputs, params, sizes=self.lengths())
        riding = along.arranged(plan.variables)
        stream = np.random.default_rng(self.seed)
        places = [
            tuple(map(int, p)) for p in stream.permutation(list(np.ndindex(riding.shape)))[:alone]
        ]
        ranges = [values for _, values in self.over.values()]
        chosen = [[values[at] for values, at in zip(ranges, p, strict=True)] for p in places]
        np.testing.assert_allclose([riding[p] for p in places], self.alone(chosen), 0, 1e-9)
        swept = {
            source.variable: name
            for name, source in found.sources.items()
            if isinstance(source, SweepInput) and name in graph
        }
        given = {swept[v]: inputs[graph.node(swept[v]).site or ""] for v in plan.variables}
        packed = pack(graph, given, self.lengths())
        if isinstance(packed, str):
            return packed
        verify(packed.graph, "pack")
        tidy = compile_graph(packed.graph, Context(verify=False))
        for name, numbers in packed.numbers.items():
            node = packed.graph.node(name)
            inputs[node.site or name] = NamedArray(names(node.axes), numbers)
        (rows,) = evaluate(tidy, inputs, params, sizes=self.lengths() | packed.rows)
        np.testing.assert_allclose(rows.arranged(plan.variables), riding, rtol=0, atol=1e-9)
        return packed
