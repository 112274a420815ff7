"""What a sweep over GPT-2 small takes under a budget: peak memory and CPU time of fresh processes.

python bench/sweep_memory.py                       # several budgets beside none, in turns
python bench/sweep_memory.py --one 1073741824      # one of them, in this process

The weights take 0.5 GiB. They are there before, with PyTorch and the data, and are not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

from checkpoints import GPT2
from paired import in_fresh_process, machine, use_threads

SPEC = Path(__file__).with_suffix(".nax")
GIB = 1 << 30
NONE = 64 * GIB
BUDGETS = (NONE, 4 * GIB, 2 * GIB, 3 * GIB // 2, GIB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=int, metavar="BYTES")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--length", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    use_threads(args.threads)
    if args.one is not None:
        print(json.dumps(measured(args.one, args.prompts, args.length)))
        return
    print(f"{machine()}, {args.prompts} pairs of {args.length} tokens")
    sizes = ("--prompts", str(args.prompts), "--length", str(args.length))
    runs: dict[int, list[dict[str, float]]] = {budget: [] for budget in BUDGETS}
    for _ in range(args.rounds):
        for budget in BUDGETS:
            one = in_fresh_process(Path(__file__).name, "--one", str(budget), *sizes)
            runs[budget].append(one)
    for budget, found in runs.items():
        peak = max(run["peak"] for run in found)
        pairs = zip(found, runs[NONE], strict=True)
        ratio = statistics.median(run["seconds"] / alone["seconds"] for run, alone in pairs)
        label = "none    " if budget == NONE else f"{budget / GIB:3.1f} GiB"
        print(
            f"{label}: {peak / GIB:.2f} GiB at the most ({peak / budget:.2f} of it),"
            f" {found[0]['parts']} parts, {found[0]['seconds']:.1f} CPU seconds,"
            f" {ratio:.2f} times that without"
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
