"""Two sweeps over GPT-2 small, and one forward of a small model, beside code written by hand.

    python bench/sweeps_gpt2.py                       # ours alone, in bare forwards
    python bench/sweeps_gpt2.py --bound FILE          # paired with hand-optimised code

FILE is a script that runs by itself with `--size`, `--threads` and `--items`, and leaves behind
`m` (a GPT2LMHeadModel), `I` (token tensors `clean` and `corrupt`), `run`, `fwd`, `sweep_resid` and
`sweep_heads`. It is run, so name one that you trust.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import sys
import tempfile
import time
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
LENGTH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bound", type=Path, metavar="FILE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--forwards", type=int, default=400, help="pairs of the small forward")
    parser.add_argument("--only", choices=("patching", "heads", "forward"))
    parser.add_argument(
        "--source", type=Path, metavar="FOLDER", help="write the emitted source here"
    )
    args = parser.parse_args()
    use_threads(args.threads)
    print(f"{machine()}, {args.threads} threads, prompts of {LENGTH} tokens")
    for name in ("patching", "heads"):
        if args.only in (None, name):
            sweep(name, args)
    if args.only in (None, "forward"):
        forward(args)


def loaded(size: str, args: argparse.Namespace) -> tuple[SpecModel, Any, dict[str, torch.Tensor]]:
    """Our model, whatever has the same weights, and two prompts."""
    import torch

    bound = None if args.bound is None else _run(args.bound, size, args.threads)
    config = SIZES[size]
    theirs = config.theirs() if bound is None else bound.m
    ours, _ = same(config, dict(theirs.named_parameters()))
    if bound is not None:
        return ours, bound, {name: bound.I[name] for name in ("clean", "corrupt")}
    stream = torch.Generator().manual_seed(2)
    draw = (torch.randint(1, config.sizes["vocab"], (1, LENGTH), generator=stream) for _ in "ab")
    return ours, theirs, dict(zip(("clean", "corrupt"), draw, strict=True))


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


def sweep(name: str, args: argparse.Namespace) -> None:
    """One of the two sweeps, run once as a user does, then only what is done again at each run."""
    import torch

    model, other, prompts = loaded("gpt2s", args)
    start = time.process_time()
    values, again, source = prepared(name, model, prompts, GPT2)
    print(f"{name}: {time.process_time() - start:.1f} CPU seconds with checking and compiling")
    if args.source is not None:
        (args.source / f"{name}.py").write_text(source)
    with torch.no_grad():
        if args.bound is None:
            pairs(again, lambda: other(prompts["clean"], use_cache=False), args.pairs).show(
                f"{name} over a bare forward"
            )
            return
        mean = torch.stack([z[0].mean(0) for _, z, _, _ in other.run(prompts["clean"])[1]])
        bound = other.sweep_resid if name == "patching" else (lambda: other.sweep_heads(mean))
        wanted = bound()
        far = float((values - wanted).abs().max() / wanted.abs().max())
        print(f"{name}: largest difference {far:.1e} of the largest effect, {tuple(wanted.shape)}")
        pairs(again, bound, args.pairs).show(f"{name} over the bound")


def prepared(
    name: str, model: SpecModel, prompts: dict[str, torch.Tensor], config: Config
) -> tuple[torch.Tensor, Callable[[], object], str]:
    """The sweep's values; a function that runs its compiled graph again; the emitted source."""
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

    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "prompts.npz", **{k: v.numpy() for k, v in prompts.items()})
        program = Program.load(SPEC, settings=config.settings, root=folder)
        study = program.checked.experiments[name]
        with patch.object(Lowered, "__call__", seen):
            outcome = run_experiment(study, model, program.library)
    lowered, given = calls[0]
    values = torch.as_tensor(outcome.values["effect"].values)
    return values, lambda: lowered(given), lowered.module._artifact.source


def forward(args: argparse.Namespace) -> None:
    """One prompt through four layers of 128: what is left is mostly Python's."""
    import torch

    model, other, prompts = loaded("small", args)
    tokens = prompts["clean"]
    run = other.fwd if args.bound is not None else (lambda x: other(x, use_cache=False).logits)
    with torch.no_grad():
        wanted = run(tokens)
        far = float((model(tokens) - wanted).abs().max() / wanted.abs().max())
        print(f"forward 1 x {LENGTH}: largest difference {far:.1e} of the largest logit")
        label = "the bound" if args.bound is not None else "transformers"
        pairs(lambda: model(tokens), lambda: run(tokens), args.forwards).show(
            f"forward over {label}"
        )


if __name__ == "__main__":
    main()
