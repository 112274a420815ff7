"""Writes recurrences: a loop over the steps, the outputs stacked."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from ....dsl.core import Axis, Body, Node, names
from ....dsl.ops import ItemAttrs, ScanAttrs
from ..flow import LEAVES, flow
from ..recognise.selection import plan_body
from .kernels import call_kernel
from .layout import ATOM, Layout, Value, permuted, squeezed
from .names import called, identifier
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..forms import Piece


def write_item(w: Writer, piece: Piece, wish: Layout | None) -> Value:
    """One result of a scan; the scan is written with the first of its items."""
    attrs = piece.node.attrs
    assert isinstance(attrs, ItemAttrs)
    scan = piece.reads[0]
    items = {
        other.node.attrs.index: other.node
        for other in w.plan.pieces.values()
        if isinstance(other.node.attrs, ItemAttrs) and other.reads[0] == scan
    }
    if not call_kernel(w, w.plan.pieces[scan], items):
        _Scan(w, w.plan.pieces[scan], items).write()
    return w.values[piece.node.name]


class _Scan:
    """One recurrence, as seen from the function that it stands in."""

    def __init__(self, w: Writer, piece: Piece, items: dict[int, Node]) -> None:
        attrs = piece.node.attrs
        assert isinstance(attrs, ScanAttrs)
        self.w, self.piece, self.items, self.attrs = w, piece, items, attrs
        self.kept = [i for i in range(len(attrs.body.results)) if i < attrs.carries or i in items]
        results = tuple(attrs.body.results[index] for index in self.kept)
        self.flow = flow(Body(attrs.body.steps, results), w.flow.titles)
        self.inputs = [s.node for s in attrs.body.steps if s.node.op.name == "input"]
        constants = dict(
            zip(
                [node.name for node in self.inputs[attrs.carries + attrs.steps :]],
                piece.reads[attrs.carries + attrs.steps :],
                strict=True,
            )
        )
        weights = frozenset(inside for inside, name in constants.items() if w.is_weight(name))
        self.inner = Writer(
            self.flow,
            plan_body(self.flow, weights),
            w.rule,
            w.parameter,
            lines=w.lines,
            names=w.names,
            scope=w.scope,
            outer=w,
        )
        self.inner.weights, self.inner.constants = weights, frozenset(constants)
        self.outputs: dict[int, str] = {}
        self.layouts: dict[int, tuple[str, ...]] = {}

    def write(self) -> None:
        """The initial carries, what does not change, the loop, the outputs."""
        w, attrs = self.w, self.attrs
        given = [squeezed(w.need(name)) for name in self.piece.reads]
        steps = given[attrs.carries : attrs.carries + attrs.steps]
        sequences = []
        for node, value in zip(self.inputs[attrs.carries :], steps, strict=False):
            if node.name not in self.flow.nodes:
                continue
            value = self._named(w.tensor(value), node)
            at = value.layout.index(attrs.axis.name)
            layout = tuple(axis for axis in value.layout if axis != attrs.axis.name)
            step = w.names.take(f"{_word(value, node)}_{attrs.axis.name}")
            self.inner.values[node.name] = replace(value, text=step, layout=layout, rank=ATOM)
            sequences.append((step, f"{value.atom}.unbind({at})"))
        for node, value in zip(
            self.inputs[attrs.carries + attrs.steps :],
            given[attrs.carries + attrs.steps :],
            strict=True,
        ):
            self.inner.values[node.name] = self._named(value, node)
        self._start(given[: attrs.carries])
        self._closed()
        for index in sorted(self.items):
            if index >= attrs.carries:
                name = w.names.take(f"{w.label(self.items[index], 'output')}_steps")
                self.outputs[index] = name
                w.line(f"{name} = []", self.piece.node)
        self._loop(sequences)
        self._collect()

    def _named(self, value: Value, node: Node) -> Value:
        if value.plain or (value.rank == ATOM and "(" not in value.text):
            return value
        return self.w.assign(value, self.w.label(node, "given"), self.piece.node)

    def _start(self, given: Sequence[Value]) -> None:
        """Carries: variables that hold every axis from the start."""
        steps = [v for v in self.inner.values.values() if v.axes]
        for index, value in enumerate(given):
            node = self.inputs[index]
            axes = {axis.name: axis for axis in node.axes}
            order = list(value.axes) if set(value.axes) == set(axes) else []
            for other in steps if not order else ():
                order += [axis for axis in other.axes if axis in axes and axis not in order]
            order += [axis for axis in names(node.axes) if axis not in order]
            full = self.w.exactly(self.w.cast(value, node.dtype), [axes[axis] for axis in order])
            wanted = self._carry_name(index)
            name = self.w.names.take(wanted)
            self.w.line(f"{name} = {full.text}", self.piece.node)
            self.inner.values[node.name] = replace(full, text=name, rank=ATOM)

    def _carry_name(self, index: int) -> str:
        new = self.attrs.body.results[index]
        for position in range(self.attrs.carries, len(self.attrs.body.results)):
            if self.attrs.body.results[position] == new and position in self.items:
                return self.w.label(self.items[position], "carry")
        node = next(s.node for s in self.attrs.body.steps if s.node.name == new)
        return self.inner.label(node, "carry")

    def _closed(self) -> None:
        """What depends on no step is computed before the loop."""
        inner = self.inner
        for name in self.flow.nodes:
            if name in self.flow.closed and name in inner.plan.pieces:
                read_inside = any(user not in self.flow.closed for user in self.flow.users[name])
                if read_inside and not self.flow.is_number(name):
                    word = inner.plan.call_it(inner.plan.pieces[name])
                    word = inner.label(self.flow.nodes[name], word)
                    inner.values[name] = self.w.assign(inner.peek(name), word)
                    inner.rounded.add(name)

    def _loop(self, sequences: Sequence[tuple[str, str]]) -> None:
        w, attrs = self.w, self.attrs
        if not sequences:
            head = f"for _ in range({w.size(attrs.axis.size)}):"
        elif len(sequences) == 1:
            head = f"for {sequences[0][0]} in {_turned(sequences[0][1], attrs)}:"
        else:
            targets = ", ".join(step for step, _ in sequences)
            sources = ", ".join(_turned(source, attrs) for _, source in sequences)
            head = f"for {targets} in zip({sources}):"
        w.lines.loops.append(len(w.lines.lines))
        w.line(head, self.piece.node)
        w.lines.depth += 1
        self._body()
        w.lines.depth -= 1
        w.lines.loops.pop()

    def _body(self) -> None:
        inner = self.inner
        results = self.flow.results
        carries = self.attrs.carries
        new = {results[index]: index for index in reversed(range(carries))}
        for name in self.flow.nodes:
            node = self.flow.nodes[name]
            if name in inner.values or name not in inner.plan.pieces or name in self.flow.closed:
                continue
            if node.op.name in LEAVES:
                continue
            if name in new or not inner.plan.inside(name):
                self._value(name, new.get(name))
        for index, output in self.outputs.items():
            value = squeezed(inner.tensor(inner.peek(results[self.kept.index(index)])))
            own = {axis.name: axis for axis in self._made(index)}
            if set(value.axes) != set(own):
                value = inner.exactly(value, list(own.values()))
            self.layouts[index] = value.axes
            self.w.line(f"{output}.append({value.text})", self.piece.node)
        self._renew(results[:carries])

    def _made(self, index: int) -> list[Axis]:
        item = self.items[index]
        return [axis for axis in item.axes if axis.name != self.attrs.axis.name]

    def _value(self, name: str, carry: int | None) -> None:
        """Write a value; a new carry under the name of the old, if nobody reads that any more."""
        inner = self.inner
        if carry is None:
            inner.peek(name)
            return
        node = self.inputs[carry]
        piece = inner.plan.pieces[name]
        old = inner.values[node.name]
        value = inner.rule(piece)(inner, piece, old.layout)
        if name not in inner.values:
            last = inner.left[node.name] == 0 and not self._seen(old.text)
            whole = set(squeezed(value).axes) == set(old.axes)
            if last and whole and self.flow.results[: self.attrs.carries].count(name) == 1:
                value = permuted(squeezed(value), old.axes)
                self.w.line(f"{old.text} = {value.text}", self.flow.nodes[name])
                inner.values[name] = replace(value, text=old.text, rank=ATOM)
            else:
                inner.values[name] = inner.assign(value, f"new_{old.text}", self.flow.nodes[name])

    def _seen(self, variable: str) -> bool:
        """Whether a value that is still to be read is a view of the variable."""
        word = re.compile(rf"\b{variable}\b")
        return any(
            self.inner.left[name] > 0 and word.search(value.text)
            for name, value in self.inner.values.items()
        )

    def _renew(self, results: Sequence[str]) -> None:
        """The carries for the next step, all at once."""
        inner = self.inner
        targets, sources = [], []
        for node, name in zip(self.inputs, results, strict=False):
            old = inner.values[node.name]
            axes = {axis.name: axis for axis in node.axes}
            value = inner.cast(inner.tensor(inner.peek(name)), node.dtype)
            value = inner.exactly(value, [axes[axis] for axis in old.axes])
            if value.text != old.text:
                targets.append(old.text)
                sources.append(value.text)
        if targets:
            self.w.line(f"{', '.join(targets)} = {', '.join(sources)}", self.piece.node)

    def _collect(self) -> None:
        w, attrs = self.w, self.attrs
        for index, node in self.items.items():
            if index < attrs.carries:
                old = self.inner.values[self.inputs[index].name]
                w.values[node.name] = replace(old, dtype=node.dtype)
                continue
            layout = list(self.layouts[index])
            at = self._place(layout)
            turned = "[::-1]" if attrs.reverse else ""
            text = f"torch.stack({self.outputs[index]}{turned}, {at})"
            layout.insert(at, attrs.axis.name)
            if not isinstance(attrs.axis.size, int):
                axes = {axis.name: axis for axis in node.axes}
                nothing = Value("0", (), node.dtype, plain=True)
                nothing = w.exactly(nothing, [axes[axis] for axis in layout])
                text = f"{text} if {self.outputs[index]} else {nothing.text}"
            value = Value(text, tuple(layout), node.dtype)
            w.values[node.name] = w.assign(value, w.label(node, "stacked"), node)

    def _place(self, layout: Sequence[str]) -> int:
        """Where the steps' axis goes: where most of what is read per step has it."""
        for name in self.piece.reads[self.attrs.carries :][: self.attrs.steps]:
            value = self.w.values.get(name)
            if value is not None and self.attrs.axis.name in value.layout:
                before = value.layout[: value.layout.index(self.attrs.axis.name)]
                if all(axis in layout[: len(before)] for axis in before):
                    return len(before)
        return 0


def _word(value: Value, node: Node) -> str:
    if value.text.isidentifier():
        return value.text
    return identifier(called(node.site)) if node.site else "step"


def _turned(source: str, attrs: ScanAttrs) -> str:
    return f"reversed({source})" if attrs.reverse else source
