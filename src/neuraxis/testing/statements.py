"""Statements of drawn specs: a rule each, which writes nothing where nothing fits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .expressions import call, expression
from .suites import Suite, Term

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL = 8.0  # about the largest number that a turn or a step may add


def grow(s: Suite, count: int, kinds: tuple[str, ...]) -> None:
    """Write about so many statements."""
    for _ in range(count):
        RULES[s.pick(kinds)](s)
        s.forget()


def _let(s: Suite) -> None:
    s.let(expression(s))


def _tame(s: Suite, x: Term) -> Term:
    """A value that may be added again and again."""
    return x if x.bound <= SMALL and x.kind == "float" else call("tanh", x, 1)


# ---- parameters and blocks of the standard library


def _param(s: Suite) -> None:
    axes = s.some([a for a in s.sizes if a in s.fixed], 1, 2)
    if not axes:
        return
    name = s.block.name("w")
    kind = s.pick(["param", "param", "fixed"])
    init = s.pick(["~ normal(0, 1)", "~ uniform(-1, 1)", "= 0.5", "~ normal(0, 1)"])
    if len(axes) == 2 and s.often():
        init = f"= where({axes[0]} == {axes[1]}, 1, 0.25)"
    s.line(f"{kind} {name}[{', '.join(axes)}] {init}")
    s.values.append(Term(name, (*axes, *(a for a in s.banks if a not in axes)), "float", 3))


def _table(s: Suite) -> None:
    """Learned rows, one for each index."""
    at = s.term("int", exact=True)
    sized = [a for a in s.sizes if a in s.fixed and at and a not in at.axes and a not in s.steps]
    if at is None or at.name is None or len(sized) < 2:
        return
    row, column = s.some(sized, 2)
    s.let(
        Term(
            f"embed[{row} -> {column}]({at.text} % |{row}|, scale = 1.0)",
            (*at.axes, column),
            "float",
            3,
        )
    )


def linear(s: Suite, x: Term) -> Term | None:
    """A map of some axes to others."""
    old = s.some(s.known(x), 1)
    if not old:
        return None
    rest = tuple(a for a in x.axes if a not in old)
    new, shown = [], []
    for _ in range(s.pick([1, 1, 2])):
        ready = [
            a
            for a in s.sizes
            if a in s.fixed and a not in rest and a not in new and a not in s.steps
        ]
        if ready and s.often():
            axis = s.pick(ready)
            shown.append(axis)
        else:
            size = s.pick([2, 3])
            axis = s.new_axis(size)
            shown.append(f"{axis} = {size}")
        new.append(axis)
    options = s.pick(["", "", ", bias = false", ", scale = 0.5"])
    return Term(
        f"linear[{', '.join(old)} -> {', '.join(shown)}]({x.text}{options})",
        (*rest, *new),
        "float",
        3 * x.bound,
    )


def _linear(s: Suite) -> None:
    x = s.term(axes=1)
    made = linear(s, x) if x else None
    if made is not None and s.often():
        fn = s.pick("tanh gelu silu relu softsign")
        made = call(fn, made, made.bound)
    s.let(made)


def _norm(s: Suite) -> None:
    x = s.term(axes=1)
    axes = s.some(s.known(x), 1) if x else []
    if x is not None and axes:
        fn = s.pick("layernorm rmsnorm l2norm")
        s.let(Term(f"{fn}[{', '.join(axes)}]({x.text})", x.axes, "float", 4))


def _layer(s: Suite) -> None:
    """A block of the standard library that wants an axis `d`."""
    x = s.term(axes=1)
    known = s.known(x) if x else []
    if x is None or not known:
        return
    axis = s.pick(known)
    bound = "" if axis == "d" else f"d = {axis}, "
    if "d" in x.axes and axis != "d":
        return
    fn = s.pick("mlp mlp glu")
    s.let(Term(f"{fn}[{bound}m = {s.pick([2, 3])}]({x.text})", x.axes, "float", 9))


def _sequence(s: Suite) -> None:
    """A block of the standard library along `t` that keeps `d`."""
    x = s.term(axis="t")
    if x is None or "d" not in x.axes or "d" not in s.fixed or "t" in s.steps:
        return
    text = s.pick([
        "causal_attention[h = 2, k = 2]", "attention[h = 1, k = 3]", "window_attention[h = 2, k = 1]",
        "scored_attention[h = 2, k = 2]", "linear_attention[h = 1, k = 2, v = 2]", "gla[h = 2, k = 2, v = 2, r = 2]",
        "gated_delta[h = 1, k = 2, v = 2]", "retention[h = 2, k = 2, v = 2]", "shortconv[t, d]", "rnn", "gru", "lstm",
    ])  # fmt: skip
    option = ", window = 2" if text.startswith("window") else ""
    if text in ("rnn", "gru", "lstm"):
        axis = s.new_axis(2)
        rest = tuple(a for a in x.axes if a != "d")
        if "n" in s.block.taken - {axis}:
            return
        s.let(Term(f"{text}[n = 2]({x.text})[n -> {axis}]", (*rest, axis), "float", 1))
        return
    s.let(Term(f"{text}({x.text}{option})", x.axes, "float", 9))


def _attention(s: Suite) -> None:
    """Attention as a spec writes it out."""
    x = s.term(axis="t")
    known = [a for a in s.known(x) if a != "t"] if x else []
    if x is None or not known or "t" in s.steps or len(x.axes) > 3:
        return
    d, twin = s.pick(known), s.new_axis(s.sizes["t"])
    h, k = s.new_axis(2), s.new_axis(2)
    rest = tuple(a for a in x.axes if a not in (d, "t"))
    q, key, v = (
        s.let(Term(f"linear[{d} -> {h} = 2, {k} = 2]({x.text})", (*rest, "t", h, k), "float", 3))
        for _ in range(3)
    )
    if q is None or key is None or v is None:
        return
    raw = f"dot[{k}]({q.text}, {key.text}[t -> {twin}]) / sqrt(|{k}|)"
    scores = s.let(Term(raw, (*rest, "t", twin, h), "float", 9))
    if scores is None:
        return
    seen = s.pick([f"where({twin} <= t, {scores.text}, -inf)", scores.text])
    pattern = s.let(Term(f"softmax[{twin}]({seen})", scores.axes, "float", 1))
    if pattern is None:
        return
    z = s.let(
        Term(f"dot[{twin}]({pattern.text}, {v.text}[t -> {twin}])", (*rest, "t", h, k), "float", 3)
    )
    if z is not None:
        s.let(Term(f"linear[{h}, {k} -> {d}]({z.text})", (*rest, "t", d), "float", 9))


# ---- blocks of the file


def _call(s: Suite) -> None:
    if not s.block.routines:
        return
    routine = s.pick(s.block.routines)
    if routine.pack:
        x = s.term(axes=1)
        axes = s.some(s.known(x), 1) if x else []
        if x is not None and axes:
            s.let(
                Term(f"{routine.name}[{', '.join(axes)}]({x.text})", x.axes, "float", 2 * x.bound)
            )
        return
    fit = [
        v
        for v in s.values
        if v.kind == "float"
        and set(routine.takes) <= set(v.axes)
        and not set(routine.takes) & set(s.steps)
        and all(a == "t" or a in s.fixed for a in routine.takes)
    ]
    if not fit:
        return
    x = s.pick(fit)
    rest = tuple(a for a in x.axes if a not in routine.takes)
    if routine.arrow is not None:
        size = s.pick([2, 3])
        old, _ = routine.arrow
        new = s.new_axis(size)
        axes_ = tuple(new if a == routine.arrow[1] else a for a in routine.gives[0])
        s.let(
            Term(f"{routine.name}[{old} -> {new} = {size}]({x.text})", (*rest, *axes_), "float", 9)
        )
        return
    names = [s.block.name() for _ in routine.gives]
    s.line(f"{', '.join(names)} = {routine.name}({x.text})")
    for name, gives in zip(names, routine.gives, strict=True):
        s.values.append(Term(name, (*rest, *gives), "float", 9, name=name))


def _shared(s: Suite) -> None:
    """One parameter set called twice."""
    x = s.term(axes=1)
    known = s.known(x) if x else []
    if x is None or not known or s.steps:
        return
    axis, name = s.pick(known), s.block.name("f")
    s.line(f"share {name} = linear[{axis} -> {axis}]")
    made = s.let(Term(f"tanh({name}({x.text}))", x.axes, "float", 1))
    if made is not None and s.often():
        s.let(Term(f"{name}({made.text})", x.axes, "float", 4))


# ---- turns


def _loop(s: Suite) -> None:
    x = _carriable(s)
    if x is None or s.depth > 3:
        return
    kind, name = s.pick(["repeat", "repeat", "share"]), s.block.name(s.pick(["layer", "turn"]))
    count = s.pick(["2", "2", "1", "3", *(n for n in s.numbers if n == "L")])
    old = replace(x, bound=x.bound + 3 * SMALL, exact=False)
    inner = s.inner(
        numbers=(*s.numbers, name), values=[old if v.name == x.name else v for v in s.values]
    )
    grow(inner, s.pick([0, 1, 2]), INSIDE)
    made = inner.term(near=x) or old
    if not s.block.together and "b" in made.axes and "b" not in x.axes:
        made = old
    if s.often():
        made = _mapped(inner, x, made)
    step = _tame(inner, inner.fitted(made, x.axes))
    change = s.pick(
        [
            f"{x.text} + {step.atom}",
            f"{x.text} + {step.atom} / ({name} + 1)",
            f"0.5 * {x.text} + {step.atom}",
        ]
    )
    inner.line(f"{x.text} = {change}")
    s.line(f"{kind} {name} * {count}:")
    s.lines += inner.lines
    s.values = [old if v.name == x.name else v for v in s.values]


def _carriable(s: Suite) -> Term | None:
    """A value of this suite that a loop may assign again; in a scan those of the scan only."""
    fit = [
        v for v in s.values if v.name is not None and v.kind == "float" and v.axes and v.bound < 20
    ]
    return s.pick(fit[::-1]) if fit and not s.steps else None


def _mapped(s: Suite, x: Term, made: Term) -> Term:
    """With parameters of the turn's own."""
    axes = [a for a in s.known(made) if a in x.axes]
    if not axes:
        return made
    axis = s.pick(axes)
    text = f"tanh(linear[{axis} -> {axis}]({made.text}))"
    return Term(text, made.axes, "float", 1)


