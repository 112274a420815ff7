"""Expressions of drawn specs: a rule each, which gives nothing where nothing fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..dsl import sizes
from .suites import LARGEST, Suite, Term

if TYPE_CHECKING:
    from collections.abc import Callable


def expression(s: Suite, depth: int = 2) -> Term | None:
    """One drawn expression; those of depth 2 have others as operands."""
    rules = [*RULES, *BASIC * 2]
    made = RULES[s.pick(rules)](s)
    if made is None or depth <= 1 or s.often():
        return made
    return _over(s, made, depth)


def _over(s: Suite, x: Term, depth: int) -> Term:
    """A pointwise function of an expression."""
    if x.kind != "float" or depth <= 1:
        return x
    fn = s.pick("tanh sigmoid softplus abs gelu silu sin")
    return Term(f"{fn}({x.text})", x.axes, "float", x.bound + 1)


def call(fn: str, x: Term, bound: float, exact: bool = False) -> Term:
    """A pointwise function of one value."""
    return Term(f"{fn}({x.text})", x.axes, "float", bound, exact)


def _unary(s: Suite) -> Term | None:
    x = s.term("float", "int")
    if x is None:
        return None
    fn = s.pick(
        "tanh sigmoid sin cos erf softplus log_sigmoid exp log1p sqrt rsqrt square relu gelu silu softsign"
    )
    match fn:
        case "exp":
            return call(fn, x, 20) if x.bound <= 3 else call(fn, call("tanh", x, 1), 3)
        case "log1p" | "sqrt" | "rsqrt":
            inside = f"abs({x.text})" if fn == "log1p" else f"abs({x.text}) + 1"
            return Term(f"{fn}({inside})", x.axes, "float", x.bound + 1)
        case "square":
            return Term(f"{x.atom} ^ 2", x.axes, x.kind, x.bound**2, x.exact, loose=True)
        case "relu":
            return call(fn, x, x.bound, x.exact) if x.kind == "float" else None
        case "tanh" | "sigmoid" | "sin" | "cos" | "erf":
            return call(fn, x, 1)
    return call(fn, x, x.bound + 1) if x.kind == "float" else None


def _linear_change(s: Suite) -> Term | None:
    x = s.term()
    if x is None:
        return None
    number = s.pick(["0.5", "2", "-1", *s.numbers])
    match s.pick("scale neg plus one over abs clip"):
        case "scale":
            return Term(f"{number} * {x.atom}", x.axes, "float", x.bound * 3, x.exact, loose=True)
        case "neg":
            return Term(f"-{x.atom}", x.axes, "float", x.bound, x.exact, loose=True)
        case "plus":
            return Term(f"{x.atom} + {number}", x.axes, "float", x.bound + 3, x.exact, loose=True)
        case "one":
            return Term(f"1 - {x.atom}", x.axes, "float", x.bound + 1, x.exact, loose=True)
        case "over":
            free = s.free(x)
            over = f"({number} + 4)" if s.often() or not free else f"|{s.pick(free)}|"
            return Term(f"{x.atom} / {over}", x.axes, "float", x.bound, loose=True)
        case "abs":
            return call("abs", x, x.bound, x.exact)
    return Term(f"clip({x.text}, -1, 1.5)", x.axes, "float", 1.5, x.exact)


def _binary(s: Suite) -> Term | None:
    x = s.term("float", "float", "int")
    y = s.term("float", "int", near=x)
    if x is None or y is None:
        return None
    axes = tuple(dict.fromkeys([*x.axes, *y.axes]))
    kind = "int" if x.kind == y.kind == "int" else "float"
    exact = x.exact and y.exact
    match s.pick("+ + - * * / max min"):
        case "/":
            return Term(f"{x.atom} / (1 + abs({y.text}))", axes, "float", x.bound, loose=True)
        case "*":
            return Term(f"{x.atom} * {y.atom}", axes, kind, x.bound * y.bound, exact, loose=True)
        case "max" | "min" as fn:
            return Term(f"{fn}({x.text}, {y.text})", axes, kind, max(x.bound, y.bound), exact)
        case op:
            return Term(f"{x.atom} {op} {y.atom}", axes, kind, x.bound + y.bound, exact, loose=True)


def condition(s: Suite) -> Term | None:
    """A truth about values that are exact."""
    match s.pick("number number values index member bool and"):
        case "number":
            x = s.term("float", "int", exact=True)
            return x and Term(
                f"{x.atom} {s.pick('> >= < != ==')} {s.pick(['0', '1', '0.5'])}",
                x.axes,
                "bool",
                1,
                True,
                True,
            )
        case "values":
            x = s.term("float", "int", exact=True)
            y = s.term("float", "int", exact=True, near=x)
            if x is None or y is None:
                return None
            axes = tuple(dict.fromkeys([*x.axes, *y.axes]))
            return Term(f"{x.atom} {s.pick('> <= ==')} {y.atom}", axes, "bool", 1, True, True)
        case "index":
            pairs = [
                (a, c) for a in s.sizes for c in s.sizes if a != c and s.sizes[a] == s.sizes[c]
            ]
            pairs = [(a, c) for a, c in pairs if "b" not in (a, c) and not {a, c} & set(s.steps)]
            if not pairs:
                return None
            a, c = s.pick(pairs)
            return Term(f"{a} {s.pick('<= == !=')} {c}", (a, c), "bool", 1, True, True)
        case "member":
            x = s.term("int", exact=True)
            return x and Term(f"{x.atom} in {{0, 2}}", x.axes, "bool", 1, True, True)
        case "bool":
            x = s.term("bool")
            return x and Term(s.pick([x.atom, f"not {x.atom}"]), x.axes, "bool", 1, True, True)
    x, y = s.term("bool"), s.term("bool")
    if x is None or y is None:
        return None
    axes = tuple(dict.fromkeys([*x.axes, *y.axes]))
    return Term(f"{x.atom} {s.pick('and or')} {y.atom}", axes, "bool", 1, True, True)


def _where(s: Suite) -> Term | None:
    test = condition(s)
    x = s.term("float", "int")
    if test is None or x is None:
        return None
    y = s.term(x.kind, near=x) if s.often() else None
    other = y or Term(
        s.pick(["0", "1"] if x.kind == "int" else ["0", "1", "-0.5"]), (), x.kind, 1, True
    )
    axes = tuple(dict.fromkeys([*test.axes, *x.axes, *other.axes]))
    parts = [x.text, other.text] if s.often() else [other.text, x.text]
    bound, exact = max(x.bound, other.bound), x.exact and other.exact
    return Term(f"where({test.text}, {', '.join(parts)})", axes, x.kind, bound, exact)


def _truth(s: Suite) -> Term | None:
    x = condition(s)
    if x is None:
        return None
    found: Term = s.pick([x, Term(f"float({x.text})", x.axes, "float", 1, True)])
    return found


def _reduce(s: Suite) -> Term | None:
    x = s.term("float", "float", "int", "bool", axes=1)
    axes = s.some(s.free(x), 1) if x else []
    if x is None or not axes:
        return None
    fn = s.pick("sum sum mean mean max min var norm logsumexp prod quantile argmax any")
    count, rest = s.elements(axes), tuple(a for a in x.axes if a not in axes)
    text, bound, kind = f"{fn}[{', '.join(axes)}]({x.text})", x.bound * count, "float"
    match fn:
        case "quantile":
            if set(axes) & s.block.ragged or x.kind == "bool":
                return None
            text = text[:-1] + ", 0.5)"
            bound = x.bound
        case "argmax":
            if len(axes) > 1 or not x.exact or x.kind == "bool":
                return None
            return Term(text, rest, "int", count, True)
        case "any":
            if not x.exact:
                return None
            return Term(s.pick([text, text.replace("any", "all", 1)]), rest, "bool", 1, True)
        case "sum" | "prod":
            kind = "float" if x.kind == "float" else "int"
            bound = bound if fn == "sum" else max(x.bound, 1) ** count
        case "max" | "min":
            kind, bound = x.kind, x.bound
        case "mean":
            bound = x.bound
        case "var":
            bound = x.bound**2
    if x.kind == "bool" and fn not in ("sum", "mean"):
        return None
    exact = x.exact and fn in ("sum", "max", "min")
    return Term(text, rest, kind, bound, exact) if bound <= 1e4 else None


def _dot(s: Suite) -> Term | None:
    x = s.term()
    y = s.term(near=x)
    if x is None or y is None:
        return None
    axes = tuple(dict.fromkeys([*x.axes, *y.axes]))
    gone = s.some([a for a in axes if a != "b" or s.block.together], 1)
    if not gone:
        return None
    rest = tuple(a for a in axes if a not in gone)
    bound = x.bound * y.bound * s.elements(gone)
    return Term(f"dot[{', '.join(gone)}]({x.text}, {y.text})", rest, "float", bound)


def _rename(s: Suite) -> Term | None:
    x = s.term("float", "float", "int", "bool", axes=1)
    free = s.free(x) if x else []
    if x is None or not free:
        return None
    axis = s.pick(free)
    new = s.twin(axis, x)
    axes = tuple(new if a == axis else a for a in x.axes)
    return Term(f"{x.atom}[{axis} -> {new}]", axes, x.kind, x.bound, x.exact)


def _regroup(s: Suite) -> Term | None:
    """Merged or split axes."""
    x = s.term("float", "int", axes=1)
    if x is None:
        return None
    free = [a for a in s.free(x) if a not in s.block.ragged]
    if len(free) > 1 and s.often():
        old = s.some(free, 2)
        size = sizes.product(s.sizes[a] for a in old)
        new = s.new_axis(size, fixed=all(a in s.fixed for a in old))
        axes = (*(a for a in x.axes if a not in old), new)
        return Term(f"{x.atom}[({', '.join(old)}) -> {new}]", axes, x.kind, x.bound, x.exact)
    pairs = [
        (a, g)
        for a in free
        for g in s.sizes
        if (whole := s.static(a))
        and (part := s.static(g))
        and whole % part == 0
        and g not in x.axes
        and g not in s.steps
    ]
    if not pairs:
        return None
    axis, group = s.pick(pairs)
    new = s.new_axis(sizes.floor_divide(s.sizes[axis], s.static(group) or 1))
    split = (group, new) if s.often() else (new, group)
    axes = (*(a for a in x.axes if a != axis), *split)
    return Term(f"{x.atom}[{axis} -> ({', '.join(split)})]", axes, x.kind, x.bound, x.exact)


def _part(s: Suite) -> Term | None:
    """One position, or a stretch, which gets another name."""
    x = s.term("float", "float", "int", axes=1)
    free = s.free(x) if x else []
    if x is None or not free:
        return None
    axis = s.pick(free)
    size = s.static(axis)
    rest = tuple(a for a in x.axes if a != axis)
    if s.often():
        at = s.pick([0, -1] if size is None else [0, -1, size - 1])
        return Term(f"{x.atom}[{axis} = {at}]", rest, x.kind, x.bound, x.exact)
    stretches = [("..1", 1), ("-1..", 1)]
    if size is not None and size > 1:
        stretches += [("1..", size - 1), ("0..-1", size - 1)]
    text, left = s.pick(stretches)
    new = s.new_axis(left)
    return Term(
        f"{x.atom}[{axis} = {text}][{axis} -> {new}]", (*rest, new), x.kind, x.bound, x.exact
    )


def _gather(s: Suite) -> Term | None:
    x = s.term("float", "float", "int", axes=1)
    free = s.free(x) if x else []
    if x is None or not free:
        return None
    axis = s.pick(free)
    rest = tuple(a for a in x.axes if a != axis)
    if s.often():
        return Term(
            f"{x.atom}[{axis} = ({axis} + {s.pick([1, 2])}) % |{axis}|]",
            (*rest, axis),
            x.kind,
            x.bound,
            x.exact,
        )
    at = s.term("int", exact=True)
    if at is None or (axis in at.axes and axis in s.steps):
        return None
    index = s.pick([f"{at.atom} % |{axis}|", f"{at.text} else 0"])
    if index.endswith("else 0") and at.name is None:
        return None  # an expression of axes would be a window
    axes = (*rest, *(a for a in at.axes if a not in rest))
    return Term(f"{x.atom}[{axis} = {index}]", axes, x.kind, x.bound, x.exact)


def _window(s: Suite) -> Term | None:
    """Windows reduced over the axis of their taps."""
    x = s.term("float", axes=1)
    taps = [
        a
        for a in s.sizes
        if (s.static(a) or 9) in (2, 3) and x and a not in x.axes and a not in s.steps
    ]
    free = [a for a in s.free(x) if a not in s.steps] if x else []
    if x is None or not free or not taps:
        return None
    axis, tap = s.pick(free), s.pick(taps)
    fn, offset = s.pick("sum mean max min"), s.pick(["", " - 1"])
    bound = x.bound * 3 if fn == "sum" else x.bound
    if s.often():
        return Term(
            f"{fn}[{tap}]({x.atom}[{axis} = {axis} + {tap}{offset}])", x.axes, "float", bound
        )
    new = s.new_axis(
        sizes.ceil_divide(s.sizes[axis], 2), fixed=axis in s.fixed and s.static(axis) is not None
    )
    axes = tuple(new if a == axis else a for a in x.axes)
    return Term(
        f"{fn}[{tap}]({x.atom}[{axis} = 2 * {axis} + {tap}{offset}])[{axis} -> {new}]",
        axes,
        "float",
        bound,
    )


def _along(s: Suite) -> Term | None:
    x = s.term("float", "float", "int", axes=1)
    free = s.free(x) if x else []
    if x is None or not free:
        return None
    axis = s.pick(free)
    fn = s.pick("softmax softmax log_softmax cumsum sort flip cummax shift rank argsort")
    kind, exact, bound = x.kind, x.exact, x.bound
    match fn:
        case "softmax" | "log_softmax":
            axes = s.some(free, 1)
            bound = 1 if fn == "softmax" else 2 * x.bound + 3
            return Term(f"{fn}[{', '.join(axes)}]({x.text})", x.axes, "float", bound)
        case "cumsum":
            bound = x.bound * s.elements([axis])
        case "shift":
            return Term(
                f"shift[{axis}]({x.text}, {s.pick([1, 2, -1])})", x.axes, kind, bound, exact
            )
        case "rank" | "argsort":
            if not x.exact:
                return None
            kind, bound = "int", s.elements([axis])
    return Term(f"{fn}[{axis}]({x.text})", x.axes, kind, bound, exact)


def _index(s: Suite) -> Term | None:
    """An axis as a value."""
    axes = [a for a in s.sizes if a != "b"]
    if not axes:
        return None
    axis = s.pick(axes)
    own = () if axis in s.steps else (axis,)
    if s.often():
        return Term(axis, own, "int", 8, True)
    return Term(f"{axis} / |{axis}|", own, "float", 1, loose=True)


def _join(s: Suite) -> Term | None:
    x = s.term(axes=1)
    y = s.term(near=x)
    if x is None or y is None:
        return None
    bound, exact = max(x.bound, y.bound), x.exact and y.exact
    axes = tuple(dict.fromkeys([*x.axes, *y.axes]))
    both = [a for a in s.free(x) if a in y.axes and a not in s.block.ragged]
    if both and s.often():
        axis = s.pick(both)
        new = s.new_axis(sizes.multiply(2, s.sizes[axis]), fixed=axis in s.fixed)
        axes = tuple(new if a == axis else a for a in axes)
        return Term(
            f"concat[{axis}]({x.text}, {y.text})[{axis} -> {new}]", axes, "float", bound, exact
        )
    new = s.new_axis(2)
    return Term(f"stack[{new}]({x.text}, {y.text})", (*axes, new), "float", bound, exact)


def _stop(s: Suite) -> Term | None:
    x = s.term()
    return x and call("stop", x, x.bound, x.exact)


def _mixed(s: Suite) -> Term | None:
    """A weighted mean over an axis, as attention has it."""
    x = s.term(axes=2)
    free = s.free(x) if x else []
    if x is None or not free or x.bound > LARGEST:
        return None
    axis = s.pick(free)
    rest = tuple(a for a in x.axes if a != axis)
    return Term(f"dot[{axis}](softmax[{axis}]({x.text}), {x.text})", rest, "float", x.bound)


RULES: dict[str, Callable[[Suite], Term | None]] = {
    "unary": _unary,
    "linear": _linear_change,
    "binary": _binary,
    "where": _where,
    "truth": _truth,
    "reduce": _reduce,
    "dot": _dot,
    "rename": _rename,
    "regroup": _regroup,
    "part": _part,
    "gather": _gather,
    "window": _window,
    "along": _along,
    "index": _index,
    "join": _join,
    "stop": _stop,
    "mixed": _mixed,
}
BASIC = ("unary", "linear", "binary", "where", "reduce", "dot")
