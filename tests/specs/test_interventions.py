"""The library of interventions: what each spec expects holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuraxis import specs
from neuraxis.dsl.diagnostics import Slug
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [name for name in specs.names() if name.startswith("interventions")]


def test_there_are_some() -> None:
    assert len(NAMES) > 8


@pytest.mark.parametrize("name", NAMES)
def test_what_is_expected_holds(name: str, tmp_path: Path) -> None:
    text = specs.read(name)
    assert len(text.splitlines()) <= 40
    program = Program.from_text(text, name=f"{name}.nax", root=tmp_path)
    assert {found.slug for found in program.diagnostics} <= {Slug.TOO_LARGE}  # at large sizes
    for experiment in program.checked.experiments:
        found = program.run(experiment, folder=tmp_path).expectations
        assert found
        assert all(one.holds for one in found), [one.label for one in found if not one.holds]