def _bank(s: Suite) -> None:
    x = s.term()
    if x is None or s.depth > 2 or len(x.axes) >= s.most:
        return
    size = s.pick([2, 3])
    axis = s.new_axis(size)
    inner = s.inner(banks=(*s.banks, axis))
    inner.values = [v for v in s.values if v.kind == "float"]
    count = len(inner.values)
    grow(inner, s.pick([1, 2]), ("linear", "let", "param", "norm"))
    made = inner.values[count:]
    if not made:
        return
    s.line(f"bank {axis} * {size}:")
    s.lines += inner.lines
    s.sizes.update(inner.sizes)
    s.fixed |= inner.fixed
    s.values += [replace(v, name=None) for v in made]


def _if(s: Suite) -> None:
    x = s.term(axes=1)
    if x is None:
        return
    tests = [f"{n} {s.pick(['>', '=='])} {s.pick([0, 1, 2])}" for n in s.numbers]
    tests += [*s.truths, *(f"not {t}" for t in s.truths), "training"]
    tests += [f"|{a}| {s.pick(['>', '<', '=='])} {s.pick([2, 3])}" for a in s.fixed if a in s.sizes]
    known = s.known(x)
    ways = [f"tanh({x.text})", f"0.5 * {x.atom}", f"max({x.text}, 0)"]
    if known:
        axis = s.pick(known)
        layers = [f"linear[{axis} -> {axis}]({x.text})", f"rmsnorm[{axis}]({x.text})"]
        ways += [s.pick(layers)] if s.numbers else layers  # shared turns have one set of weights
    name = s.block.name()
    cases = ["if", "else"] if s.often() else ["if", "elif", "else"]
    for case in cases:
        s.line(f"{case} {s.pick(tests)}:" if case != "else" else "else:")
        s.lines.append("    " * (s.depth + 1) + f"{name} = {s.pick(ways)}")
    s.values.append(Term(name, x.axes, "float", max(3 * x.bound, 4), name=name))


