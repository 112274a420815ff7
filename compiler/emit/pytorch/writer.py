"""Writes one function: values become expressions and lines, in the order of the program.

A value that one other reads, and that has no address of its own, is written where it is read.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ....dsl import sizes
from ....dsl.core import DType, names
from ....dsl.ops import InputAttrs, ParamAttrs, RandomAttrs, StateAttrs
from .expressions import literal
from .layout import ADDED, ATOM, Layout, Value, permuted, squeezed
from .names import Names, called, identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ....dsl.core import Axis, Node
    from ....dsl.ops import ScanAttrs
    from ....dsl.sizes import Size
    from ...artifact import ContractionCall, KernelCall, Provided, RegionCall
    from ..cpp.kernel import Kernel
    from ..flow import Flow
    from ..forms import Piece
    from ..recognise.selection import Plan

    Rule = Callable[["Writer", Piece, Layout | None], Value]
    Choice = Callable[[ScanAttrs], Provided[Kernel] | None]

WHOLE = "\1"  # marks a dimension that is several axes
SPLIT = re.compile(r"\.unflatten\((-?\d+), \(([^()]*)\)\)$")
LONGEST = 64  # an expression that is longer gets a name instead of standing inside another


@dataclass(frozen=True, slots=True)
class Line:
    """A statement, how deep it stands, and which part of the spec it is for."""

    text: str
    depth: int = 0
    part: str = ""


@dataclass
class Lines:
    """The statements of a function, in order, and the names that are taken in it."""

    lines: list[Line] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    depth: int = 0
    loops: list[int] = field(default_factory=list)  # where the loops begin that are open

    def add(self, text: str, part: str = "") -> None:
        """Append a statement."""
        self.lines.append(Line(text, self.depth, part))

    def before(self, text: str) -> None:
        """Put a statement in front of the innermost loop."""
        at = self.loops[-1]
        self.lines.insert(at, Line(text, self.lines[at].depth, self.lines[at].part))
        self.loops[-1] += 1


@dataclass(frozen=True, slots=True)
class Beside:
    """Parts whose parameters of these names lie side by side; the first axes are summed over."""

    parts: tuple[str, ...]
    names: tuple[str, ...]
    inputs: int

    @property
    def made(self) -> str:
        """How it is made."""
        listed = ", ".join(self.parts)
        if len(set(self.names)) > 1:
            listed += f", names={list(self.names)}".replace("'", '"')
        elif self.names[0] != "w b":
            listed += f', names="{self.names[0]}"'
        return f"SideBySide({listed}{'' if self.inputs == 1 else f', inputs={self.inputs}'})"


class Writer:
    """What is written so far of a function, and how to write more."""

    def __init__(
        self,
        flow: Flow,
        plan: Plan,
        rule: Callable[[Piece], Rule],
        parameter: Callable[[Node], Value],
        *,
        lines: Lines | None = None,
        names: Names | None = None,
        scope: str = "",
        outer: Writer | None = None,
    ) -> None:
        self.flow, self.plan, self.rule, self.parameter = flow, plan, rule, parameter
        self.lines = Lines() if lines is None else lines
        self.names = self.lines.names if names is None else names
        self.scope, self.outer = scope, outer
        self.values: dict[str, Value] = {}
        self.left: Counter[str] = Counter(plan.uses)
        self.symbols: dict[str, str] = {} if outer is None else outer.symbols
        self.helpers: dict[str, None] = {} if outer is None else outer.helpers
        self.examples: list[Value] = [] if outer is None else outer.examples
        self.weights: frozenset[str] = frozenset()  # in a loop: what stands for parameters,
        self.constants: frozenset[str] = frozenset()  # and for all that is the same at each step
        self.hoisted: dict[str, str] = {}
        self.closed = False  # whether what is written depends on indices and numbers alone
        self.rounded: set[str] = set()
        self.wide = ""
        self.tail: Callable[[str], tuple[str, ...]] = lambda _: ()  # axes that readers want last
        self.arguments: dict[str, Node] = {} if outer is None else outer.arguments
        self.laid: dict[str, Beside] = {}  # parameters side by side in memory
        # the order of axes in which memory should hold a parameter, by its address
        self.stored: dict[str, tuple[str, ...]] = {} if outer is None else outer.stored
        self.kernels: Choice | None = None  # which recurrences are calls of kernels
        self.calls: dict[str, KernelCall | ContractionCall | RegionCall] = {}

    # ---- values

    def need(self, name: str, wish: Layout | None = None) -> Value:
        """The value of a node, for one of its readers; written now if it is not yet."""
        self.left[name] -= 1
        return self.peek(name, wish)

    def peek(self, name: str, wish: Layout | None = None) -> Value:
        """The value of a node, without counting a reader."""
        if name in self.flow.numbers:
            return literal(self.flow.numbers[name])
        if name in self.flow.lengths:
            text = self.size(self.flow.lengths[name])
            return Value(text, dtype=DType.INT, rank=ADDED if " " in text else ATOM, plain=True)
        node = self.flow.nodes[name]
        if name not in self.values and isinstance(node.attrs, ParamAttrs | StateAttrs):
            return self.parameter(node)
        if name not in self.values:
            inside, self.closed = self.closed, name in self.flow.closed
            self._write(name, wish)
            self.closed = inside
        value = self.values[name]
        if name in self.flow.closed and not self.closed and name not in self.rounded:
            return self._rounded(value)
        return value

    def _write(self, name: str, wish: Layout | None) -> None:
        node, piece = self.flow.nodes[name], self.plan.pieces[name]
        value = self.rule(piece)(self, piece, wish)
        if name in self.values:  # written together with others
            return
        word = self.label(node, self.plan.call_it(piece))
        if self.closed and all(user not in self.flow.closed for user in self.flow.users[name]):
            self.closed = False
            value = self._rounded(value)
            self.rounded.add(name)
        if not self.plan.inside(name):
            value = self.assign(value, word, node)
        elif len(value.text) > LONGEST:
            split = _split(value)  # may be undone by the reader
            whole = value.text[: split.start()] if split else value.text
            value = self.assign(replace(value, text=whole), word, node)
            value = replace(value, text=value.text + (split[0] if split else ""))
        self.values[name] = value

    def _rounded(self, value: Value) -> Value:
        """A value of indices and numbers alone, which is computed in float32 at least."""
        if value.dtype is not DType.FLOAT or value.plain:
            return value
        return value.view(f".to({self.float})", value.layout)

    def several(self, read: Sequence[str], wish: Layout | None = None) -> list[Value]:
        """The values of all operands: first those that are there, which others may follow."""
        found: dict[int, Value] = {}
        waiting = []
        for at, name in enumerate(read):
            if name in self.values or name not in self.plan.pieces or name in self.flow.numbers:
                found[at] = self.need(name)
            else:
                waiting.append((-len(self.flow.nodes[name].axes), at, name))
        for _, at, name in sorted(waiting):
            known = [value for value in found.values() if value.axes]
            largest = max(known, key=lambda value: len(value.axes), default=None)
            if wish is None and largest is not None:
                inside = self.flow.nodes[name].axis_names <= set(largest.axes)
                found[at] = self.need(name, largest.layout if inside else None)
            else:
                found[at] = self.need(name, wish)
        return [found[at] for at in range(len(read))]

    def tensor(self, value: Value) -> Value:
        """A number as a tensor."""
        if not value.plain:
            return value
        dtype = {DType.FLOAT: self.float, DType.INT: "torch.int64", DType.BOOL: "torch.bool"}
        text = f"torch.tensor({value.text}, dtype={dtype[value.dtype]}{self.on_device})"
        return Value(text, dtype=value.dtype)

    def cast(self, value: Value, dtype: DType) -> Value:
        """The value as floats or ints."""
        if value.dtype == dtype or value.plain:
            return replace(value, dtype=dtype)
        calls = {DType.FLOAT: f".to({self.float})", DType.INT: ".long()", DType.BOOL: ".bool()"}
        return replace(value.view(calls[dtype], value.layout), dtype=dtype)

    def label(self, node: Node, fallback: str) -> str:
        """What a value is called: by its address, else by what it is."""
        if node.site is None:
            return fallback
        return identifier(called(self.flow.titles.get(node.site, node.site)))

    def is_weight(self, name: str) -> bool:
        """Whether a node is a parameter, or stands for one in a loop."""
        return self.flow.nodes[name].op.name == "param" or name in self.weights

    def steady(self, text: str, wanted: str) -> str:
        """An expression of what does not change in a loop: computed before it."""
        if "(" not in text:
            return text
        if text not in self.hoisted:
            self.hoisted[text] = self.names.take(wanted)
            self.lines.before(f"{self.hoisted[text]} = {text}")
        return self.hoisted[text]

    # ---- statements

    def assign(self, value: Value, wanted: str, node: Node | None = None) -> Value:
        """The value under a name of its own."""
        if value.text.isidentifier() or value.plain:
            return value
        name = self.names.take(wanted)
        self.line(f"{name} = {value.text}", node)
        return replace(value, text=name, rank=ATOM)

    def line(self, text: str, node: Node | None = None) -> None:
        """Append a statement."""
        self.lines.add(text, "" if node is None else self.part(node))

    def target(self, node: Node, fallback: str) -> str:
        """A name for the value of a node, which is about to be assigned."""
        return self.names.take(self.label(node, fallback))

    def part(self, node: Node) -> str:
        """The call of the spec that a node belongs to, seen from this function."""
        scope = node.scope
        if self.scope and scope.startswith(self.scope):
            scope = scope[len(self.scope) :].lstrip(".")
        return scope.split(".")[0]

    def helper(self, name: str) -> str:
        """A function that the file has because it is used."""
        self.helpers[name] = None
        return name

    def laid_out(self, found: Beside) -> str:
        """An attribute for parameters that lie side by side in memory."""
        self.helper("side_by_side")
        words = [part.split(".") for part in found.parts]
        common = [one for one, *others in zip(*words, strict=False) if set(others) <= {one}]
        # the last word keeps it apart from what a module has, and a model at run time
        name = identifier("_".join([*common[1:], "beside"]))
        while self.laid.get(f"_{name}", found) != found:
            name += "_"
        self.laid[f"_{name}"] = found
        return f"self._{name}"

    # ---- sizes, device, dtype

    def size(self, size: Size) -> str:
        """A size as Python."""
        if isinstance(size, int):
            return str(size)
        for symbol in sorted(sizes.symbols(size)):
            if symbol not in self.symbols:
                self.symbols[symbol] = self.names.take(symbol)
        return sizes.show(renamed(size, self.symbols))

    def shape(self, axes: Iterable[Axis]) -> str:
        """The sizes of axes, separated by commas."""
        return ", ".join(self.size(axis.size) for axis in axes)

    def example(self, dtype: DType | None = None) -> Value | None:
        """Some tensor that is there from the start, of this dtype."""
        return next((v for v in self.examples if dtype is None or v.dtype == dtype), None)

    @property
    def on_device(self) -> str:
        """`, device=...`: where everything else is."""
        example = self.example()
        return "" if example is None else f", device={example.text}.device"

    @property
    def float(self) -> str:
        """The dtype of floats; at least float32 for what is made of indices and numbers alone."""
        example = self.example(DType.FLOAT)
        own = "torch.get_default_dtype()" if example is None else f"{example.text}.dtype"
        if not self.closed:
            return own
        top = self
        while top.outer is not None:
            top = top.outer
        if not top.wide:
            top.wide = self.names.take("wide")
            self.line(f"{top.wide} = torch.promote_types({own}, torch.float32)")
        return top.wide

    # ---- layouts

    def exactly(self, value: Value, axes: Sequence[Axis]) -> Value:
        """The value with these dimensions, repeated along those that it lacks."""
        order = names(tuple(axes))
        if value.plain and order:
            return self._filled(value, axes)
        own = [axis for axis in order if axis in value.axes]
        value = permuted(self.tensor(value), own)
        if len(own) == len(order):
            return value
        steps = [":" if axis in own else "None" for axis in order]
        while steps and steps[0] == "None":
            steps = steps[1:]
        if "None" in steps:
            value = value.view(f"[{', '.join(steps)}]", value.layout)
        shape = ", ".join("-1" if a.name in own else self.size(a.size) for a in axes)
        return value.view(f".expand({shape})", order)

    def _filled(self, value: Value, axes: Sequence[Axis]) -> Value:
        """The number everywhere."""
        dtype = {DType.FLOAT: self.float, DType.INT: "torch.int64", DType.BOOL: "torch.bool"}
        shape, where = self.shape(axes), f"dtype={dtype[value.dtype]}{self.on_device}"
        usual = {"0": "zeros", "1": "ones", "0.0": "zeros", "1.0": "ones"}.get(value.text)
        listed = f"({shape},)" if len(axes) == 1 else f"({shape})"
        text = f"torch.full({listed}, {value.text}, {where})"
        if usual is not None:
            text = f"torch.{usual}({shape}, {where})"
        return Value(text, names(tuple(axes)), value.dtype)

    def flattened(self, value: Value, groups: Sequence[Sequence[str]]) -> Value:
        """The value with each group of axes as one dimension, called as the first of them."""
        lists = [list(group) for group in groups]
        value = _unsplit(squeezed(value), lists)
        value = permuted(value, [axis for group in lists for axis in group])
        done = value
        for at, group in reversed(list(enumerate(lists))):
            start = sum(len(other) for other in lists[:at])
            last = at == len(lists) - 1
            if not group:
                done = done.view(f".unsqueeze({-1 if last else start})", ())
            elif len(group) > 1:
                where = f"{start}" if last else f"{start}, {start + len(group) - 1}"
                done = done.view(f".flatten({where})" if start or not last else ".flatten()", ())
        layout = tuple(group[0].rstrip(WHOLE) if group else None for group in lists)
        return replace(done, layout=layout)


def _split(value: Value) -> re.Match[str] | None:
    """Where a value is split into axes last; in a sum, that is one of its terms."""
    return SPLIT.search(value.text) if value.rank == ATOM else None


def _unsplit(value: Value, groups: list[list[str]]) -> Value:
    """The value as it was before it was split into axes that are to be one again."""
    found = _split(value)
    if found is None:
        return value
    count = found[2].count(",") + 1
    start = int(found[1]) if found[1] != "-1" else len(value.layout) - count
    split = list(value.axes[start : start + count])
    if split not in groups:
        return value
    whole = split[0] + WHOLE
    groups[groups.index(split)] = [whole]
    layout = (*value.layout[:start], whole, *value.layout[start + count :])
    return replace(value, text=value.text[: found.start()], layout=layout)


def renamed(size: Size, names_of: Mapping[str, str]) -> Size:
    """The size with other names for its symbols."""
    return sizes.substituted(size, lambda own: sizes.symbol(names_of[str(own)]))


def leaf(node: Node, text: str) -> Value:
    """A parameter, a state or an argument: in written order."""
    assert isinstance(node.attrs, ParamAttrs | StateAttrs | InputAttrs | RandomAttrs)
    return Value(text, names(node.attrs.axes), node.dtype)
