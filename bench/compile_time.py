"""What it costs to get from text to PyTorch source, in CPU seconds of fresh processes.

    python bench/compile_time.py            # GPT-2 small, and llama of 10, 20, 40 and 80 layers;
                                            # a sweep over 12 sites of GPT-2 small
    python bench/compile_time.py --profile  # and where the time of the largest goes

Importing torch and drawing initial weights are apart, for a run of any model pays those.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import statistics
import time
from itertools import pairwise

from paired import in_fresh_process, machine

LAYERS = (10, 20, 40, 80)
GOALS = {"gpt2": 1.5, "llama": 10.0, "doubling": 2.3, "sweep": 2.0}
SWEEP = """
use models.gpt2: gpt2

data words = repeats(n = 1, t = 8, vocab = 50257, held = 0)

experiment e of gpt2 on words:
    run clean = gpt2
    sweep effect over l in layer:
        run cut = clean with layer[l].attn = 0
        mean[b](cut.logits[t = -1, vocab = 1])
"""
STAGES = ("imports", "load", "check", "build", "passes", "emit", "compile", "all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5, help="fresh processes of each")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "LAYERS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        name, layers = args.one
        one = swept() if name == "sweep" else measured(name, int(layers), profile=args.profile)
        print(json.dumps(one))
        return
    print(machine())
    rows = [("gpt2", 12), *(("llama", layers) for layers in LAYERS)]
    print(f"{'CPU seconds':16}" + "".join(f"{stage:>9}" for stage in (*STAGES, "draw")))
    compiled: list[float] = []
    for model, layers in rows:
        runs = [
            in_fresh_process("compile_time.py", "--one", model, str(layers))
            for _ in range(args.runs)
        ]
        found = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
        shown = "".join(f"{found[stage]:9.3f}" for stage in (*STAGES, "draw") if stage in found)
        print(f"{model} x {layers:<9}{shown}", flush=True)
        if model == "gpt2":
            print(_verdict("GPT-2 small in all", found["all"], GOALS["gpt2"]))
            continue
        compiled.append(found["all"] - found["imports"] - found["load"])
        if layers == LAYERS[-1]:
            print(_verdict(f"llama x {layers} in all", found["all"], GOALS["llama"]))
    for layers, (one, two) in zip(LAYERS[1:], pairwise(compiled), strict=True):
        print(_verdict(f"{layers} layers over {layers // 2}", two / one, GOALS["doubling"]))
    again = [in_fresh_process("compile_time.py", "--one", "sweep", "12") for _ in range(args.runs)]
    spent = statistics.median(run["compile"] for run in again)
    print(_verdict("a sweep over 12 sites of GPT-2 small", spent, GOALS["sweep"]))
    if args.profile:
        measured("llama", LAYERS[-1], profile=True)


def _verdict(what: str, found: float, goal: float) -> str:
    return f"{what}: {found:.2f}, goal {goal}: {'met' if found <= goal else 'NOT MET'}"


def measured(name: str, layers: int, *, profile: bool = False) -> dict[str, float]:
    """Every stage once, in this process. Weights are drawn for GPT-2 alone: llama's are large."""
    import torch  # noqa: F401  # not counted

    clock = [time.process_time()]
    from neuraxis.compiler.build import build
    from neuraxis.compiler.context import Context
    from neuraxis.compiler.driver import compile_graph
    from neuraxis.compiler.emit import emit
    from neuraxis.runtime.module import build as module_of
    from neuraxis.runtime.program import Program

    clock.append(time.process_time())
    program = Program.from_text(f"use models.{name}: {name}\n")
    clock.append(time.process_time())
    watch = cProfile.Profile()
    if profile:
        watch.enable()
    checked = program.elaborated(name, {"L": layers})
    clock.append(time.process_time())
    graph = build(checked)
    clock.append(time.process_time())
    graph = compile_graph(graph, Context())
    clock.append(time.process_time())
    artifact = emit(graph, checked)
    clock.append(time.process_time())
    compile(artifact.source, "emitted", "exec")
    clock.append(time.process_time())
    if profile:
        watch.disable()
        pstats.Stats(watch).sort_stats("tottime").print_stats(25)
    spent = [late - early for early, late in pairwise(clock)]
    found = dict(zip(STAGES, (*spent, clock[-1] - clock[0]), strict=True))
    if name == "gpt2":
        module_of(graph, checked)
        found["draw"] = time.process_time() - clock[-1] - found["emit"]
    return found


def swept() -> dict[str, float]:
    """From an experiment that is checked to the code of all members of its sweep."""
    from neuraxis.runtime.program import Program
    from neuraxis.runtime.sweeps import Sweep
    from neuraxis.runtime.sweeps.work import Work

    program = Program.from_text(SWEEP)
    study = program.checked.experiments["e"]
    given = program.library.given(study)
    model = program.model("gpt2")
    start = time.process_time()
    sweep = Sweep.of(study, study.sweeps[0], given.sizes)
    work = Work(sweep, given.inputs, given.sizes, model, seed=0, memory=1 << 30)
    assert len(work.boxes) == 1
    work._lower(work._graph)  # what a part runs
    return {"compile": time.process_time() - start}


if __name__ == "__main__":
    main()