# ---- recurrences


def _scan(s: Suite) -> None:
    """Along an axis that is there: what has the axis is taken at the present step."""
    axes = [a for v in s.values for a in v.axes if a != "b" and v.kind == "float"]
    if not axes or len(s.steps) > 1 or s.depth > 3:
        return
    axis = s.pick(["t", *axes] if "t" in axes else axes)
    here = [replace(v, axes=tuple(a for a in v.axes if a != axis), name=None) for v in s.values]
    _run(s, axis, f"scan {axis}{s.pick(['', '', ' reversed'])}:", here)


def _free(s: Suite) -> None:
    """For a number of steps along a new axis."""
    if len(s.steps) > 1 or s.depth > 3 or not s.term(axes=1):
        return
    count = s.pick([2, 3, 4])
    axis = s.new_axis(count)
    _run(s, axis, f"scan {axis} * {count}:", [replace(v, name=None) for v in s.values])


def _run(s: Suite, axis: str, head: str, here: list[Term]) -> None:
    inner = s.inner(steps=(*s.steps, axis), values=here)
    inner.fixed.discard(axis)
    ready = len(here)
    grow(inner, s.pick([0, 0, 1]), INSIDE)
    before, inner.lines = inner.lines, []
    carries = [
        made for _ in range(s.pick([1, 1, 2])) if (made := _carry(s, inner, axis)) is not None
    ]
    if not carries:
        return
    heads = [line for line, _, _ in carries]
    for _, name, new in carries:
        inner.line(f"{name} = {new.text}")
        inner.values.append(Term(name, new.axes, "float", SMALL))
    grow(inner, s.pick([0, 1, 1]), ("let",))
    s.line(head)
    s.lines += [*heads, *before, *inner.lines]
    for name, size in inner.sizes.items():
        s.sizes.setdefault(name, size)
    s.fixed |= inner.fixed - s.fixed
    s.values += [
        replace(v, axes=(axis, *v.axes), name=v.text, exact=False)
        for v in inner.values[ready:]
        if v.text.isidentifier() and not v.text.startswith("w")
    ]


