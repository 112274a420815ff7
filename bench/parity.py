"""The same weights in transformers and in the emitted module: numbers, time and memory.

python bench/parity.py --threads 1
python bench/parity.py --threads 2 --pairs 40
python bench/parity.py --only numbers     # or time, or memory
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
from typing import TYPE_CHECKING, Any

from checkpoints import GPT2, LLAMA, Config, by_address, same
from paired import in_fresh_process, machine, pairs, peak_since, resident, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

MODELS = {"gpt2": GPT2, "llama": LLAMA}
BATCH, LENGTH = 4, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--models", nargs="*", choices=MODELS, default=[*MODELS])
    parser.add_argument("--only", choices=("numbers", "time", "memory"))
    parser.add_argument(
        "--steps", nargs="*", choices=("forward", "both"), default=["forward", "both"]
    )
    parser.add_argument(
        "--one", nargs=3, metavar=("MODEL", "WHOSE", "STEP"), help=argparse.SUPPRESS
    )
    args = parser.parse_args()
    use_threads(args.threads)
    if args.one:
        print(json.dumps({"KiB": peak(MODELS[args.one[0]], *args.one[1:])}))
        return
    print(f"{machine()}, {args.threads} threads, batch {BATCH} x {LENGTH}")
    for name in args.models:
        if args.only != "memory":
            compared(MODELS[name], args)
        if args.only in (None, "memory"):
            memory(name, args)


def compared(config: Config, args: argparse.Namespace) -> None:
    """Logits and gradients, then times."""
    import torch

    theirs = config.theirs()
    ours, program = same(config, dict(theirs.named_parameters()))
    tokens = _tokens(config)

    def their_logits() -> torch.Tensor:
        found: torch.Tensor = theirs(tokens, use_cache=False).logits
        return found

    def our_logits() -> torch.Tensor:
        found: torch.Tensor = ours(tokens)
        return found

    if args.only in (None, "numbers"):
        _numbers(config, theirs, ours, program, their_logits, our_logits, tokens)
    if args.only in (None, "time"):
        if "forward" in args.steps:
            with torch.no_grad():
                pairs(our_logits, their_logits, args.pairs).show(f"{config.name} forward")
        if "both" in args.steps:
            both = [
                _step(model, f, tokens) for model, f in ((ours, our_logits), (theirs, their_logits))
            ]
            pairs(*both, args.pairs).show(f"{config.name} forward and backward")


def _tokens(config: Config) -> torch.Tensor:
    import torch

    stream = torch.Generator().manual_seed(1)
    return torch.randint(0, config.sizes["vocab"], (BATCH, LENGTH), generator=stream)


def _step(
    model: torch.nn.Module, logits: Callable[[], torch.Tensor], tokens: torch.Tensor
) -> Callable[[], None]:
    """Forward, the loss of a language model, backward; gradients are made anew each time."""
    from torch.nn.functional import cross_entropy

    def step() -> None:
        model.zero_grad(set_to_none=True)
        cross_entropy(logits()[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()

    return step


def _numbers(
    config: Config, theirs: torch.nn.Module, ours: Any, program: Any,
    their_logits: Callable[[], torch.Tensor], our_logits: Callable[[], torch.Tensor],
    tokens: torch.Tensor,
) -> None:  # fmt: skip
    import torch

    with torch.no_grad():
        print(f"{config.name} logits      {_far(our_logits(), their_logits()):.1e}, goal 1e-4")
    _step(theirs, their_logits, tokens)()
    _step(ours, our_logits, tokens)()
    named = {
        name: value.grad for name, value in theirs.named_parameters() if value.grad is not None
    }
    wanted = by_address(program, named)
    far = {
        address: _far(parameter.grad, torch.as_tensor(wanted[address]))
        for address, parameter in ours.parameters_by_site()[0].items()
        if not address.endswith("key.b")  # no gradient but rounding: softmax does not see it
    }
    worst = max(far, key=far.__getitem__)
    print(f"{config.name} gradients   {far[worst]:.1e}, goal 1e-3 ({len(far)}, worst at {worst})")


def _far(found: Any, wanted: torch.Tensor) -> float:
    """The largest difference, relative to the largest number wanted."""
    return float((found.detach() - wanted.detach()).abs().max() / wanted.detach().abs().max())


def memory(name: str, args: argparse.Namespace) -> None:
    """The peak over what is resident after loading, each in fresh processes in turn."""
    for step in args.steps:
        found: dict[str, list[int]] = {"ours": [], "theirs": []}
        for _ in range(5):
            for whose, peaks in found.items():
                one = ("--threads", str(args.threads), "--one", name, whose, step)
                peaks.append(in_fresh_process("parity.py", *one)["KiB"])
        ours, theirs = (statistics.median(peaks) for peaks in found.values())
        label = "forward" if step == "forward" else "forward and backward"
        print(f"{name} {label} memory {ours / theirs:.3f}  {ours // 1024} / {theirs // 1024} MiB")


def peak(config: Config, whose: str, step: str) -> int:
    """KiB at the peak of one step, over what is resident after loading."""
    import torch

    model: Any = config.theirs()
    if whose == "ours":
        model, _ = same(config, dict(model.named_parameters()))
    tokens = _tokens(config)

    def logits() -> torch.Tensor:
        found: torch.Tensor = (
            model(tokens) if whose == "ours" else model(tokens, use_cache=False).logits
        )
        return found

    gc.collect()
    before = resident()
    if step == "forward":
        with torch.no_grad():
            logits()
    else:
        _step(model, logits, tokens)()
    return peak_since() - before


if __name__ == "__main__":
    main()
