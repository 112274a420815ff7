"""Malformed specs give carets and exit 1, never a traceback: sixty that were written wrong, of them
at least one for each kind of mistake, and twenty shipped ones with something changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from tests.dsl.mutations import mutated

from neuraxis import specs
from neuraxis.cli import main
from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import Severity, Slug

ROOT = Path(__file__).parents[1]
BAD = ROOT / "tests/dsl/bad"
COUNT, CHANGED = 60, 20
RUN_TIME = {Slug.INPUT_MISMATCH, Slug.INTERNAL, Slug.NOT_CAUSAL}


def slug_of(path: Path) -> str:
    """The kind of mistake that a sample is for."""
    return max((s for s in Slug if f"{path.stem}-".startswith(f"{s}-")), key=len)


def one_for_each() -> list[Path]:
    """Sixty samples: one for each kind, then more of them."""
    samples = sorted(BAD.glob("*.nax"))
    first = {slug_of(path): path for path in reversed(samples)}
    rest = [path for path in samples if path not in first.values()]
    return [*first.values(), *rest[:: len(rest) // (COUNT - len(first))]][:COUNT]


SAMPLES = one_for_each()


def errors(path: Path) -> bool:
    found = check_text(path.name, path.read_text(encoding="utf-8"), path.parent).diagnostics
    return any(d.severity is Severity.ERROR for d in found)


def test_they_are_sixty_and_of_each_kind() -> None:
    assert len(SAMPLES) == COUNT
    assert {slug_of(path) for path in SAMPLES} == {str(s) for s in set(Slug) - RUN_TIME}


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_malformed_spec(path: Path, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = errors(path)
    if command == "run" and not wrong:
        pytest.skip("a warning: it runs")
    assert main([command, str(path)]) == int(wrong)
    said = capsys.readouterr()
    assert "^" in said.err
    assert f"[{slug_of(path)}]" in said.err
    assert "Traceback" not in said.err + said.out


def changed(number: int) -> tuple[str, str]:
    """A shipped spec with something changed in it."""
    random = Random(number)
    name = random.choice([name for name in specs.names() if not name.startswith("std/")])
    return name.replace("/", "_"), mutated(random, [specs.read(name)])


@pytest.mark.parametrize("number", range(CHANGED))
def test_a_shipped_spec_with_something_changed(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, text = changed(number)
    path = tmp_path / f"{name}.nax"
    path.write_text(text, encoding="utf-8")
    found = check_text(path.name, text, tmp_path)
    assert main(["check", str(path)]) == int(not found.ok)
    said = capsys.readouterr().err
    assert ("^" in said) == bool(found.diagnostics)
    assert "Traceback" not in said
    for model in list(found.models)[:1] if found.ok else ():
        assert main(["emit", str(path), model]) == 0


@pytest.mark.parametrize("path", SAMPLES[:: COUNT // 6], ids=lambda path: path.stem)
def test_as_somebody_types_it(path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "neuraxis.cli", "check", path.name],
        cwd=BAD, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip
    assert ran.returncode == int(errors(path))
    assert "^" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_shows_only_in_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "model m(x[b, f]) -> [b]:\n    return sum[f](x)\n\ndata d = iris()\n\n"
    text += "experiment e of m on d:\n    run r = m\n    expect mean[b](r.out) > 1000\n"
    (tmp_path / "false.nax").write_text(text)
    assert main(["run", str(tmp_path / "false.nax")]) == 2
    assert "FAILS" in capsys.readouterr().out
    (tmp_path / "rows.jsonl").write_text('{"x": [1, 2, 3]}\n')
    (tmp_path / "short.nax").write_text(
        'data rows = jsonl("rows.jsonl"): x[t]: float\n\n'
        "model m(x[b, t]) -> [b]:\n    return x[t = 5]\n\n"
        "experiment e of m on rows:\n    run r = m\n    show sum[b](r.out)\n"
    )
    assert main(["run", str(tmp_path / "short.nax")]) == 1
    said = capsys.readouterr().err
    assert "error[input-mismatch]" in said
    assert "^" in said
