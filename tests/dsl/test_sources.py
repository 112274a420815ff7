from __future__ import annotations

import pytest

from neuraxis.dsl.core import Axis
from neuraxis.dsl.diagnostics import Slug
from neuraxis.dsl.signatures import FIELD_KINDS, declared_field
from neuraxis.dsl.sizes import symbol
from neuraxis.dsl.sources import SIGNATURES
from neuraxis.dsl.syntax import Argument, AxisDecl, Call, Expr, Field, Name, Text


def test_options_decide_sizes() -> None:
    (tokens,) = SIGNATURES["bytes"].fields_for({"t": 32})
    assert tokens.axes == (Axis("b", symbol("b")), Axis("t", 32))
    (tokens,) = SIGNATURES["copying"].fields_for({"t": 5, "delay": 2})
    assert tokens.axes[1] == Axis("t", 13)
    assert SIGNATURES["recall"].fields_for({})[0].axes[1] == Axis("t", 17)


def test_options_that_are_not_given_have_their_defaults() -> None:
    assert SIGNATURES["stdlib"].complete({"t": 4}) == {"t": 4, "limit": None, "held": 0.1}


def test_every_default_is_one_that_may_be_given() -> None:
    for signature in SIGNATURES.values():
        given = {o.name: o.default for o in signature.options if o.default is not None}
        required = {o.name: "x" for o in signature.options if o.required}
        assert signature.problems({**required, **given}) == []


@pytest.mark.parametrize(
    ("source", "given", "option", "slug", "message"),
    [
        ("bytes", {}, None, Slug.WRONG_ARGUMENTS, "`bytes` needs `path`"),
        ("bytes", {"path": 3}, "path", Slug.WRONG_ARGUMENTS, "`path` of `bytes` is a text"),
        ("stdlib", {"t": 1}, "t", Slug.WRONG_ARGUMENTS, "`t` of `stdlib` is at least 2, not 1"),
        ("stdlib", {"t": 1.5}, "t", Slug.WRONG_ARGUMENTS, "is a whole number, not 1.5"),
        ("stdlib", {"t": True}, "t", Slug.WRONG_ARGUMENTS, "is a whole number, not true"),
        ("stdlib", {"t": None}, "t", Slug.WRONG_ARGUMENTS, "is a whole number, not none"),
        ("stdlib", {"held": 1}, "held", Slug.WRONG_ARGUMENTS, "is below 1, not 1"),
        ("stdlib", {"held": "x"}, "held", Slug.WRONG_ARGUMENTS, 'is a number, not "x"'),
        ("stdlib", {"size": 9}, "size", Slug.UNKNOWN_OPTION, "`stdlib` has no option `size`"),
        ("iris", {"standard": 1}, "standard", Slug.WRONG_ARGUMENTS, "is true or false, not 1"),
        ("modular", {"op": "pow"}, "op", Slug.WRONG_ARGUMENTS, 'multiply, divide, not "pow"'),
        ("recall", {"pairs": 40}, None, Slug.WRONG_ARGUMENTS, "`vocab` of at least 80, not 64"),
        ("repeats", {"n": 10**9}, None, Slug.TOO_LARGE, "would hold 64000000000 numbers"),
    ],
)
def test_what_is_wrong_with_options_is_said(
    source: str, given: dict[str, object], option: str | None, slug: Slug, message: str
) -> None:
    (problem,) = SIGNATURES[source].problems(given)  # type: ignore[arg-type]
    assert (problem.option, problem.slug) == (option, slug)
    assert message in problem.message


def test_all_that_is_wrong_is_said_at_once() -> None:
    problems = SIGNATURES["stdlib"].problems({"hold": 0.2, "t": 0})
    assert [problem.option for problem in problems] == ["hold", "t"]
    assert problems[0].hint == "did you mean `held`?"


def declare(value: Expr, *axes: AxisDecl) -> Field:
    return Field("x", axes or None, value)


def text(*args: Expr) -> Call:
    return Call(Name("text"), tuple(Argument(None, arg) for arg in args))


def test_a_declared_field_is_read() -> None:
    ragged = AxisDecl("t", of="b")
    found = declared_field(declare(text(Name("tok")), ragged))
    assert found is not None
    assert (found.kind, found.tokenizer, found.ragged) == ("text", "tok", (("t", "b"),))
    assert [axis.name for axis in found.axes] == ["b", "t"]
    for kind in FIELD_KINDS.keys() - {"text"}:
        assert declared_field(declare(Name(kind))) is not None
    plain = declared_field(declare(Name("text"), ragged))
    assert plain is not None
    assert plain.tokenizer is None


def test_the_examples_axis_may_be_written() -> None:
    written = declared_field(declare(Name("float"), AxisDecl("b"), AxisDecl("d")))
    assert written == declared_field(declare(Name("float"), AxisDecl("d")))


@pytest.mark.parametrize(
    "field",
    [
        declare(Name("double")),
        declare(Text("int")),
        declare(text(Text("tok")), AxisDecl("t")),
        declare(text(), AxisDecl("t")),
        declare(text(Name("tok"))),
        declare(text(Name("tok")), AxisDecl("t"), AxisDecl("d")),
        declare(Name("position"), AxisDecl("t")),
        declare(Call(Name("int"), (Argument(None, Name("tok")),))),
    ],
)
def test_what_is_no_field_is_none(field: Field) -> None:
    assert declared_field(field) is None
