"""The canonical form: it says the same, and it is its own canonical form."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neuraxis.dsl import syntax as s
from neuraxis.dsl.diagnostics import Collector, SpecError, render
from neuraxis.dsl.expression_text import LEVELS
from neuraxis.dsl.format import format_spec
from neuraxis.dsl.layout import WIDTH
from neuraxis.dsl.parser import parse
from neuraxis.dsl.source import Source

GOOD = sorted((Path(__file__).parent / "good").glob("*.nax"))
TEXTS = [path.read_text(encoding="utf-8") for path in GOOD]


def read(text: str) -> s.Spec:
    """The tree of a text that has no mistakes."""
    collector = Collector()
    spec = parse(Source("spec.nax", text), collector)
    assert spec is not None, render(collector.diagnostics) + "\n" + text
    return spec


def formatted(text: str) -> str:
    """The canonical form, which keeps the laws."""
    made = format_spec(Source("spec.nax", text))
    assert read(made) == read(text)
    assert format_spec(Source("spec.nax", made)) == made
    assert comments(made) == comments(text)
    return made


def comments(text: str) -> list[str]:
    """All comments of a text in which no other `#` stands."""
    return [line[line.index("#") :].strip() for line in text.splitlines() if "#" in line]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_examples_change_only_where_they_are_too_wide(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    kept = set(formatted(text).splitlines())
    changed = [line for line in text.splitlines() if line not in kept and " = patch " not in line]
    assert [line for line in changed if len(line) <= WIDTH] == []


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("((x))", "x"),
        ("(x+y)*z", "(x + y) * z"),
        ("x+(y*z)", "x + y * z"),
        ("x-(y-z)", "x - (y - z)"),
        ("(x-y)-z", "x - y - z"),
        ("x*(y/z)", "x * (y / z)"),
        ("(x^y)^z", "(x ^ y) ^ z"),
        ("x^(y^z)", "x ^ y ^ z"),
        ("(-x)^2", "(-x) ^ 2"),
        ("-(x^2)", "-x ^ 2"),
        ("-(x+y)", "-(x + y)"),
        ("- - x", "--x"),
        ("(-x)*y", "-x * y"),
        ("x*(-y)", "x * -y"),
        ("(x<y)==z", "(x < y) == z"),
        ("not(x and y)", "not (x and y)"),
        ("(not x)and y", "not x and y"),
        ("(x or y)and z", "(x or y) and z"),
        ("x or(y or z)", "x or (y or z)"),
        ("(x in {1,2})", "x in {1, 2}"),
        ("(x+y)[t=1]", "(x + y)[t = 1]"),
        ("(f(x)).y", "f(x).y"),
        ("(-x).y", "(-x).y"),
        ("(x,y,)", "(x, y)"),
        ("f(x,a=1,)", "f(x, a = 1)"),
        ("f[h->d,t->]", "f[h -> d, t ->]"),
        ("x[->s]", "x[-> s]"),
        ("x[t=1 .. 5,s=..-1,:,*,*i]", "x[t = 1..5, s = ..-1, :, *, *i]"),
        ("x[t=y else 0]", "x[t = y else 0]"),
        ("|k|+|*i|", "|k| + |*i|"),
        ("3e-4+007+1.50", "3e-4 + 007 + 1.50"),
        ('"a\\tb\\"\\\\"', '"a\\tb\\"\\\\"'),
        ('"a\tb"', '"a\\tb"'),
    ],
)
def test_expressions_have_one_form(text: str, canonical: str) -> None:
    assert formatted(f"block f() -> []:\n  return {text}\n") == (
        f"block f() -> []:\n    return {canonical}\n"
    )


def test_what_is_too_wide_is_broken_in_brackets() -> None:
    names = ", ".join(f"parameter_{i} = {i}" for i in range(12))
    text = (
        f"block f({names}) -> [t]:\n"
        f"    y = first(x) * longer_name[h -> d](layernorm[d](x), {names}) + last(x)\n"
        f"    return {' + '.join(f'a_very_long_name_{i} ^ 2' for i in range(6))}\n"
        f"    return f({' + '.join(f'a_very_long_name_{i} ^ 2' for i in range(6))}, 0)\n"
    )
    assert formatted(text) == dedent(
        f"""\
        block f(
            {", ".join(f"parameter_{i} = {i}" for i in range(6))},
            {", ".join(f"parameter_{i} = {i}" for i in range(6, 12))}
        ) -> [t]:
            y = first(x) * longer_name[h -> d](
                layernorm[d](x), {", ".join(f"parameter_{i} = {i}" for i in range(5))},
                {", ".join(f"parameter_{i} = {i}" for i in range(5, 10))},
                parameter_10 = 10, parameter_11 = 11
            ) + last(x)
            return (
                a_very_long_name_0 ^ 2
                + a_very_long_name_1 ^ 2
                + a_very_long_name_2 ^ 2
                + a_very_long_name_3 ^ 2
                + a_very_long_name_4 ^ 2
                + a_very_long_name_5 ^ 2
            )
            return f(
                a_very_long_name_0 ^ 2
                + a_very_long_name_1 ^ 2
                + a_very_long_name_2 ^ 2
                + a_very_long_name_3 ^ 2
                + a_very_long_name_4 ^ 2
                + a_very_long_name_5 ^ 2,
                0
            )
        """
    )


def test_what_cannot_be_narrow_takes_no_longer() -> None:
    deep = "f(a + " * 45 + "x" + ", y)" * 45
    formatted(f"block f() -> []:\n    return {deep}\n")
    wide = " + ".join(f"f{i}(x, {'y' * 100})" for i in range(60))
    formatted(f"block f() -> []:\n    return {wide}\n")


def test_blank_lines() -> None:
    text = """


