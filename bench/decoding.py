"""Decoding: 32 greedy tokens of GPT-2 with a steering vector, and 100,000 of a recurrent model.

    python bench/decoding.py                       # beside a whole run for each token
    python bench/decoding.py --bound FILE          # paired with hand-optimised code
    python bench/decoding.py --only long           # constant time and memory a token

FILE is as `bench/interventions.py` has it: `generate` adds `I["vec"]` to what enters layer
`I["layer"]`. It is run, so name one that you trust.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interventions import LENGTH, loaded
from paired import machine, pairs, use_threads

if TYPE_CHECKING:
    import torch

    from neuraxis.runtime.model import SpecModel

NEW = 32
STEERED = """
use models.gpt2: gpt2

intervention steer(l, v[d]) on gpt2:
    layer[l].x += v
"""
LONG = """
model recurrent[d = 32, vocab = 64](tokens[b, t]: int, L = 2) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    repeat layer * L:
        mixed = gla[h = 2, k = 16, v = 16](rmsnorm[d](x))
        x = x + mixed
    return linear[d -> vocab](rmsnorm[d](x))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bound", type=Path, metavar="FILE")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--only", choices=("small", "gpt2s", "long"))
    parser.add_argument("--tokens", type=int, default=100_000, help="of the recurrent model")
    args = parser.parse_args()
    use_threads(args.threads)
    print(f"{machine()}, {args.threads} threads")
    for size in ("small", "gpt2s"):
        if args.only in (None, size):
            steered(size, args)
    if args.only in (None, "long"):
        long(args.tokens)


def steered(size: str, args: argparse.Namespace) -> None:
    """Ours and other code from one prompt: the same tokens, in pairs."""
    import torch

    case = loaded(size, args)
    model, other = case.model, case.bound
    given = {"l": len(model.layer) // 2 - 1, "v": torch.randn(model.wte.shape[1])}
    if args.bound is not None:
        given = {"l": other.I["layer"] - 1, "v": other.I["vec"]}
    ours = under(model, **given)
    tokens = case.prompts["clean"]

    def decoded() -> torch.Tensor:
        return ours.decode(tokens, steps=NEW).tokens

    def again() -> torch.Tensor:
        whole = tokens
        with torch.no_grad():
            for _ in range(NEW):
                whole = torch.cat([whole, ours(whole)[:, -1:].argmax(-1)], 1)
        return whole[:, tokens.shape[1] :]

    theirs = again if args.bound is None else (lambda: other.generate()[:, tokens.shape[1] :])
    start = time.process_time()
    found = decoded()
    print(f"{size}: {time.process_time() - start:.1f} CPU seconds with deriving and compiling")
    same = (found == theirs()).float().mean()
    print(f"{size}: {NEW} tokens after {LENGTH}, {float(same):.0%} the same")
    label = "the bound" if args.bound is not None else "a whole run for each"
    pairs(decoded, theirs, args.pairs).show(f"{size} over {label}")


def under(model: SpecModel, **given: Any) -> SpecModel:
    """The model with a steering vector."""
    from neuraxis.runtime.program import Program

    sizes = dict(zip(("vocab", "d"), model.wte.shape, strict=True))
    attn = model.layer[0].attn.q.w.shape
    turns, ctx = len(model.layer), model.wpe.shape[0]
    made = Program.from_text(STEERED).model("gpt2", **sizes, h=attn[1], L=turns, ctx=ctx)
    made.load_state_dict(model.state_dict())
    return made.under("steer", **given)


def long(count: int) -> None:
    """A recurrent model over many tokens: what the last ones cost beside the first."""
    import torch

    from neuraxis.runtime.program import Program

    model = Program.from_text(LONG).model()
    prompt = torch.randint(0, 64, (1, 16))
    part, times, held = count // 20, [], []
    start = time.process_time()
    for place, _ in enumerate(model.stream(prompt, steps=count), 1):
        if place % part == 0:
            now = time.process_time()
            times.append((now - start) / part * 1e6)
            held.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
            start = now
    first, last = statistics.median(times[1:6]), statistics.median(times[-5:])
    print(f"recurrent, {count} tokens: {first:.0f} us a token at first, {last:.0f} at last")
    print(f"recurrent: peak memory {held[1]:.0f} MiB after a tenth, {held[-1]:.0f} at the end")


if __name__ == "__main__":
    main()
