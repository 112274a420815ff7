"""The one form of all messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis.dsl.diagnostics import (
    WIDEST,
    Collector,
    Diagnostic,
    Note,
    Severity,
    Slug,
    SpecError,
    nearest,
    or_nearest,
    render,
    to_json,
)
from neuraxis.dsl.source import GENERATED, Source, Span

SOURCE = Source("specs/a.nax", "block f(x[t]) -> [t]:\n    w = sum[j](x)\n    return w\n")


def span(text: str, source: Source = SOURCE) -> Span:
    """Where a piece of text stands first."""
    start = source.text.index(text)
    return Span(source, start, start + len(text))


def test_a_diagnostic_is_rendered_as_the_style_page_shows() -> None:
    source = Source("specs/models/attention.nax", "\n" * 13 + "    weight = sum[j](scores)\n")
    found = Diagnostic(
        Slug.UNKNOWN_AXIS,
        "`sum[j]` reduces `j`, but `scores` has axes t and s",
        span("j", source),
        notes=(Note("`scores` is assigned", Span(source, 11, 12)),),
        hint="`sum[s](scores)`",
    )
    assert (
        render([found])
        == """\
error[unknown-axis]: `sum[j]` reduces `j`, but `scores` has axes t and s
  --> specs/models/attention.nax:14:18
   |
14 |     weight = sum[j](scores)
   |                  ^
   = note: `scores` is assigned at 12:1
   = hint: `sum[s](scores)`"""
    )


def test_the_caret_runs_under_the_span_to_the_end_of_its_line_at_most() -> None:
    line = str(Diagnostic(Slug.SYNTAX, "", span("sum[j](x)\n    return w"))).splitlines()[-1]
    assert line == "  |         ^^^^^^^^^"


def test_a_place_at_the_end_of_a_line_or_file_has_one_caret() -> None:
    end = len(SOURCE.text)
    for place in (Span(SOURCE, 21, 22), Span(SOURCE, 21, 21), Span(SOURCE, end, end)):
        assert str(Diagnostic(Slug.SYNTAX, "", place)).count("^") == 1
    assert "1 |\n" in str(Diagnostic(Slug.SYNTAX, "", Span(Source("a", ""), 0, 0)))


def test_a_note_about_another_file_names_it() -> None:
    other = Source("specs/b.nax", "block g() -> []:\n")
    found = Diagnostic(Slug.REASSIGNED, "", span("w"), notes=(Note("so is it", span("g", other)),))
    assert "= note: so is it at specs/b.nax:1:7" in str(found)


def test_something_generated_has_no_place() -> None:
    found = Diagnostic(Slug.INTERNAL, "odd", GENERATED, notes=(Note("see", GENERATED),))
    assert str(found) == "error[internal]: odd\n = note: see"


def test_what_a_terminal_would_act_on_is_not_printed() -> None:
    source = Source("a.nax", "x\t= \x1b[31m\x00\n")
    shown = str(Diagnostic(Slug.SYNTAX, "", span("\x1b", source)))
    assert "\x1b" not in shown
    assert "\x00" not in shown
    assert "1 | x = \ufffd[31m\ufffd" in shown
    said = Diagnostic(Slug.SYNTAX, "\x1b", GENERATED, notes=(Note("\x1b"),), hint="\u202e")
    assert str(said) == "error[syntax]: \ufffd\n = note: \ufffd\n = hint: \ufffd"


@given(st.integers(0, 900), st.integers(0, 900))
def test_a_long_line_is_shown_around_its_caret(start: int, length: int) -> None:
    source = Source("a.nax", "".join(chr(97 + i % 26) for i in range(1000)))
    place = Span(source, start, min(1000, start + length))
    *_, text, caret = str(Diagnostic(Slug.SYNTAX, "", place)).splitlines()
    assert len(text) <= WIDEST + 10
    assert text[caret.index("^")] == source.text[start]
    assert len(caret) <= len(text)


def test_diagnostics_come_in_source_order_and_once() -> None:
    collector = Collector()
    collector.report(Slug.SYNTAX, "late", span("return"))
    collector.report(Slug.SYNTAX, "early", span("sum"))
    collector.report(Slug.SYNTAX, "early again", span("sum"))
    collector.report(Slug.NOT_AN_AXIS, "something else there", span("sum"))
    assert [found.message for found in collector.diagnostics] == [
        "early",
        "something else there",
        "late",
    ]


def test_files_come_in_the_order_of_their_first_diagnostic() -> None:
    collector = Collector()
    other = Source("specs/b.nax", "block g() -> []:\n")
    for place in (span("return"), span("g", other), span("sum")):
        collector.report(Slug.SYNTAX, "", place)
    assert [found.span.text for found in collector.diagnostics] == ["sum", "return", "g"]


def test_warnings_are_no_errors() -> None:
    collector = Collector()
    collector.report(Slug.SHARED_NO_AXIS, "odd", span("w"), severity=Severity.WARNING)
    assert not collector.has_errors
    collector.raise_if_errors()
    assert render(collector.diagnostics).startswith("warning[shared-no-axis]: odd\n")
    collector.report(Slug.SYNTAX, "wrong", span("sum"))
    with pytest.raises(SpecError) as raised:
        collector.raise_if_errors()
    assert raised.value.diagnostics == collector.diagnostics
    assert str(raised.value) == render(collector.diagnostics)


def test_json_holds_the_same() -> None:
    found = Diagnostic(
        Slug.REASSIGNED, "`w` again", span("w"), notes=(Note("here", span("x")), Note("why"))
    )
    (record,) = json.loads(to_json([found]))
    assert record == {
        "slug": "reassigned",
        "severity": "error",
        "message": "`w` again",
        "file": "specs/a.nax",
        "line": 2,
        "column": 5,
        "end_line": 2,
        "end_column": 6,
        "notes": [
            {
                "text": "here",
                "file": "specs/a.nax",
                "line": 1,
                "column": 9,
                "end_line": 1,
                "end_column": 10,
            },
            {"text": "why"},
        ],
        "hint": None,
    }
    assert to_json([]) == "[]"


def test_near_names_are_offered() -> None:
    names = ["scores", "score", "pattern", "q"]
    assert nearest("scors", names) == ["scores", "score"]
    assert or_nearest("scors", names) == "did you mean `scores` or `score`?"
    assert or_nearest("patern", names) == "did you mean `pattern`?"
    assert or_nearest("zzz", names) is None
    assert or_nearest("aa", ["aab", "aac", "aad"]) == "did you mean `aad`, `aac` or `aab`?"


def test_slugs_are_plain_words() -> None:
    assert all(str(slug).replace("-", "").isalpha() for slug in Slug)
