"""What interventions on GPT-2 take: forwards, sweeps, attribution, all edges, steered decoding.

    python bench/interventions.py                       # in bare forwards of transformers
    python bench/interventions.py --bound FILE          # paired with hand-optimised code
    python bench/interventions.py --size small --only edges integrated

FILE is a script that runs by itself with `--size`, `--threads` and `--items`, and leaves behind
`m` (a GPT2LMHeadModel), `I` (token tensors `clean`, `corrupt` and `batch`, the vector `vec` that
is added to what enters layer `layer`), `run`, `fwd`, `cached`, `sweep_resid`, `sweep_heads`,
`attribution` and `generate`. It is run, so name one that you trust. For all edges it has nothing:
these are in bare forwards of the same prompt.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from checkpoints import GPT2, GPT2_TINY, Config, same
from paired import machine, pairs, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from neuraxis.runtime.model import SpecModel

SPEC = Path(__file__).with_suffix(".nax")
SIZES = {"gpt2s": GPT2, "small": GPT2_TINY}
LENGTH, BATCH = 16, (8, 64)
KEPT = ["layer[*].in.x", "layer[*].attn.z"]


@dataclass(frozen=True)
class Case:
    """Our model, what has the same weights, and prompts; `bound` is None beside bare forwards."""

    model: SpecModel
    bare: Any
    bound: Any
    prompts: dict[str, torch.Tensor]
    config: Config


def main() -> None:
    works = {
        "forward": forward, "batch": batch, "kept": kept, "patching": study, "heads": study,
        "attribution": study, "edges": study, "integrated": study,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bound", type=Path, metavar="FILE")
    parser.add_argument("--size", choices=SIZES, default="gpt2s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=10, help="ten times as many of one forward")
    parser.add_argument("--only", nargs="+", choices=works, default=list(works))
    parser.add_argument(
        "--source", type=Path, metavar="FOLDER", help="write the emitted source here"
    )
    args = parser.parse_args()
    use_threads(args.threads)
    print(f"{machine()}, {args.threads} threads, {args.size}, prompts of {LENGTH} tokens")
    case = loaded(args.size, args)
    for name in args.only:
        works[name](name, case, args)


def loaded(size: str, args: argparse.Namespace) -> Case:
    """Our model, whatever has the same weights, and prompts."""
    import torch

    bound = None if args.bound is None else _run(args.bound, size, args.threads)
    config = SIZES[size]
    theirs = config.theirs() if bound is None else bound.m
    ours, _ = same(config, dict(theirs.named_parameters()))
    if bound is not None:
        prompts = {name: bound.I[name] for name in ("clean", "corrupt", "batch")}
    else:
        stream = torch.Generator().manual_seed(2)
        shapes = {"clean": (1, LENGTH), "corrupt": (1, LENGTH), "batch": BATCH}
        prompts = {
            name: torch.randint(1, config.sizes["vocab"], shape, generator=stream)
            for name, shape in shapes.items()
        }
    return Case(ours, theirs, bound, prompts, config)


def _run(path: Path, size: str, threads: int) -> Any:
    """The names that the script leaves behind."""
    spec = importlib.util.spec_from_file_location(f"bound_{size}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    argv = [str(path), "--size", size, "--threads", str(threads), "--items", "none"]
    silent = contextlib.redirect_stdout(io.StringIO())
    with (
        patch.object(sys, "argv", argv),
        patch.object(sys, "path", [str(path.parent), *sys.path]),
        silent,
    ):
        spec.loader.exec_module(module)
    return module


def forward(name: str, case: Case, args: argparse.Namespace) -> None:
    """One prompt: in a small model what is left is mostly Python's."""
    _logits(name, case, "clean", 10 * args.pairs)


def batch(name: str, case: Case, args: argparse.Namespace) -> None:
    """Eight prompts of 64 tokens."""
    _logits(name, case, "batch", args.pairs)


