"""Texts that nobody would write get an answer, quickly, and leave nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from tests.dsl.fuzz import fuzz

from neuraxis.testing.reading import SECONDS

if TYPE_CHECKING:
    import pytest

COUNT = 300 if settings().max_examples < 1000 else 10_000  # the profile `nightly` has more


def test_every_text_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    report = fuzz(COUNT)
    with capsys.disabled():
        print(f"\n{report}")
    assert report.past_line_3 >= COUNT / 2  # more than the parser is tried
    assert report.with_errors + report.right >= COUNT
    assert report.slowest < SECONDS
    assert report.grown < 32
    assert report.kept < 0.1
