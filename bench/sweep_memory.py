"""What a sweep over GPT-2 small takes under a budget: peak memory and CPU time of fresh processes.

python bench/sweep_memory.py                       # several budgets beside none
python bench/sweep_memory.py --one 1073741824      # one of them, in this process
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from checkpoints import GPT2
from paired import in_fresh_process, machine, use_threads

SPEC = Path(__file__).with_suffix(".nax")
GIB = 1 << 30
BUDGETS = (64 * GIB, 4 * GIB, 2 * GIB, GIB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, metavar="BYTES")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    use_threads(args.threads)
    if args.one is not None:
        print(json.dumps(measured(args.one, args.prompts, args.length)))
        return
    print(f"{machine()}, {args.prompts} pairs of {args.length} tokens")
    sizes = ("--prompts", str(args.prompts), "--length", str(args.length))
    runs = [in_fresh_process(__file__, "--one", str(budget), *sizes) for budget in BUDGETS]
    for budget, run in zip(BUDGETS, runs, strict=True):
        print(
            f"{budget / GIB:4.0f} GiB: {run['peak'] / GIB:.2f} GiB at the most"
            f" ({run['peak'] / budget:.2f} of it), {run['parts']} parts,"
            f" {run['seconds']:.1f} CPU seconds, {run['seconds'] / runs[0]['seconds']:.2f}"
            " times that without"
        )


def measured(budget: int, prompts: int, length: int) -> dict[str, float]:
    """One run: bytes above what the process held before the sweep, CPU seconds, parts."""
    import numpy as np
    import torch

    from neuraxis.runtime.program import Program
    from neuraxis.runtime.sweeps import Sweep
    from neuraxis.runtime.sweeps.work import Work

    stream = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        shape = (prompts, length)
        tokens = {n: stream.integers(0, 50257, shape) for n in ("clean", "corrupt")}
        np.savez(Path(folder) / "prompts.npz", **tokens)
        program = Program.load(SPEC, settings=GPT2.settings, root=folder)
        study = program.checked.experiments["patching"]
        given = program.library.given(study)
    model = program.model("gpt2", **GPT2.sizes)
    sweep = Sweep.of(study, study.sweeps[0], given.sizes)
    with torch.no_grad():
        model(given.inputs["prompts.clean"][:1])  # what PyTorch makes at its first call
    before, start = resident(), time.process_time()
    work = Work(sweep, given.inputs, given.sizes, model, seed=0, memory=budget)
    for box in work.boxes:
        work.part(box)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"peak": peak - before, "seconds": seconds, "parts": len(work.boxes)}


def resident() -> int:
    """Bytes in memory now."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


if __name__ == "__main__":
    main()
