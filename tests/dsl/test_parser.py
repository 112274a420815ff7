"""Text to tree: what each construct becomes, where it stands, and that nothing breaks it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis.dsl import syntax as s
from neuraxis.dsl.diagnostics import Collector, render
from neuraxis.dsl.parser import DEEPEST, parse
from neuraxis.dsl.source import Source

if TYPE_CHECKING:
    from neuraxis.dsl.syntax import Tree

GOOD = sorted((Path(__file__).parent / "good").glob("*.nax"))


def read(text: str) -> s.Spec:
    """The tree of a text that has no mistakes."""
    collector = Collector()
    spec = parse(Source("spec.nax", text), collector)
    assert spec is not None, render(collector.diagnostics)
    assert not collector.diagnostics
    return spec


def refuse(text: str) -> str:
    """What is said of a text that has a mistake."""
    collector = Collector()
    assert parse(Source("spec.nax", text), collector) is None
    return collector.diagnostics[0].message


def step(text: str) -> Tree:
    """One step of a block."""
    (block,) = read(f"block f() -> []:\n    {text}\n").statements
    assert isinstance(block, s.Block)
    (found,) = block.body
    return found


def expression(text: str) -> Tree:
    """One expression."""
    found = step(f"return {text}")
    assert isinstance(found, s.Return)
    (value,) = found.values
    return value


x, y, z = s.Name("x"), s.Name("y"), s.Name("z")
one, two = s.Number(1), s.Number(2)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x", x),
        ("n'", s.Name("n'")),
        ("3", s.Number(3)),
        ("0.5", s.Number(0.5)),
        ("3e-4", s.Number(0.0003)),
        ('"a \\"b\\" \\\\ \\n"', s.Text('a "b" \\ \n')),
        ('"# no comment"', s.Text("# no comment")),
        ("@last", s.At("last")),
        ("|k|", s.SizeOf("k")),
        ("|*i|", s.SizeOf("i", pack=True)),
        ("-x", s.Unary("-", x)),
        ("not x", s.Unary("not", x)),
        ("x + y - z", s.Binary("-", s.Binary("+", x, y), z)),
        ("x + y * z", s.Binary("+", x, s.Binary("*", y, z))),
        ("(x + y) * z", s.Binary("*", s.Binary("+", x, y), z)),
        ("x // y % z", s.Binary("%", s.Binary("//", x, y), z)),
        ("x ^ y ^ z", s.Binary("^", x, s.Binary("^", y, z))),
        ("-x ^ 2", s.Unary("-", s.Binary("^", x, two))),
        ("x ^ -2", s.Binary("^", x, s.Unary("-", two))),
        ("x < y + 1", s.Binary("<", x, s.Binary("+", y, one))),
        ("x in {1, 2}", s.Binary("in", x, s.Listing((one, two), braces=True))),
        ("not x == y", s.Unary("not", s.Binary("==", x, y))),
        ("x or y and z", s.Binary("or", x, s.Binary("and", y, z))),
        ("f()", s.Call(s.Name("f"), ())),
        (
            "f(x, y = 1,)",
            s.Call(s.Name("f"), (s.Argument(None, x), s.Argument("y", one))),
        ),
        ("f(1..)", s.Call(s.Name("f"), (s.Argument(None, s.Range(one, None)),))),
        (
            "f[h = 2](x)",
            s.Call(s.Index(s.Name("f"), (s.Bind("h", two),)), (s.Argument(None, x),)),
        ),
        ("x.y.*", s.Attr(s.Attr(x, "y"), "*")),
        ("x.in.data.of", s.Attr(s.Attr(s.Attr(x, "in"), "data"), "of")),
        ("x[]", s.Index(x, ())),
        (
            "x[1..2, ..2, 1.., :]",
            s.Index(x, (s.Range(one, two), s.Range(None, two), s.Range(one, None), s.Everything())),
        ),
        ("x[t = y else 1]", s.Index(x, (s.Bind("t", y, one),))),
        ("x[*]", s.Index(x, (s.Star(),))),
        ("x[*i]", s.Index(x, (s.Star("i"),))),
        ("f[x -> y, z]", s.Index(s.Name("f"), (s.Arrow(x, y), z))),
        ("f[x, y -> z]", s.Index(s.Name("f"), (x, s.Arrow(y, z)))),
        ("f[-> x]", s.Index(s.Name("f"), (s.Arrow(None, x),))),
        ("f[x ->]", s.Index(s.Name("f"), (s.Arrow(x, None),))),
        ("x[y -> (x, z)]", s.Index(x, (s.Arrow(y, s.Tuple((x, z))),))),
        ("f[x -> y = 1]", s.Index(s.Name("f"), (s.Arrow(x, s.Bind("y", one)),))),
        ("[]", s.Listing(())),
        ("[x, y]", s.Listing((x, y))),
        ("(x, y,)", s.Tuple((x, y))),
        ("((x))", x),
    ],
)
def test_expressions(text: str, tree: Tree) -> None:
    assert expression(text) == tree
    assert expression(f"(  {text}\n # why\n)") == tree


t_axis, d_axis = s.AxisDecl("t"), s.AxisDecl("d")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ('"""why"""', s.Doc("why")),
        ("x = y", s.Assign((x,), (y,))),
        ("x, y = z, 1", s.Assign((x, y), (z, one))),
        ("param x[t, d] ~ y", s.Declare("param", "x", (t_axis, d_axis), y, drawn=True)),
        ("draw x like z ~ y", s.Declare("draw", "x", None, y, drawn=True, like="z")),
        ("state x[] = 1", s.Declare("state", "x", (), one, drawn=False)),
        ("fixed x[t of d, *i] = 1", s.Declare(
            "fixed", "x", (s.AxisDecl("t", "d"), s.AxisDecl("i", pack=True)), one, drawn=False)),
        ("carry x[t], y = 1", s.Carry((s.Carried("x", (t_axis,)), s.Carried("y", None)), one)),
        ("return x, y", s.Return((x, y))),
        ("share x = y", s.Shared("x", y)),
        ("repeat l * 2:\n        x = y", s.Loop("repeat", "l", two, (s.Assign((x,), (y,)),))),
        ("share layer * 2:\n        x = y", s.Loop("share", "layer", two, (s.Assign((x,), (y,)),))),
        ("scan t:\n        x = y", s.Scan("t", False, None, (s.Assign((x,), (y,)),))),
        ("scan t reversed * 2:\n        x = y", s.Scan("t", True, two, (s.Assign((x,), (y,)),))),
        (
            "if x:\n        x = 1\n    elif y:\n        x = 2\n    else:\n        x = y",
            s.Branch((
                (x, (s.Assign((x,), (one,)),)),
                (y, (s.Assign((x,), (two,)),)),
                (None, (s.Assign((x,), (y,)),)),
            )),
        ),
        ("backward x = y", s.Rule(x, y)),
    ],
)  # fmt: skip
def test_steps_of_blocks(text: str, tree: Tree) -> None:
    assert step(text) == tree


def body_of(header: str, text: str) -> tuple[Tree, ...]:
    """What stands under a header."""
    (found,) = read(f"{header}:\n    {text}\n").statements
    return found.body  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x = 1", s.Write(x, "=", one)),
        ("x.y += 1", s.Write(s.Attr(x, "y"), "+=", one)),
        ("x[y] from z", s.Write(s.Index(x, (y,)), "from", z)),
        (
            "x along {y} then z through y = 1",
            s.Write(x, "=", one, s.Path((s.Listing((y,), braces=True), z), y)),
        ),
        ("gain x = 1", s.Write(x, "gain", one)),
        ("freeze x", s.Write(x, "freeze", s.Number(0))),
        ("share x = y", s.Owned(x, y)),
        ("share x[*].y = y", s.Owned(s.Attr(s.Index(x, (s.Star(None),)), "y"), y)),
        ("keep x = y for decode", s.Unbuilt(
            "`keep`", (x, y, s.Name("for"), s.Name("decode")))),
        ("backward x along z = y", s.Write(x, "backward", y, s.Path((z,)))),
    ],
)  # fmt: skip
def test_steps_of_interventions(text: str, tree: Tree) -> None:
    assert body_of("intervention i on gpt", text) == (tree,)


def test_writes_during_a_phase() -> None:
    write = s.Write(s.Name("x"), "=", s.Number(1))
    (long,) = body_of("intervention i on gpt", "during decode 3..8:\n        x = 1")
    assert long == s.During("decode", s.Range(s.Number(3), s.Number(8)), (write,))
    (short,) = body_of("intervention i on gpt", "during prefill: x = 1")
    assert short == s.During("prefill", None, (write,), short=True)


def test_reserved_features_are_named() -> None:
    spec = read("verify y of gpt:\n    for x in z\n    prove forall x: y\n    by x then y\n")
    assert [one.feature for one in spec.statements] == ["`verify`"]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("run x = y", s.Run("x", y, ())),
        ("run x = y with z, x = 1, y from z", s.Run(
            "x", y, (z, s.Write(x, "=", one), s.Write(y, "from", z)))),
        ("run x = patch y from z in x", s.Run("x", x, (s.Write(y, "from", z),))),
        ("measure x = y", s.Measure("x", (), y)),
        ("measure x(y, z) = y", s.Measure("x", ("y", "z"), y)),
        ("sweep x over y in z, z in 1..2:\n        x = y\n        run y = z\n        x", s.Sweep(
            "x", (s.Over("y", z), s.Over("z", s.Range(one, two))),
            (s.Assign((x,), (y,)), s.Run("y", z, ())), x)),
        ("attribute x over y in z:\n        x", s.Sweep("x", (s.Over("y", z),), (), x, False)),
        ("plot x", s.Plot(x)),
        ("show x, y", s.Show((x, y))),
        ("expect x", s.Expect(x)),
        ("x = y", s.Assign((x,), (y,))),
    ],
)  # fmt: skip
def test_steps_of_experiments(text: str, tree: Tree) -> None:
    assert body_of("experiment e of gpt with x on y", text) == (tree,)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("using x(1), batch 1, steps 2, lr y", s.Using((
            s.Call(x, (s.Argument(None, one),)),
            s.Setting("batch", one), s.Setting("steps", two), s.Setting("lr", y)))),
        ("schedule x then y", s.Schedule((x, y))),
        ("only x.*, y", s.Only((s.Attr(x, "*"), y))),
        ("freeze x", s.Only((x,), frozen=True)),
        ("group x: lr = 1, y = 2", s.OptimiserGroup(x, (("lr", one), ("y", two)))),
        ("until step 2: x += 1", s.Until("step", 2, s.Write(x, "+=", one))),
        ("until step 2", s.Until("step", 2, None)),
        ("until x < 1", s.UntilHolds(s.Binary("<", x, one))),
        ("update x += 1", s.Update(s.Write(x, "+=", one))),
        ("update x = 1", s.Update(s.Write(x, "=", one))),
        ("phase A:\n        x = y\n        freeze x", s.Phase(
            "A", (s.Assign((x,), (y,)), s.Only((x,), frozen=True)))),
        ("every 2 steps: snapshot", s.Every(2, "steps", "snapshot")),
        ("x += 1", s.Write(x, "+=", one)),
        ("x = y", s.Assign((x,), (y,))),
        ("run x = y", s.Run("x", y, ())),
    ],
)  # fmt: skip
def test_steps_of_training(text: str, tree: Tree) -> None:
    assert body_of("train e of gpt from base fresh x with y on text", text) == (tree,)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("use a.b: x, y as z", s.Use(("a", "b"), (s.Used("x", "x"), s.Used("y", "z")))),
        ('"""a\n\n    b\n  c"""', s.Doc("a\n\n  b\nc")),
        ("data x = y", s.Data("x", y, ())),
        ("data x = y: a[t]: z, b: x", s.Data(
            "x", y, (s.Field("a", (t_axis,), z), s.Field("b", None, x)))),
        ("block f[t = 1](x: block = y, z[],) -> [t], []:\n    return x", s.Block(
            "block", "f", (s.Bind("t", one),),
            (s.Param("x", None, "block", y), s.Param("z", (), None, None)),
            ((t_axis,), ()), (s.Return((x,)),))),
        ("weights x of y from z:\n    x = y as [d, (h k)]\n    y = z\n    z = x as []", s.Weights(
            "x", y, z, (s.Map(x, y, (("d",), ("h", "k"))), s.Map(y, z, None), s.Map(z, x, ())))),
        ("intervention x(y) on z with x, y = 1:\n    x = y", s.Intervention(
            "x", (s.Param("y", None, None, None),), "z", (x, s.Write(y, "=", one)),
            (s.Write(x, "=", y),))),
        ("experiment x:\n    x = y", s.Experiment("x", None, (), None, (s.Assign((x,), (y,)),))),
        ("train x of y from z fresh x with y on z:\n    x = y", s.Train(
            "x", y, "z", x, (y,), z, (s.Assign((x,), (y,)),))),
    ],
)  # fmt: skip
def test_statements(text: str, tree: Tree) -> None:
    assert read(text).statements == (tree,)


@pytest.mark.parametrize(
    "word", ["data", "train", "run", "block", "sweep", "use", "with", "from", "of", "on", "else"]
)
def test_keywords_are_names_where_no_statement_may_start_with_them(word: str) -> None:
    named = s.Name(word)
    assert expression(word) == named
    assert expression(f"f({word}, {word} = 1)[{word}]") == s.Index(
        s.Call(s.Name("f"), (s.Argument(None, named), s.Argument(word, one))), (named,)
    )
    assert expression(f"x.{word}") == s.Attr(x, word)


# ---- where things stand


def walk(part: object) -> list[Tree]:
    """All nodes."""
    if isinstance(part, tuple):
        return [node for item in part for node in walk(item)]
    if not isinstance(part, s.Tree):
        return []
    return [part, *(node for name in part.__slots__ for node in walk(getattr(part, name)))]


def test_spans_hold_just_what_was_written() -> None:
    text = "block f(x[t]) -> [t]:\n    y = (x + f[h = 1](-x)) * |t|  # why\n    return y.z\n"
    shown = {type(node).__name__: node.span.text for node in walk(read(text))}
    assert shown == {
        "Spec": text,
        "Block": text[:-1].replace("block", "block"),
        "Param": "x[t]",
        "AxisDecl": "t",
        "Assign": "y = (x + f[h = 1](-x)) * |t|",
        "Name": "y",
        "Binary": "(x + f[h = 1](-x))",
        "SizeOf": "|t|",
        "Call": "f[h = 1](-x)",
        "Index": "f[h = 1]",
        "Bind": "h = 1",
        "Number": "1",
        "Argument": "-x",
        "Unary": "-x",
        "Return": "return y.z",
        "Attr": "y.z",
    }


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_every_node_stands_inside_its_parent(path: Path) -> None:
    source = Source(path.name, path.read_text(encoding="utf-8"))
    for node in walk(parse(source, Collector())):
        assert node.span.source is source
        for child in walk(tuple(getattr(node, name) for name in node.__slots__)):
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end


# ---- forms of text


@pytest.mark.parametrize("text", ["", "\n", "   ", "# only this", "\n\n  # this\n", "\ufeff"])
def test_a_file_may_be_empty(text: str) -> None:
    assert read(text).statements == ()


def test_line_ends_and_the_last_line_make_no_difference() -> None:
    text = (
        '"""Two\n    lines."""\n\nblock f(x) -> []:\n\n    # why\n    if x:\n        y = x  # so\n'
    )
    spec = read(text)
    for other in (
        text.replace("\n", "\r\n"),
        text[:-1],
        text + "\n\n# end",
        text + "  \n   \n",
        text.replace("y = x", "y =\tx\t"),
        "\ufeff" + text,
        text.replace("    y", "\t\ty").replace("\t\ty", "            y"),
        text.replace("y = x", "y = (\n\tx\n# x\n)"),
    ):
        assert read(other) == spec


@pytest.mark.parametrize("text", ["weights", "use", "model m(x[b]) -> [b]:", "block f(x", '"a'])
def test_what_a_last_line_lacks_is_pointed_at_in_the_text(text: str) -> None:
    collector = Collector()
    assert parse(Source("spec.nax", text), collector) is None
    (found,) = collector.diagnostics
    assert 0 <= found.span.start <= found.span.end <= len(text)
    assert "^" in str(found)


def test_a_comment_may_stand_at_any_depth() -> None:
    text = "block f(x) -> []:\n  # a\n        # b\n    y = x\n# c\n    return y\n  # d\n"
    assert read(text) == read("block f(x) -> []:\n    y = x\n    return y\n")


def test_a_tab_in_a_comment_or_blank_line_is_nothing() -> None:
    assert read("use a: b\n\t# x\n \t \nuse a: b\n")


@pytest.mark.parametrize("char", ["\0", "\x0c", "\u2028", "\u00a0", "é", "∑", "\r", "\x1b", "$"])
def test_a_foreign_character_is_one_diagnostic(char: str) -> None:
    collector = Collector()
    assert parse(Source("a", f"use a: b{char}c\n"), collector) is None
    (found,) = collector.diagnostics
    assert found.span.text[0] == char


# ---- bounds


def nested(deep: int) -> str:
    """Suites inside one another."""
    lines = [f"{'    ' * (i + 1)}if x:" for i in range(deep)]
    return "\n".join(["block f(x) -> []:", *lines, "    " * (deep + 1) + "return x"])


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000,
        "(" * 100_000 + ")" * 100_000,
        "x" + "[y = 1]" * 10_000,
        "x" + "(y)" * 10_000,
        "x" + ".y" * 10_000,
        "x" + " + y" * 10_000,
        "x" + " or y" * 10_000,
        "x" + " ^ y" * 10_000,
        "-" * 100_000 + "x",
        "not " * 10_000 + "x",
        "{" + "(1 + 2), " * 10_000,
        '"' + "\\" * 100_000,
    ],
    ids=lambda text: text[:8],
)
def test_depth_is_bounded(text: str) -> None:
    started = time.process_time()
    assert refuse(f"block f() -> []:\n    return {text}\n")
    assert time.process_time() - started < 10


def test_suites_are_bounded() -> None:
    assert read(nested(30))
    assert "deep" in refuse(nested(40))
    assert "deep" in refuse(nested(5000))


def test_what_is_within_the_bounds_can_be_walked_by_recursion() -> None:
    wide = expression(" + ".join(["x"] * (DEEPEST - 10)))
    calls = expression("f(" * 60 + "x" + ")" * 60)
    indices = expression("x[y = " * 60 + "1" + "]" * 60)
    for tree in (wide, calls, indices):
        assert tree == tree
        assert hash(tree)
        assert repr(tree)


def test_a_long_list_is_not_deep() -> None:
    listed = expression("{" + ", ".join(["1 + 2"] * 5000) + "}")
    assert isinstance(listed, s.Listing)
    assert len(listed.items) == 5000


# ---- any text


TEXTS = [path.read_text(encoding="utf-8") for path in GOOD]
PIECES = sorted({piece for text in TEXTS for piece in text.replace("\n", " ").split(" ") if piece})


@st.composite
def broken(draw: st.DrawFn) -> str:
    """An example with pieces taken out, put in or doubled."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        put = draw(
            st.one_of(
                st.just(""),
                st.sampled_from(PIECES),
                st.sampled_from(["\n", "    ", "\t", '"', '"""', "#", "(", "]", ":", " "]),
                st.text(max_size=3),
                st.just(text[start:end] * 2),
            )
        )
        text = text[:start] + put + text[end:]
    return text


@given(
    st.one_of(
        broken(), st.text(), st.lists(st.sampled_from([*PIECES, "\n", "\n    "])).map(" ".join)
    )
)
def test_any_text_gives_a_tree_or_says_why_not(text: str) -> None:
    collector = Collector()
    source = Source("any.nax", text)
    started = time.process_time()
    spec = parse(source, collector)
    assert time.process_time() - started < 5
    assert (spec is None) == collector.has_errors
    for found in collector.diagnostics:
        assert 0 <= found.span.start <= found.span.end <= len(text) + 1
        assert found.message
        assert str(found)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_every_example_reads(path: Path) -> None:
    assert read(path.read_text(encoding="utf-8")).statements
