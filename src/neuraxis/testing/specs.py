"""Draws the text of well-typed specs: blocks, and a model that uses them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from ..dsl import sizes
from .statements import EVERYTHING, grow
from .suites import Block, Routine, Suite, Term

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[st.SearchStrategy[Any]], Any]

NAME = "drawn"
RECURRENT = ("scan", "scan", "scan", "free", "linear", "let", "param", "norm", "sequence")


@st.composite
def specs(
    draw: Draw,
    most: int = 6,
    kinds: tuple[str, ...] = EVERYTHING,
    *,
    together: bool = True,
    ragged: bool = False,
    blocks: int = 2,
) -> str:
    """The text of a spec with a model `drawn` of up to about `most` statements, and the blocks that
    it calls. It checks without a warning.

    With `together = False`, no example along `b` sees another; with `ragged`, each has a length of
    its own along `t`.
    """
    texts: list[str] = []
    routines: list[Routine] = []
    for place in range(draw(st.integers(0, blocks))):
        text, routine = _block(draw, f"part{place + 1}", tuple(routines))
        texts.append(text)
        routines.append(routine)
    texts.append(_model(draw, most, kinds, tuple(routines), together and not ragged, ragged))
    return "\n\n".join(texts)


def recurrences(most: int = 4) -> st.SearchStrategy[str]:
    """The text of a spec whose model is mostly recurrences that do not run away: decays, gates,
    delta rules and contracting cells, with and without initial carries, along given and new axes."""
    return specs(most, RECURRENT, blocks=0)


def _model(
    draw: Draw,
    most: int,
    kinds: tuple[str, ...],
    routines: tuple[Routine, ...],
    together: bool,
    ragged: bool,
) -> str:
    lengths = frozenset("t") if ragged else frozenset()
    block = Block(draw, routines, together, lengths, taken=set("bdst"))
    s = Suite(block)
    s.sizes.update(b=sizes.symbol("b"), t=sizes.symbol("t"))
    header = []
    for axis in ["d", *s.some("ce", 0, 2)]:
        size = s.pick([2, 3, 4])
        s.new_axis(size, axis)
        header.append(f"{axis} = {size}")
    s.pending.clear()
    inputs = [_input(s, "x", ("b", "t", "d"), "float", ragged)]
    if s.often():
        inputs.append(_input(s, "at", ("b", "t"), "int", False))
    if s.pick([True, False]):
        own = s.some([a for a in s.sizes if a != "b"], 0, 2)
        inputs.append(
            _input(s, "y", (*s.some(["b"], 0, 1), *own), s.pick(["float", "float", "bool"]), False)
        )
    if s.often():
        s.numbers = ("L",)
        inputs.append(f"L = {s.pick([2, 1, 3])}")
    if s.often():
        s.truths = ("deep",)
        inputs.append(f"deep = {s.pick(['true', 'false'])}")
    grow(s, draw(st.integers(2, most)), kinds)
    results = _results(s, [v for v in s.values if not ragged or v.kind != "bool"])
    shown = ", ".join(f"[{', '.join(order)}]" for _, order in results)
    lines = [f"model {NAME}[{', '.join(header)}]({', '.join(inputs)}) -> {shown}:", *s.lines]
    lines.append(f"    return {', '.join(text for text, _ in results)}\n")
    return "\n".join(lines)


def _input(s: Suite, name: str, axes: tuple[str, ...], kind: str, ragged: bool) -> str:
    s.values.append(Term(name, axes, kind, 4 if kind == "int" else 2, exact=True, name=name))
    written = ", ".join("t of b" if ragged and a == "t" else a for a in axes)
    return f"{name}[{written}]" + ("" if kind == "float" else f": {kind}")


def _results(s: Suite, values: list[Term]) -> list[tuple[str, list[str]]]:
    """One to three values, the latest most likely, with their axes in some order."""
    made = [v for v in values if v.name not in (None, "x", "at", "y")] or values
    chosen = [s.pick(made[-1:] * 3 + made), *s.some(made)]
    return [(v.text, list(s.block.draw(st.permutations(v.axes)))) for v in chosen]


def _block(draw: Draw, name: str, earlier: tuple[Routine, ...]) -> tuple[str, Routine]:
    """A block: of two axes with others riding, from one axis to another, or over a pack."""
    block = Block(draw, earlier, taken=set("bs"))
    s = Suite(block, most=2)
    shape = s.pick(["plain", "plain", "arrow", "pack"])
    if shape == "pack":
        ways = [
            "x - mean[*i](x)",
            "x * w",
            "x / (1 + norm[*i](x))",
            "tanh(x) * softmax[*i](x)",
            "max(x, sum[*i](w))",
        ]
        way = s.pick(ways)
        lines = [f"block {name}[*i](x[*i]) -> [*i]:"]
        lines += ["    param w[*i] ~ normal(0, 1)"] if "w" in way else []
        return "\n".join([*lines, f"    return {way}\n"]), Routine(name, (), (), pack=True)
    axis = s.pick("d c") if shape == "plain" else "c"
    s.new_axis(sizes.symbol("t"), "t", fixed=False)
    s.new_axis(sizes.symbol(axis), axis, fixed=True)
    takes = s.pick([("t", axis), (axis,)])
    s.sizes = {a: size for a, size in s.sizes.items() if a in takes}
    s.values.append(Term("x", takes, "float", 8, exact=False, name="x"))
    header, options = [], []
    if s.pick([True, False]):
        header.append(f"{s.new_axis(2, 'r')} = 2")
    if s.pick([True, False]):
        s.numbers = ("width",)
        options.append(f"width = {s.pick([1, 2])}")
    if s.pick([True, False]):
        s.truths = ("wide",)
        options.append("wide = true")
    arrow = None
    if shape == "arrow":
        s.new_axis(sizes.symbol("o"), "o", fixed=True)
        arrow = (axis, "o")
        header.insert(0, f"{axis} -> o")
        s.line(f"param w[{axis}, o] ~ normal(0, 1)")
        rest = tuple(a for a in takes if a != axis)
        made = s.let(Term(f"dot[{axis}](x, w)", (*rest, "o"), "float", 6))
        assert made is not None
    s.pending.clear()
    grow(
        s,
        s.pick([0, 1, 2]),
        ("let", "let", "linear", "norm", "if", "loop", "scan", "param", "bank", "call"),
    )
    from_x = _depend(s.lines, "x")
    wanted = takes if arrow is None else tuple("o" if a == axis else a for a in takes)
    results: list[tuple[str, tuple[str, ...]]] = []
    for _ in range(1 if arrow is not None else s.pick([1, 1, 2])):
        fit = [
            v
            for v in s.values
            if v.kind == "float" and (arrow is None or axis not in v.axes) and v.text in from_x
        ]
        value = s.fitted(s.pick(fit[::-1]), wanted)
        results.append((value.text, wanted if len(results) == 0 or s.often() else value.axes))
    shown = ", ".join(f"[{', '.join(axes)}]" for _, axes in results)
    brackets = f"[{', '.join(header)}]" if header else ""
    given = ", ".join([f"x[{', '.join(takes)}]", *options])
    lines = [f"block {name}{brackets}({given}) -> {shown}:", *s.lines]
    lines.append(f"    return {', '.join(text for text, _ in results)}\n")
    return "\n".join(lines), Routine(name, takes, tuple(axes for _, axes in results), arrow)


def _depend(lines: list[str], name: str) -> set[str]:
    """The names whose values come from that one: what rides on it rides on them."""
    found = {name}
    for line in lines:
        targets, equals, value = line.partition(" = ")
        if equals and not targets.lstrip().startswith("param"):
            here = bool(found & set(re.findall(r"\w+", value)))
            for target in targets.replace("carry", "").split(","):
                (found.add if here else found.discard)(re.sub(r"\[.*", "", target).strip())
    return found