def _carry(s: Suite, inner: Suite, axis: str) -> tuple[str, str, Term] | None:
    """The line of a carry, its name, and its next value, which does not run away."""
    drive = inner.term()
    if drive is None or len(drive.axes) > 2 + ("b" in drive.axes):
        return None
    starts = [
        v
        for v in s.values
        if v.kind == "float" and axis not in v.axes and set(v.axes) <= set(drive.axes) and v.name
    ]
    name = inner.block.name("S")
    start = (
        s.pick(starts)
        if starts and s.often() and s.pick([True, False])
        else Term(s.pick(["0", "0", "0.5"]), ())
    )
    outside = [a for a in drive.axes if a in s.sizes]  # others are made in the scan
    written = s.some([a for a in outside if a not in start.axes], 0, 2)
    drive = drive if drive.bound <= 4 else call("tanh", drive, 1)
    axes = tuple(dict.fromkeys([*written, *start.axes, *drive.axes]))
    shown = f"[{', '.join(written)}]" if written else ""
    line = f"carry {name}{shown} = {start.text}"
    known = [
        a for a in (*written, *start.axes) if a in inner.fixed and a not in inner.steps and a != "b"
    ]
    ways = ["decay", "gate", "tanh", "max", *(["map", "delta"] if known else [])]
    match s.pick(ways):
        case "decay":
            new = f"{s.pick(['0.5', '0.9', '-0.5'])} * {name} + {drive.atom}"
        case "gate":
            new = f"sigmoid({drive.text}) * {name} + (1 - sigmoid({drive.text})) * {drive.atom}"
        case "tanh":
            new = f"tanh({name} + {drive.atom})"
        case "max":
            new = f"max({name}, {drive.text})"
        case "delta":
            k = s.pick(known)
            new = (
                f"{name} - 0.5 * tanh({drive.text}) * mean[{k}](tanh({drive.text}) * {name})"
                if k in drive.axes
                else f"0.5 * {name} + {drive.atom}"
            )
        case _:
            k = s.pick(known)
            new = f"tanh(linear[{k} -> {k}]({name}) + {drive.atom})"
    return "    " * (s.depth + 1) + line, name, Term(new, axes, "float", SMALL)


INSIDE = ("let", "let", "linear", "norm", "if", "param", "loop", "scan")
EVERYTHING = (
    *("let",) * 6, *("linear",) * 3, "norm", "layer", "sequence", "sequence", "attention", "param", "param", "table",
    "call", "call", "shared", "loop", "loop", "bank", "if", "scan", "scan", "free",
)  # fmt: skip
RULES: dict[str, Callable[[Suite], None]] = {
    "let": _let,
    "param": _param,
    "table": _table,
    "linear": _linear,
    "norm": _norm,
    "layer": _layer,
    "sequence": _sequence,
    "attention": _attention,
    "call": _call,
    "shared": _shared,
    "loop": _loop,
    "bank": _bank,
    "if": _if,
    "scan": _scan,
    "free": _free,
}
