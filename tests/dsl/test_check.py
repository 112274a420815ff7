"""What checking says: a sample for each slug in `bad/`, shipped specs with a mistake put in."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from neuraxis import specs
from neuraxis.cli import main
from neuraxis.dsl.check import check_module, check_text
from neuraxis.dsl.diagnostics import Collector, Severity, Slug, render
from neuraxis.dsl.modules import Loader
from neuraxis.dsl.parser import parse
from neuraxis.dsl.source import Source

if TYPE_CHECKING:
    from conftest import Golden

HERE = Path(__file__).parent
BAD, CLEAN, EXAMPLES = HERE / "bad", HERE / "clean", HERE / "good"

RUN_TIME = {  # what only shows when a spec is run; tests of the runtime have these
    Slug.INPUT_MISMATCH,
    Slug.NOT_CAUSAL,
    Slug.INTERNAL,
}


def reads(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return parse(Source(path.name, text), Collector()) is not None


SAMPLES = [path for path in sorted(BAD.glob("*.nax")) if reads(path)]


def shown(text: str) -> str:
    """Without the lines of the standard library, which may move."""
    return re.sub(r"(specs/std/\w+\.nax):\d+:\d+", r"\1", text) + "\n"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_each_mistake_is_said_as_it_was_reviewed(path: Path, golden: Golden) -> None:
    found = check_text(path.name, path.read_text(encoding="utf-8"), BAD).diagnostics
    golden(path.with_suffix(".txt"), shown(render(found)))

    assert len(found) == 1
    assert path.stem == found[0].slug or path.stem.startswith(f"{found[0].slug}-")


def test_there_is_a_sample_for_each_slug_that_checking_finds() -> None:
    samples = [path.stem for path in BAD.glob("*.nax")]
    missing = {
        slug for slug in Slug if not any(s == slug or s.startswith(f"{slug}-") for s in samples)
    }
    assert missing == RUN_TIME


def test_each_sample_has_what_is_said_beside_it() -> None:
    assert {p.stem for p in BAD.glob("*.nax")} == {p.stem for p in BAD.glob("*.txt")}


def test_hints_show_code_as_code() -> None:
    for path in SAMPLES:
        for found in check_text(path.name, path.read_text(encoding="utf-8"), BAD).diagnostics:
            assert found.hint is None or "`" in found.hint
            assert not found.message.endswith(".")
            assert all(note.span is None or not note.text.endswith(".") for note in found.notes)


# ---- shipped specs with one thing changed


@pytest.mark.parametrize(
    ("name", "old", "new", "slug"),
    [
        ("models/gpt2", "wte[vocab = tokens]", "wte[vocab = token]", "unknown-name"),
        ("models/gpt2", "wpe[ctx = t]", "wpe[ctx = s]", "unknown-name"),
        ("models/gpt2", "        mid = x + attn\n", "", "unknown-name"),
        ("models/gpt2", "dot[d](final, wte)", "dot[e](final, wte)", "unknown-axis"),
        ("models/gpt2", "x = mid + ffn", "x = mid + layer", None),
        ("models/gpt2", "d = 768", "d = -768", "bad-size"),
        ("models/gpt2", "L = 12", "L = 1.5", "bad-size"),
        ("models/gpt2", "x = mid + ffn", "x = sum[t](mid + ffn)", "axis-mismatch"),
        ("models/llama", "repeat layer * L", "repeat layer * 99999999", "bad-size"),
        ("models/llama", "turn = rope(base = base, stretch = longer)", "turn = 3", "wrong-arguments"),
        ("models/llama", "if tied:", "if x > 0:", "not-constant"),
        ("models/llama", "h = 32, g = 4", "h = 32, g = 5", "size-mismatch"),
        ("models/bert", "-> [b, t, d], [b, d], [b, d]", "-> [b, t, d], [b, d]", "wrong-arguments"),
        ("models/bert", "x[t = 0]", "x[d = 768]", "bad-index"),
        ("models/bert", "kind[b, t]: int = 0", "kind[b, t]: int", None),
        ("models/resnet", "if stride == 1", "if strid == 1", "unknown-name"),
        ("models/resnet", "maxpool2d[i, j]", "maxpool3d[i, j]", "unknown-block"),
        ("models/vit", "patches[(i, j) -> t]", "patches[(i, j) -> d]", "axis-mismatch"),
        ("models/vit", "i = 224, j = 224", "i = 1000000000, j = 1000000000", "too-large"),
        ("models/lstm_lm", "x = dropout(seen, p = p)", "x = dropout(seen, q = p)", "wrong-arguments"),
        ("models/lstm_lm", "rnn[n -> d]", "rnn[n -> t]", "axis-mismatch"),
        ("std/recurrent", "carry y[n], c[n] = 0", "carry y[n] = 0", "unknown-name"),
    ],
)  # fmt: skip
def test_a_shipped_spec_with_a_mistake(name: str, old: str, new: str, slug: str | None) -> None:
    text = specs.read(name)
    assert old in text
    found = check_text("changed.nax", text.replace(old, new))
    slugs = [d.slug for d in found.diagnostics if d.severity is Severity.ERROR]
    if slug is None:
        assert slugs == []
    else:
        assert slug in slugs
        assert len(slugs) <= 2
    assert all("^" in str(d) for d in found.diagnostics)


@pytest.mark.parametrize("name", specs.names())
def test_shipped_specs_are_right(name: str) -> None:
    found = check_text(f"specs/{name}.nax", specs.read(name))
    assert found.ok, render(found.diagnostics)


@pytest.mark.parametrize("path", sorted(CLEAN.glob("*.nax")), ids=lambda path: path.stem)
def test_what_shows_all_that_is_built_is_right(path: Path) -> None:
    found = check_text(path.name, path.read_text(encoding="utf-8"), CLEAN)
    assert not found.diagnostics, render(found.diagnostics)


# ---- the examples of the language


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("attention", []),
        ("intervene", ["an expectation is about one number, and this has the axis `b`",
                       "`gpt` takes `tokens`, and `pairs` has no field of that name"]),
        ("recurrent", []),
        ("train", ["a loss is one number, and this has the axis `layer`",
                   "no model is called `lateral`", "no data is called `digits`",
                   "no model is called `classifier`",
                   "no site matches `layer[6].x`", "no site matches `layer[7]`"]),
    ],
)  # fmt: skip
def test_examples_are_right_or_say_what_is_not_built(name: str, others: list[str]) -> None:
    text = (EXAMPLES / f"{name}.nax").read_text(encoding="utf-8")
    found = check_text(f"{name}.nax", text, EXAMPLES).diagnostics
    wrong = [d for d in found if d.severity is Severity.ERROR and d.slug is not Slug.UNBUILT]
    assert [d.message for d in wrong] == others
    for diagnostic in found:
        if diagnostic.slug is Slug.UNBUILT:
            assert re.fullmatch(
                r".*`.+`.* is not built yet|.* run is not built yet", diagnostic.message
            )


# ---- files


def test_a_file_may_import_itself_in_no_way(tmp_path: Path) -> None:
    (tmp_path / "a.nax").write_text("use b: g\nblock f(x) -> []:\n    return g(x)\n")
    (tmp_path / "b.nax").write_text("use a: f\nblock g(x) -> []:\n    return f(x)\n")
    found = check_text("a.nax", (tmp_path / "a.nax").read_text(), tmp_path)
    assert {d.slug for d in found.diagnostics} == {"bad-import"}


def test_a_name_of_this_file_hides_one_of_std_but_not_one_that_is_imported(tmp_path: Path) -> None:
    (tmp_path / "other.nax").write_text("block gelu(x) -> []:\n    return 2 * x\n")
    own = "block gelu(x[d]) -> [d]:\n    return layernorm[d](x)\n"
    assert check_text("a.nax", own, tmp_path).ok
    both = check_text("a.nax", f"use other: gelu\n{own}", tmp_path)
    assert [d.slug for d in both.diagnostics] == ["duplicate-name"]
    named = check_text("a.nax", f"use other: gelu as g\n{own}", tmp_path)
    assert named.ok


def test_an_import_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.nax").write_bytes(b"# caf\xe9\n")
    (tmp_path / "wrong.nax").write_text("block f(x -> []:\n")
    found = check_text("a.nax", "use latin: f\nuse wrong: g, h\n", tmp_path)
    assert [d.slug for d in found.diagnostics] == ["bad-file", "syntax"]
    # what they would define is not missed
    text = "use wrong: g\nblock k(x[d]) -> [d]:\n    return g(x)\n"
    assert [d.slug for d in check_text("a.nax", text, tmp_path).diagnostics] == ["syntax"]


# ---- how much is checked


@pytest.mark.parametrize(
    "after",
    [
        "intervention cut on small:\n    y = mean[b, t](words.tokens)\n",
        'weights w of small from "w.safetensors":\n    p = file["p"]\n',
        "experiment e of small on words:\n    run a = small(x = words.tokens)\n    show a.y\n",
        "train g of small(x = words.tokens) on words:\n    loss = mean[b, t](y)\n"
        "    using sgd(lr = 0.1), batch 4, steps 1\n",
    ],
)
def test_what_stands_after_the_end_of_a_check_is_left(after: str) -> None:
    head = (
        "data words = repeats(n = 4, t = 4, vocab = 8)\n\n"
        "model large[d = 2](x[b, d]) -> [b, d]:\n    repeat layer * 20000:\n        x = x + layer\n"
        "    return x\n\n"
        "model small(x[b, t]) -> [b, t]:\n    param p = 1\n    y = p * x\n    return y\n\n"
    )
    found = check_text("x.nax", head + after)
    assert [d.slug for d in found.diagnostics] == [Slug.TOO_LARGE]
    assert found.ok


def test_a_check_ends_and_a_run_does_not() -> None:
    text = (BAD / "too-large-check.nax").read_text(encoding="utf-8").replace("block", "model")
    started = time.process_time()
    quick = check_text("large.nax", text)
    assert time.process_time() - started < 5
    assert quick.ok
    assert [d.slug for d in quick.diagnostics] == [Slug.TOO_LARGE]
    collector = Collector()
    module = Loader(collector).from_text("large.nax", text, None)
    assert module is not None
    assert not check_module(module, collector).diagnostics


def test_calls_too_deep_for_python_are_an_error() -> None:
    deep = "exp(" * 30 + "f(x)" + ")" * 30
    text = "block f(x) -> []:\n    return " + deep + "\n"
    slugs = {d.slug for d in check_text("deep.nax", text).diagnostics}
    assert slugs <= {Slug.RECURSIVE, Slug.TOO_LARGE}
    assert slugs


# ---- the command


def test_the_command_ends_with_1_for_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    for path in SAMPLES:
        severities = [
            d.severity for d in check_text("", path.read_text(encoding="utf-8"), BAD).diagnostics
        ]
        assert main(["check", str(path)]) == (Severity.ERROR in severities)
        said = capsys.readouterr().err
        assert "^" in said
        assert "Traceback" not in said


def test_the_command_gives_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", str(BAD / "unknown-name.nax")]) == 1
    assert '"slug": "unknown-name"' in capsys.readouterr().out


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nowhere.nax"]) == 1
    assert "error[bad-file]: cannot read nowhere.nax" in capsys.readouterr().err


def test_checking_imports_neither_torch_nor_networkx(tmp_path: Path) -> None:
    shutil.copy(CLEAN / "model.nax", tmp_path)
    shutil.copy(CLEAN / "tiny.nax", tmp_path)
    code = (
        "import sys; from neuraxis.cli import main; code = main(['check', 'tiny.nax']);"
        "heavy = {'torch', 'networkx', 'numpy', 'matplotlib', 'xarray', 'jinja2', 'rich'};"
        "sys.exit(code or ', '.join(heavy & set(sys.modules)) or None)"
    )
    ran = subprocess.run(  # our own code
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2] / "src")},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
