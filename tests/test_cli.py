from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.test_layers import fresh

from neuraxis import cli
from neuraxis.cli import main
from neuraxis.compiler.passes import PASSES
from neuraxis.dsl.format import format_spec
from neuraxis.dsl.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD = """\
model small[d = 2](x[b, t, d], L = 3) -> [b, t, d]:
    repeat layer * L:
        attn = causal_attention[h = 2, k = 2](x)
        x = x + attn
    return x
"""
BAD = "model small(x[b]) -> [b]:\n    return y\n"


@pytest.fixture
def spec(tmp_path: Path) -> Callable[[str], str]:
    """Writes a text to a file; gives its path."""

    def write(text: str, name: str = "spec.nax") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


Spec = "Callable[[str], str]"


# ---- check


def test_check(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", spec(GOOD)]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["check", spec(BAD)]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("error[unknown-name]:")
    assert "\x1b" not in error


def test_check_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(GOOD))
    assert main(["check", "-"]) == 0


def test_check_as_json(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", spec(GOOD)]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["check", "--json", spec(BAD), "nowhere.nax"]) == 1
    wrong, missing = json.loads(capsys.readouterr().out)
    assert (wrong["slug"], wrong["line"], wrong["column"]) == ("unknown-name", 2, 12)
    assert missing["slug"] == "bad-file"


def test_warnings_are_no_failure(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    text = "model m(x[b], y[c]) -> [b, c]:\n    return x + y\n"
    assert main(["check", spec(text)]) == 0
    assert capsys.readouterr().err.startswith("warning[shared-no-axis]:")


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_reading_a_spec_never_imports_torch(command: str, spec: Spec) -> None:
    path = spec(format_spec(Source("", GOOD)))
    code = f"""
import sys
from neuraxis.cli import main
assert main([{command!r}, {path!r}]) == 0
print({{"torch", "networkx", "matplotlib", "xarray"}} & set(sys.modules))
"""
    assert fresh(code).splitlines()[-1] == "set()"


# ---- fmt


def test_fmt(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec(GOOD.replace("x + attn", "x+attn"))
    Path(path).chmod(0o640)
    assert main(["fmt", "--check", path]) == 1
    assert "x+attn" in Path(path).read_text(encoding="utf-8")
    assert main(["fmt", path]) == 0
    assert Path(path).read_text(encoding="utf-8") == format_spec(Source(path, GOOD))
    assert Path(path).stat().st_mode & 0o777 == 0o640
    assert capsys.readouterr().out == f"{path} would change\n{path} formatted\n"
    assert main(["fmt", "--check", path]) == 0
    assert main(["fmt", path]) == 0
    assert capsys.readouterr().out == ""


def test_fmt_leaves_what_it_cannot_read(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec("model m(:\n")
    assert main(["fmt", path]) == 1
    assert Path(path).read_text(encoding="utf-8") == "model m(:\n"
    assert "error[" in capsys.readouterr().err


# ---- sites, show, explain, emit


def test_sites(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sites", spec(GOOD), "small", "layer[*].attn.z"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"layer[{n}].attn.z[b, t, h=2, k=2]: float" for n in range(3)]
    assert main(["sites", spec(GOOD), "small", "layer[*].attn.zz", "--set", "small.L=1"]) == 1
    assert "no site matches `layer[*].attn.zz`" in capsys.readouterr().err


def test_show(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", spec(GOOD)]) == 0
    last = capsys.readouterr().out
    assert last.startswith("%v")
    assert last.endswith("\n")
    assert not last.endswith("\n\n")
    for name in ["build", *(row.name for row in PASSES)]:
        assert main(["show", spec(GOOD), "small", "--after", name]) == 0
        shown = capsys.readouterr().out
    assert shown == last
    assert main(["show", spec(GOOD), "--dot"]) == 0
    assert capsys.readouterr().out.startswith("digraph {")
    assert main(["show", spec(GOOD), "--after", "hoits"]) == 1
    assert "did you mean `hoist`?" in capsys.readouterr().err
    assert main(["emit", spec(GOOD), "--to", "graph"]) == 0
    assert capsys.readouterr().out == last


def test_emit(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from neuraxis.runtime.program import Program

    path = spec(GOOD)
    assert main(["emit", path]) == 0
    source = capsys.readouterr().out
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(compile(source, "emitted", "exec"), namespace)
    own, model = namespace["Small"](), Program.load(path).model()
    own.load_state_dict(model.state_dict())
    x = torch.randn(2, 5, 2)
    torch.testing.assert_close(own(x), model(x))


def test_explain_a_model(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        GOOD
        + """
model open[d = 2, vocab = 5](tokens[b, t]: int) -> [b, t, d], [b, t, s]:
    x = embed[vocab -> d](tokens)
    q = linear[d -> d](x)
    pattern = softmax[s](where(s <= t, dot[d](q, x[t -> s]), -inf))
    scan t:
        carry y[d] = 0
        y = tanh(y + x)
    return y + dot[s](pattern, x[t -> s]), pattern
"""
    )
    assert main(["explain", spec(text), "small"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("small: ")
    assert "layer[*].attn.z (3 times)" in out
    assert "F.scaled_dot_product_attention, causal: the pattern is not stored" in out
    assert "layer[*].attn: q, key, v (3 times)  one product" in out
    assert main(["explain", spec(text)]) == 0
    out = capsys.readouterr().out
    assert "in the open, because pattern is read by the model's results" in out
    assert "F.embedding of x.w" in out
    assert "step by step along t: 1 carry, 2 operations a step" in out
    assert "4 * b flops and 16 * b bytes a step" in out
    assert "nonlinear, each element by itself: the carry goes through `tanh`" in out


def test_the_kernels_of_a_model(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    text = """
model twice[d = 2](x[b, t, d], at[b, t]: int) -> [b, t, d], [b, t, d]:
    scan t:
        carry y[d] = 0
        y = tanh(y + x)
    scan t:
        carry z[d] = 0
        z = x + z[d = at % 2]
    return y, z
"""
    assert main(["emit", spec(text), "twice", "--to", "cpp"]) == 0
    out = capsys.readouterr().out
    assert "// A recurrence, written by neuraxis." in out
    assert "// The way back of a recurrence, written by neuraxis." in out
    assert "no kernel: a gather that may be out of range" in out


def test_kernels_for_a_gpu(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    text = """
model wound[d = 8](x[b, t, d]) -> [b, t, d]:
    near = window_attention[h = 2, k = 4](x, window = 3)
    scan t:
        carry y[d] = 0
        y = tanh(y + near)
    return y
"""
    assert main(["emit", spec(text), "wound", "--to", "triton"]) == 0
    out = capsys.readouterr().out
    assert "# A recurrence, written by neuraxis." in out
    assert "# Attention, written by neuraxis." in out
    assert "# Attention, the way back by keys, written by neuraxis." in out


def test_what_is_said_of_a_gpu(
    spec: Spec, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("triton")
    from neuraxis.runtime import gpu

    text = """
model wound[d = 8](x[b, t, d]) -> [b, t, d]:
    near = window_attention[h = 2, k = 4](x, window = 3)
    all = causal_attention[h = 2, k = 4](x)
    scan t:
        carry y[d] = 0
        y = 0.5 * y + near + all
    return y
"""
    path = spec(text)
    monkeypatch.setattr(gpu, "DEVICES", frozenset())
    assert main(["explain", path]) == 0
    if not gpu.runs_here():
        assert "GPU" not in capsys.readouterr().out
    monkeypatch.setattr(gpu, "DEVICES", frozenset(["cpu"]))
    assert main(["explain", path]) == 0
    out = capsys.readouterr().out
    assert "a Triton kernel, from 16 queries on" in out
    assert "a Triton kernel, step by step, 8 of d in a program" in out


def test_a_recurrence_in_parallel(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    text = """
model fading[d = 2](x[b, t, d]) -> [b, t, d]:
    scan t:
        carry y[d] = 0
        y = 0.5 * y + x
    return y
"""
    path = spec(text)
    assert main(["explain", path]) == 0
    assert "associative scan in chunks" in capsys.readouterr().out
    assert main(["emit", path]) == 0
    steps = capsys.readouterr().out
    assert main(["emit", path, "--recurrences", "parallel"]) == 0
    parallel = capsys.readouterr().out
    x = torch.randn(2, 70, 2)
    found = []
    for source in (steps, parallel):
        namespace: dict[str, type[torch.nn.Module]] = {}
        exec(compile(source, "emitted", "exec"), namespace)
        found.append(namespace["Fading"]()(x))
    assert steps != parallel
    torch.testing.assert_close(*found)


SWEEPS = (
    GOOD
    + """
data points = npy("{file}"): n[t]: int

model reader[d = 2, vocab = 5](tokens[b, t]: int, L = 3) -> [b, t, d]:
    x = embed[vocab -> d](tokens)
    repeat layer * L:
        attn = causal_attention[h = 2, k = 2](x)
        x = x + attn
    return x

experiment look of reader on points:
    run clean = reader(tokens = points.n)
    run other = reader(tokens = points.n + 1)
    sweep effect over l in layer, p in t:
        run patched = other with layer[l].x[t = p] from clean
        mean[b, d](patched.out[t = -1])
    sweep curve over g in [0, 1]:
        run pushed = clean with layer[0].attn *= g
        mean[b, t, d](pushed.out)
"""
)


def test_bench_times_a_model_against_plain_pytorch(
    spec: Spec, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "model kept[d = 4](x[b, t, d]) -> [b, t, n]:\n    return gru[n = 4](x)\n"
    path = spec(text)
    assert main(["bench", path, "--size", "t=5", "--size", "b=2", "--pairs", "2"]) == 0
    printed = capsys.readouterr().out
    assert "kept at t = 5, b = 2" in printed
    assert [line.split("  ")[0] for line in printed.splitlines()[2:]] == [
        "forward",
        "forward and backward",
    ]
    for size, message in (("q=3", "no size `q`"), ("t", "`t` is no size")):
        assert main(["bench", path, "--size", size]) == 1
        assert message in capsys.readouterr().err
    assert main(["bench", path, "--pairs", "0"]) == 1


def test_explain_sweeps(spec: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    np.save(tmp_path / "x.npy", np.zeros((2, 5), np.int64))
    assert main(["explain", spec(SWEEPS.replace("{file}", "x.npy")), "reader"]) == 0
    out = capsys.readouterr().out
    assert "  effect, 3 x 5 members:\n    lifted from patched:layer[0].x down" in out
    assert "members enter at their own depth" in out
    assert "along t, only positions that differ are computed again" in out
    assert "of what is measured, only the part that is read is computed" in out
    assert "  curve, 2 members:\n    every member whole from the first write on, because" in out
    assert main(["explain", spec(SWEEPS.replace("{file}", "none.npy"))]) == 0
    out = capsys.readouterr().out
    assert "  effect, 3 x 8 members:" in out
    assert "(the data cannot be read: 8 stands for each size that it has)" in out


# ---- exit codes


def test_wrong_command_lines_are_mistakes_of_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["nonsense"], ["check"], ["run", "x.nax", "--seed", "one"]):
        with pytest.raises(SystemExit) as stop:
            main(line)
        assert stop.value.code == 1
    assert "usage: neuraxis" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emit", "nowhere.nax"]) == 1
    assert "cannot read nowhere.nax" in capsys.readouterr().err


def test_a_mistake_of_ours(
    spec: Spec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("so it is")

    monkeypatch.setattr(cli, "check_text", broken)
    assert main(["check", spec(GOOD)]) == 70
    error = capsys.readouterr().err
    assert error.startswith("error[internal]: ValueError: so it is")
    assert "Traceback" not in error
    assert main(["--debug", "check", spec(GOOD)]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_interrupted(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "check_text", interrupted)
    assert main(["check", spec(GOOD)]) == 130


def test_colours_are_for_terminals() -> None:
    text = "error[syntax]: no\n  = hint: yes"
    shown = cli._coloured(text)
    assert shown.startswith("\x1b[1;31merror\x1b[0m[syntax]")
    assert "= \x1b[32mhint\x1b[0m: yes" in shown