use a: b
use c: d

use e: f
data x = y
block f() -> []:


    x = y


    y = x

    if x:

        y = z

    else:
        z = y
block g() -> []:
    return x"""
    assert (
        formatted(text)
        == """\
use a: b
use c: d

use e: f

data x = y

block f() -> []:
    x = y

    y = x

    if x:
        y = z

    else:
        z = y

block g() -> []:
    return x
"""
    )


def test_comments_stay_with_what_they_are_about() -> None:
    text = """\
# the file
use a: b# beside
# before
block f(
  x, # why x
  y) -> []: # header
  # first


  # second
  if x:# condition
      y = (z) # step
      # end of the suite
  # before elif
  elif y:
        y = 1
       # shallower
  else: # otherwise
        y = 2
  return y
  # end of the block
# after it

# last"""
    assert (
        formatted(text)
        == """\
# the file
use a: b  # beside

# before
block f(
  x, # why x
  y) -> []:  # header
    # first

    # second
    if x:  # condition
        y = z  # step
        # end of the suite
    # before elif
    elif y:
        y = 1
    # shallower
    else:  # otherwise
        y = 2
    return y
    # end of the block
# after it

# last
"""
    )


def test_documentation() -> None:
    text = '''\
"""  One line. """
block f() -> []:
  """First.

     Second
       third.
  """
  """
    Deeper at first
  than later."""
  """ends "so" """
  return x
'''
    assert (
        formatted(text)
        == '''\
"""One line."""

block f() -> []:
    """First.

    Second
      third.
    """
    """
      Deeper at first
    than later.
    """
    """ends "so" """
    return x
'''
    )


def test_what_is_reserved_is_kept_as_written() -> None:
    text = """\
intervention i on gpt:
  gain   x = 0 # why
  freeze   x
  backward x  along {y} =  grad*2
  keep  x =  0  for decode
  x along {a,
     b}  then {c}  through  d = 1
experiment e:
  run r = y  with x along not {a,
         b}  from z
"""
    assert (
        formatted(text)
        == """\
intervention i on gpt:
    gain x = 0  # why
    freeze x
    backward x along {y} = grad * 2
    keep  x =  0  for decode
    x along {a, b} then {c} through d = 1

experiment e:
    run r = y with x from z along not {a, b}
"""
    )


def test_phases_are_laid_out() -> None:
    text = """\
intervention i on gpt:
  during  decode 3 .. 8 : # why
      x   =  0  # so
      y = 1
  during prefill:x=0
"""
    assert (
        formatted(text)
        == """\
intervention i on gpt:
    during decode 3..8:  # why
        x = 0  # so
        y = 1
    during prefill: x = 0
"""
    )


def test_line_ends_become_plain() -> None:
    assert formatted("\ufeffuse a: b # c  \r\nuse c: d\r\n") == "use a: b  # c\nuse c: d\n"
    assert formatted("") == ""
    assert formatted("\n# only this\n\n") == "# only this\n"


def test_a_mistake_is_raised() -> None:
    with pytest.raises(SpecError, match=r"error.syntax.: there is no `def` here"):
        format_spec(Source("spec.nax", "def f(x):\n"))


# ---- the laws, for texts drawn with the tree that they should give

NAMES = st.sampled_from(["x", "key", "layer", "n'", "data", "for", "S"])
SPACE = st.sampled_from(["", "", " ", "  ", "\n ", " # note\n  "])
Drawn = tuple[str, Any]  # a text that is read as one operand, and its tree


def tight(text: str) -> str:
    """As an operand wherever it stands."""
    return f"({text})"