def _logits(name: str, case: Case, prompt: str, count: int) -> None:
    import torch

    tokens = case.prompts[prompt]
    run = case.bound.fwd if case.bound else lambda x: case.bare(x, use_cache=False).logits
    with torch.no_grad():
        _far(name, case.model(tokens), run(tokens))
        pairs(lambda: case.model(tokens), lambda: run(tokens), count).show(_label(name, case))


def kept(name: str, case: Case, args: argparse.Namespace) -> None:
    """The same eight, and what enters each layer and what each head makes is kept."""
    import torch

    tokens = case.prompts["batch"]
    keep = (
        case.bound.cached
        if case.bound
        else lambda x: case.bare(x, use_cache=False, output_hidden_states=True)
    )
    with torch.no_grad():
        pairs(lambda: case.model.trace(tokens, sites=KEPT), lambda: keep(tokens), args.pairs).show(
            _label(name, case)
        )


def study(name: str, case: Case, args: argparse.Namespace) -> None:
    """An experiment, run once as a user does, then only what is done again at each run."""
    import torch

    start = time.process_time()
    values, again, source = prepared(name, case.model, case.prompts, case.config)
    print(f"{name}: {time.process_time() - start:.1f} CPU seconds with checking and compiling")
    if args.source is not None:
        args.source.mkdir(parents=True, exist_ok=True)
        (args.source / f"{name}.py").write_text(source)
    with torch.no_grad():
        bound = _bound(name, case)
        if bound is not None:
            _far(name, values, bound())
            pairs(again, bound, args.pairs).show(_label(name, case))
            return
        tokens = case.prompts["clean"]
        pairs(again, lambda: case.bare(tokens, use_cache=False), args.pairs).show(
            f"{name} in bare forwards"
        )


def _bound(name: str, case: Case) -> Callable[[], Any] | None:
    """What the hand-optimised code has for an experiment."""
    import torch

    if case.bound is None:
        return None
    if name == "heads":
        mean = torch.stack(
            [z[0].mean(0) for _, z, _, _ in case.bound.run(case.prompts["clean"])[1]]
        )
        return lambda: case.bound.sweep_heads(mean)
    if name == "attribution":
        return torch.enable_grad()(case.bound.attribution)
    return case.bound.sweep_resid if name == "patching" else None


def prepared(
    name: str, model: SpecModel, prompts: dict[str, torch.Tensor], config: Config
) -> tuple[torch.Tensor, Callable[[], object], str]:
    """The effects; a function that runs the compiled graphs again; the emitted source."""
    import numpy as np
    import torch

    from neuraxis.runtime.experiment import run_experiment
    from neuraxis.runtime.lowering import Lowered
    from neuraxis.runtime.program import Program

    calls: list[tuple[Lowered, Any]] = []
    plain = Lowered.__call__

    def seen(lowered: Lowered, given: Any) -> Any:
        calls.append((lowered, given))
        return plain(lowered, given)

    pair = {key: prompts[key].numpy() for key in ("clean", "corrupt")}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "prompts.npz", **pair)
        program = Program.load(SPEC, settings=config.settings, root=folder)
        study = program.checked.experiments[name]
        with patch.object(Lowered, "__call__", seen):
            outcome = run_experiment(study, model, program.library)
    values = torch.as_tensor(outcome.values["effect"].values)
    source = "\n".join(lowered.module._artifact.source for lowered, _ in calls)
    return values, lambda: [lowered(given) for lowered, given in calls], source


def _far(name: str, found: torch.Tensor, wanted: torch.Tensor) -> None:
    far = float((found - wanted).abs().max() / wanted.abs().max())
    print(f"{name}: largest difference {far:.1e} of the largest, {tuple(wanted.shape)}")


def _label(name: str, case: Case) -> str:
    return f"{name} over {'transformers' if case.bound is None else 'the bound'}"


if __name__ == "__main__":
    main()
