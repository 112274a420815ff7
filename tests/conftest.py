"""What all tests share: goldens, what this machine can run, and how many examples are drawn."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import HealthCheck, settings

# Triton reads this when it is imported: without a GPU, its kernels are run by NumPy
if not Path("/dev/nvidia0").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# a slow machine is no failing test; what must be fast is timed by itself
settings.register_profile(
    "default", max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
# continuous integration draws the same each time: what it finds is of the change that it looks at
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.register_profile("nightly", settings.get_profile("default"), max_examples=5000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default")
settings.load_profile(PROFILE)


class Golden(Protocol):
    """Compares a text with the one kept in a file."""

    def __call__(self, name: str | Path, text: str) -> None: ...


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the kept texts; review the diff"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(name, text)`: the file, named from the test's folder, holds just this text."""

    def compare(name: str | Path, text: str) -> None:
        path = request.path.parent / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        assert path.exists(), f"{path} is missing; run pytest with --update-golden to make it"
        assert text == path.read_text(encoding="utf-8")

    return compare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say why."""
    for item in items:
        for marker, (can_run, reason) in ABILITIES.items():
            if marker in item.keywords and not can_run():
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests that say so compile kernels, and do so fast."""
    if "cxx" in request.keywords:
        monkeypatch.setenv("NEURAXIS_CXXFLAGS", "-O1")
    else:
        monkeypatch.setenv("NEURAXIS_CXX", "none")


def _has_gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _has_compiler() -> bool:
    return any(map(shutil.which, [os.environ.get("CXX", "c++"), "g++", "clang++"]))


ABILITIES = {
    "gpu": (_has_gpu, "needs a GPU"),
    "cxx": (_has_compiler, "needs a C++ compiler"),
    "nightly": (lambda: PROFILE == "nightly", "runs with HYPOTHESIS_PROFILE=nightly"),
}


def pytest_sessionstart() -> None:
    """Ctrl-C is pressed by tests; a run in the background starts with it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