@st.composite
def atoms(draw: st.DrawFn) -> Drawn:
    """What has no parts."""
    name = draw(NAMES)
    number = draw(st.integers(0, 999))
    real = draw(st.floats(0, 1e20))
    text = draw(st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n#'), max_size=5))
    found: Drawn = draw(
        st.sampled_from(
            [
                (name, s.Name(name)),
                (str(number), s.Number(number)),
                (f"{real:.3f}", s.Number(float(f"{real:.3f}"))),
                (f"{real:.2e}", s.Number(float(f"{real:.2e}"))),
                (f'"{text}"', s.Text(text)),
                ("@last", s.At("last")),
                (f"|{name}|", s.SizeOf(name)),
                (f"|*{name}|", s.SizeOf(name, pack=True)),
            ]
        )
    )
    return found


@st.composite
def items(draw: st.DrawFn, inner: st.SearchStrategy[Drawn]) -> tuple[str, s.Item]:
    """What may stand in brackets."""
    (text, tree), name = draw(inner), draw(NAMES)
    other_text, other = draw(inner)
    space = draw(SPACE)
    made: list[tuple[str, s.Item]] = [
        (text, tree),
        ("*", s.Star()),
        (f"*{name}", s.Star(name)),
        (":", s.Everything()),
        (f"{name}{space}={text}", s.Bind(name, tree)),
        (f"{name}={text}{space} else {other_text}", s.Bind(name, tree, other)),
        (f"{text}{space}..{other_text}", s.Range(tree, other)),
        (f"..{text}", s.Range(None, tree)),
        (f"{text}..", s.Range(tree, None)),
        (f"{text}{space}->{other_text}", s.Arrow(tree, other)),
        (f"->{text}", s.Arrow(None, tree)),
        (f"{text}->", s.Arrow(tree, None)),
    ]
    return draw(st.sampled_from(made))


@st.composite
def compounds(draw: st.DrawFn, inner: st.SearchStrategy[Drawn]) -> Drawn:
    """What is made of parts; every part stands in parentheses, needed or not."""
    (left_text, left), (right_text, right) = draw(inner), draw(inner)
    space, name = draw(SPACE), draw(NAMES)
    op = draw(st.sampled_from(sorted(LEVELS)))
    sign = draw(st.sampled_from(["-", "+", "not"]))
    listed = draw(st.lists(inner, min_size=2, max_size=4))
    texts = f"{space},".join(text for text, _ in listed)
    trees = tuple(tree for _, tree in listed)
    brackets = draw(st.lists(items(inner), max_size=3))
    args = tuple(s.Argument(None, tree) for tree in trees)
    made: list[Drawn] = [
        (tight(f"{left_text}{space} {op} {right_text}"), s.Binary(op, left, right)),
        (tight(f"{sign}{space} {left_text}"), s.Unary(sign, left)),
        (f"{left_text}.{name}", s.Attr(left, name)),
        (f"{left_text}.*", s.Attr(left, "*")),
        (f"{left_text}({space}{texts}{space})", s.Call(left, args)),
        (
            f"{left_text}({name}{space}={right_text},)",
            s.Call(left, (s.Argument(name, right),)),
        ),
        (
            f"{left_text}[{f',{space}'.join(text for text, _ in brackets)}]",
            s.Index(left, tuple(tree for _, tree in brackets)),
        ),
        (f"({texts}{space})", s.Tuple(trees)),
        (f"[{texts}{space}]", s.Listing(trees)),
        (f"{{{space}{texts}}}", s.Listing(trees, braces=True)),
        (tight(space + left_text), left),
    ]
    return draw(st.sampled_from(made))


EXPRESSIONS = st.recursive(atoms(), compounds, max_leaves=12)


@given(EXPRESSIONS)
def test_drawn_expressions_keep_the_laws(drawn: Drawn) -> None:
    text, tree = drawn
    spec = f"block f() -> []:\n    return ({text})\n"
    (block,) = read(spec).statements
    assert block == s.Block("block", "f", (), (), ((),), (s.Return((tree,)),))
    # without comments, so that nothing is kept as written
    plain = spec.replace(" # note\n", "\n")
    made = formatted(plain)
    assert read(made) == read(plain)
    formatted(spec)


@st.composite
def mixed(draw: st.DrawFn) -> str:
    """Steps of the examples in a new order, other indentation, with comments and blank lines."""
    lines = draw(st.sampled_from(TEXTS)).splitlines()
    step = draw(st.sampled_from([1, 2, 3, 4, 8]))
    made = []
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 4
        note = draw(st.sampled_from(["", "", "", "  # beside", " \t"]))
        if '"""' in line or "#" in line:
            note = ""
        made.append(" " * (depth * step) + line.lstrip() + note)
        between = draw(st.sampled_from(["", "", "", "blank", "comment", "both"]))
        if between in ("blank", "both"):
            made.append(draw(st.sampled_from(["", "   ", "\t"])))
        if between in ("comment", "both"):
            made.append(" " * draw(st.integers(0, 12)) + "#: note")
    return draw(st.sampled_from(["\n", "\r\n"])).join(made)


@given(mixed())
def test_mixed_examples_keep_the_laws(text: str) -> None:
    formatted(text)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """An example with a line or a piece of one taken out or doubled; often still a spec."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.sampled_from([start, start + 1, start + 3, text.find("\n", start) + 1]))
        put = draw(
            st.sampled_from(["", "(", ")", " ", "\n", "\n    ", "#", "x", ",", text[start:end] * 2])
        )
        text = text[:start] + put + text[max(start, end) :]
    return text


@given(broken())
@example('block f() -> []:\n    """a"b""" \n    return x\n')
@example('block f() -> []:\n    return f(# "\n x) # "\n')
@example("block f() -> []:\n    return (3) + (# 4\n 5)\n")
def test_what_still_reads_keeps_the_laws(text: str) -> None:
    if parse(Source("spec.nax", text), Collector()) is not None:
        made = format_spec(Source("spec.nax", text))
        assert read(made) == read(text)
        assert format_spec(Source("spec.nax", made)) == made
