"""How often the C++ compiler is called, and that several processes may share one folder."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.export import Dim

from neuraxis.runtime import cpp, kernels
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cxx

DEEP = """
model deep[d = 6](x[b, t, d], L = 24) -> [b, t, d]:
    repeat layer * L:
        y = linear[d -> d](x)
        scan t:
            carry s[d] = 0
            s = 0.5 * s + tanh(y + {by} * s)
        x = x + s
    return x
"""
ONCE = """
import ctypes, sys
from neuraxis.runtime import cpp
source = 'extern "C" void add(void *const *p, const long *n) { *(REAL *)p[0] += n[0]; }'
command = cpp.compiler()
for _ in range(2):
    add = cpp.loaded(command, [source], ["add"], "double")["add"]
number = ctypes.c_double(1.5)
add(ctypes.byref(ctypes.c_void_p(ctypes.addressof(number))), ctypes.byref(ctypes.c_long(2)))
print(number.value, "torch" in sys.modules)
"""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The texts that are given to the compiler, with an empty folder and nothing known."""
    found: list[str] = []
    compile_ = cpp._compile

    def counted(command: str, flags: Any, text: str, path: Path) -> None:
        found.append(text)
        compile_(command, flags, text, path)

    monkeypatch.setenv("NEURAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(kernels, "_known", {})
    monkeypatch.setattr(cpp, "_compile", counted)
    return found


def test_equal_layers_are_compiled_once(calls: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """24 layers are one kernel and one for the way back, and a warm start compiles nothing."""
    for turn in range(2):
        model = Program.from_text(DEEP.format(by=0.25)).model("deep")
        assert len(model._artifact.kernels) == 1
        x = torch.ones(2, 3, 6, requires_grad=True)
        for _ in range(2):
            model(x).sum().backward()
        assert len(calls) == 2
        if turn == 0:
            _forget(monkeypatch)


def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the process were new: PyTorch keeps operators, so what is loaded anew has new names."""
    monkeypatch.setattr(kernels, "_known", {})
    operators: Any = kernels.Operator
    names = iter(range(1000))
    start = operators.__init__

    def renamed(self: Any, name: str, *rest: Any, **more: Any) -> None:
        start(self, f"{name}_again_{next(names)}", *rest, **more)

    monkeypatch.setattr(operators, "__init__", renamed)


def test_processes_share_a_folder(tmp_path: Path) -> None:
    """Six at once compile the same: all are right, and no half-written file is left."""
    environment = {**os.environ, "NEURAXIS_CACHE": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ONCE], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(6)
    ]
    said = [process.communicate()[0] for process in running]
    assert said == ["3.5 False\n"] * 6
    assert [path.suffix for path in tmp_path.iterdir()] == [".so"]


def test_it_is_exported_for_any_number_of_steps() -> None:
    model = Program.from_text(DEEP.format(by=0.0625)).model("deep", L=2).double()
    x = torch.rand(2, 5, 6, dtype=torch.float64)
    exported = torch.export.export(model, (x,), dynamic_shapes=(({1: Dim("t", min=2, max=64)},),))
    longer = torch.rand(2, 9, 6, dtype=torch.float64)
    with torch.no_grad():
        assert_close(exported.module()(longer), model(longer).numpy())
