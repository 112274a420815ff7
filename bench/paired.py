"""What the benchmarks share: timed pairs, threads, fresh processes, memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from neuraxis.runtime.timing import pairs

__all__ = ["in_fresh_process", "machine", "pairs", "peak_since", "resident", "use_threads"]


def use_threads(count: int) -> None:
    """Before torch is imported: so many threads. Several wait as they do for a user."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    if count == 1:
        os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    torch.set_num_threads(count)


def in_fresh_process(script: str, *arguments: str) -> dict[str, Any]:
    """Run a script of this folder by itself; the last line that it prints is JSON."""
    command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def resident() -> int:
    """KiB in memory now; the peak starts anew from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def peak_since() -> int:
    """KiB at the most since `resident`."""
    return _status("VmHWM")


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1])
    raise RuntimeError(f"no {key} in /proc/self/status")


def machine() -> str:
    """Of what kind this machine is, and what runs on it."""
    import torch

    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}, {versions}"
