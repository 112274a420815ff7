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

GRAMMAR = Path(s.__file__).with_name("grammar.lark")


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
        ("x[1..2, ..2, 1.., :]", s.Index(x, (s.Range(one, two), s.Range(None, two),
                                            s.Range(one, None), s.Everything()))),
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
        ("repeat layer * 2:\n        x = y", s.Loop("repeat", "layer", two, (s.Assign((x,), (y,)),))),
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
        ("backward x = y", s.Unbuilt("`backward`", (x, y))),
    ],
)  # fmt: skip
def test_steps_of_blocks(text: str, tree: Tree) -> None:
    assert step(text) == tree


def body_of(header: str, text: str) -> tuple[Tree, ...]:
    """What stands under a header."""
    (found,) = read(f"{header}:\n    {text}\n").statements
    return found.body  # type: ignore[union-attr, no-any-return]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x = 1", s.Write(x, "=", one)),
        ("x.y += 1", s.Write(s.Attr(x, "y"), "+=", one)),
        ("x[y] from z", s.Write(s.Index(x, (y,)), "from", z)),
        (
            "x along {y} then z through y = 1",
            s.Unbuilt("`along` (paths)", (
                s.Write(x, "=", one), s.Name("along"), s.Listing((y,), braces=True),
                s.Name("then"), z, s.Name("through"), y,
            )),
        ),
        ("gain x = 1", s.Unbuilt("`gain`", (x, one))),
        ("freeze x", s.Unbuilt("`freeze` in an intervention", (s.Only((x,), frozen=True),))),
        ("share x = y", s.Unbuilt("`share` in an intervention", (s.Shared("x", y),))),
        ("keep x = y for decode", s.Unbuilt(
            "`keep`", (s.Name("keep"), x, y, s.Name("for"), s.Name("decode")))),
        ("backward x = y", s.Unbuilt("`backward`", (x, y))),
    ],
)  # fmt: skip
def test_steps_of_interventions(text: str, tree: Tree) -> None:
    (found,) = body_of("intervention i on gpt", text)
    if isinstance(tree, s.Unbuilt):
        assert isinstance(found, s.Unbuilt)
        assert found.feature == tree.feature
        assert [part for part in found.parts if part != s.Name(text.split()[0])] == [
            part for part in tree.parts if part != s.Name(text.split()[0])
        ]
    else:
        assert found == tree


def test_reserved_features_are_named() -> None:
    (during,) = body_of("intervention i on gpt", "during decode 3..8:\n        x = 1")
    (short,) = body_of("intervention i on gpt", "during train: x = 1")
    (phase,) = body_of("train i of gpt on text", "phase A:\n        x = 1")
    (update,) = body_of("train i of gpt on text", "update x += 1")
    (attribute,) = body_of("experiment e", "attribute x over y in z:\n        x")
    features = [one.feature for one in (during, short, phase, update, attribute)]  # type: ignore[attr-defined]
    assert features == ["`during`", "`during`", "`phase`", "`update`", "`attribute`"]
    spec = read(
        "calibrate x of gpt on text for 8 batches:\n    y[t] = x\n"
        "verify y of gpt:\n    for x in z\n    prove forall x: y\n    by x then y\n"
    )
    assert [one.feature for one in spec.statements] == ["`calibrate`", "`verify`"]  # type: ignore[union-attr]


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
    "word", "data train run block model sweep use with from then of on as for else".split()
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


def test_every_node_has_a_place_inside_its_parent(example: Source) -> None:
    spec = parse(example, Collector())
    waiting: list[Tree] = [spec] if spec else []
    assert waiting
    while waiting:
        node = waiting.pop()
        assert node.span.source is example
        for name in node.__slots__:
            for child in walk(getattr(node, name)):
                assert node.span.start <= child.span.start <= child.span.end <= node.span.end
        for name in node.__slots__:
            part = getattr(node, name)
            waiting += [one for one in (part if isinstance(part, tuple) else [part])
                        if isinstance(one, s.Tree)]
