"""Parts of a sweep on the workers of a local Ray cluster, one of which dies."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tests.runtime.test_sweep_parts import folder

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.experiment import run_experiment
from neuraxis.runtime.program import Program
from neuraxis.runtime.sweeps import Running, on_ray

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_without_ray_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program.load(folder(tmp_path))
    study = program.checked.experiments["e"]
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not there
    with pytest.raises(SpecError, match="Ray is not installed here") as caught:
        run_experiment(study, program.model("m"), program.library, how=Running(on="ray"))
    assert caught.value.diagnostics[0].hint == "pip install neuraxis[ray]"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("RAY_DISABLE_MEMORY_MONITOR", "1")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


class Kills:
    """Kills the worker that has just done the first part."""

    def __init__(self, workers: list[int]) -> None:
        self.workers, self.parts = workers, 0

    def start(self, name: str, done: int, total: int) -> None:
        pass

    def advance(self, count: int) -> None:
        self.parts += 1
        if self.parts == 2:
            os.kill(self.workers[0], signal.SIGKILL)

    def stop(self) -> None:
        pass


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Program.load(folder(tmp_path))
    study, model = program.checked.experiments["e"], program.model("m")
    memory = 30 << 10
    wanted = run_experiment(study, model, program.library, how=Running(memory=memory))
    pids: list[int] = []
    plain = on_ray.crew

    def seen(*args: Any) -> Any:
        members = plain(*args)
        pids.extend(cluster.get([member.process.remote() for member in members]))
        return members

    monkeypatch.setattr(on_ray, "crew", seen)
    kills = Kills(pids)
    found = run_experiment(
        study,
        model,
        program.library,
        how=Running(memory=memory, on="ray", folder=tmp_path / "kept", progress=kills),
    )
    assert len(pids) == 2
    assert kills.parts == len(list((tmp_path / "kept" / "parts" / "effect").glob("*.nc"))) > 4
    torch.testing.assert_close(
        torch.tensor(found.values["effect"].values),
        torch.tensor(wanted.values["effect"].values),
        rtol=1e-6,
        atol=1e-6,
    )
