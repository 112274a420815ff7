"""Each known mistake has a sample in `bad/`, and beside it what is said of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neuraxis.dsl.diagnostics import Collector, render
from neuraxis.dsl.mistake_rows import ROWS
from neuraxis.dsl.parser import parse
from neuraxis.dsl.source import Source

if TYPE_CHECKING:
    from conftest import Golden

    from neuraxis.dsl.foreign_words import Row

BAD = Path(__file__).parent / "bad"
SAMPLES = [
    path
    for kind in ("syntax-*", "indentation-*", "too-large-float", "too-large-number")
    for path in sorted(BAD.glob(f"{kind}.nax"))
]


def collect(text: str, name: str = "spec.nax") -> Collector:
    """What is found in a text that has a mistake."""
    collector = Collector()
    assert parse(Source(name, text), collector) is None
    assert collector.has_errors
    return collector


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_each_mistake_is_explained(path: Path, golden: Golden) -> None:
    found = collect(path.read_text(encoding="utf-8"), path.name)
    golden(path.with_suffix(".txt"), render(found.diagnostics) + "\n")

    assert path.stem.startswith(found.diagnostics[0].slug)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_no_message_speaks_of_terminals(path: Path) -> None:
    said = render(collect(path.read_text(encoding="utf-8")).diagnostics)
    assert not re.search(r"_NL|_INDENT|_DEDENT|\$END|ANON|LPAR|RPAR|LSQB|EQUAL|COLON|Token", said)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_has_a_sample_that_only_it_fits(row: Row) -> None:
    sample = BAD / f"syntax-{row.name}.nax"
    (found,) = collect(sample.read_text(encoding="utf-8")).diagnostics
    stated = [re.escape(part) for part in re.split(r"\{\w+\}", row.message)]
    assert re.fullmatch(".+".join(stated), found.message)


@pytest.mark.parametrize("row", [row for row in ROWS if row.fix], ids=lambda row: row.name)
def test_a_mended_line_reads(row: Row) -> None:
    """A hint that replaces the line says what was meant, up to the mistake after it."""
    text = (BAD / f"syntax-{row.name}.nax").read_text(encoding="utf-8")
    (found,) = collect(text).diagnostics
    assert found.hint is not None
    lines = text.splitlines()
    indent = len(lines[found.span.line - 1]) - len(lines[found.span.line - 1].lstrip())
    lines[found.span.line - 1] = " " * indent + found.hint.strip("`")
    collector = Collector()
    parse(Source("mended.nax", "\n".join(lines)), collector)
    assert not collector.has_errors, render(collector.diagnostics)


def test_no_two_rows_have_one_name() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_a_mistake_in_a_very_long_line_is_found_soon() -> None:
    found = collect("block f(x) -> []:\n    y = " + "x" * 100_000 + " < z < " + "z" * 100_000)
    assert "expected" in found.diagnostics[0].message


def test_the_header_of_an_empty_suite_is_named() -> None:
    (found,) = collect("block f(x) -> []:\n    scan t:\n    return x\n").diagnostics
    assert found.message == "nothing is indented under this `scan`"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("use a.b: c d\n", "expected `,`, `as` or the end of the line after `c`, found `d`"),
        ("use a.b: 7\n", "expected a name after `:`, found `7`"),
        (
            "train t of m on d:\n    every x steps: snapshot\n",
            "expected a number after `every`, found `x`",
        ),
        ("data d = f(x)\n}", "`}` closes nothing"),
    ],
)
def test_what_nobody_foresaw_is_said_from_the_grammar(text: str, message: str) -> None:
    assert collect(text).diagnostics[0].message == message
