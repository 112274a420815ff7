"""Contractions shaped like attention as kernels, against what PyTorch has for them.

    python bench/attention.py [--pairs 20] [--only window alibi weighed causal ...]

One thread, one sequence of 4 heads of 64. A ratio is theirs / ours of process CPU time, so more is
faster. Theirs is `F.scaled_dot_product_attention` with a mask (or, for plain causal attention,
without one), and where it has no such attention, operation by operation.
"""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from paired import machine, pairs, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable

use_threads(1)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from neuraxis.runtime.program import Program  # noqa: E402

HEAD = "[h = 4, k = 64](q[b, h, t, k], key[b, h, t, k], v[b, h, t, k]"
SPEC = f"""
model causal{HEAD}) -> [b, h, t, k]:
    scores = dot[k](q, key[t -> s]) / sqrt(|k|)
    return dot[s](softmax[s](where(s <= t, scores, -inf)), v[t -> s])

model window{HEAD}) -> [b, h, t, k]:
    scores = dot[k](q, key[t -> s]) / sqrt(|k|)
    return dot[s](softmax[s](where(s <= t and t - s < 256, scores, -inf)), v[t -> s])

model alibi{HEAD}, slope[h]) -> [b, h, t, k]:
    scores = dot[k](q, key[t -> s]) / sqrt(|k|) - slope * (t - s)
    return dot[s](softmax[s](where(s <= t, scores, -inf)), v[t -> s])

model capped{HEAD}) -> [b, h, t, k]:
    scores = 20 * tanh(dot[k](q, key[t -> s]) / sqrt(|k|) / 20)
    return dot[s](softmax[s](where(s <= t, scores, -inf)), v[t -> s])

model weighed{HEAD}) -> [b, h, t, k]:
    scores = dot[k](q, key[t -> s]) / sqrt(|k|) - log(float(|t|))
    return dot[s](where(s <= t, sigmoid(scores), 0), v[t -> s])

model documents{HEAD}, doc[b, t]: int) -> [b, h, t, k]:
    scores = dot[k](q, key[t -> s]) / sqrt(|k|)
    return dot[s](softmax[s](where(s <= t and doc == doc[t -> s], scores, -inf)), v[t -> s])

model full[h = 4, k = 64](
    q[b, h, t, k], key[b, h, s, k], v[b, h, s, k], bias[h, t, s]
) -> [b, h, t, k]:
    scores = dot[k](q, key) / sqrt(|k|) + bias
    return dot[s](softmax[s](scores), v)
"""


def places(steps: int) -> torch.Tensor:
    """How far each query is from each key."""
    at = torch.arange(steps)
    return at[:, None] - at


def theirs(name: str, steps: int, more: list[torch.Tensor]) -> Callable[..., torch.Tensor]:
    """What PyTorch has, its mask made before."""
    far = places(steps)

    def masked(mask: torch.Tensor) -> Callable[..., torch.Tensor]:
        return lambda q, k, v, *_: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    def scored(change: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        return lambda q, k, v, *_: change((q @ k.transpose(-1, -2)) / 8) @ v

    match name:
        case "causal":
            return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)
        case "window":
            return masked(((far >= 0) & (far < 256))[None, None])
        case "alibi":
            return masked(torch.where(far >= 0, -more[0][None, :, None, None] * far, -math.inf))
        case "capped":
            return scored(
                lambda x: (20 * torch.tanh(x / 20)).masked_fill(far < 0, -math.inf).softmax(-1)
            )
        case "weighed":
            return scored(lambda x: (x - math.log(steps)).sigmoid().masked_fill(far < 0, 0))
        case "documents":
            doc = more[0][0]
            return masked(((far >= 0) & (doc[:, None] == doc))[None, None])
    return lambda q, k, v, bias: F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])


def beside(name: str, steps: int) -> list[torch.Tensor]:
    """What is read beside queries, keys and values."""
    stream = torch.Generator().manual_seed(1)
    if name == "alibi":
        return [2.0 ** (-2.0 * torch.arange(1, 5))]
    if name == "documents":
        return [(torch.arange(steps) * 8 // steps)[None]]
    return [torch.randn(4, steps, steps, generator=stream)] if name == "full" else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--steps", type=int, nargs="*")
    parser.add_argument("--only", nargs="*")
    args = parser.parse_args()
    print(machine())
    program = Program.from_text(SPEC)
    usual = ["causal", "window", "alibi", "capped", "weighed", "documents", "full"]
    for name in args.only or usual:
        ours = program.model(name)
        for steps in args.steps or [8192 if name == "window" else 2048]:
            stream = torch.Generator().manual_seed(0)
            given = [torch.randn(1, 4, steps, 64, generator=stream) for _ in range(3)]
            more = beside(name, steps)
            other = theirs(name, steps, more)
            with torch.no_grad():
                gap = (ours(*given, *more) - other(*given, *more)).abs().max()
            assert gap < 1e-4, f"{name}: {gap}"
            print(f"{name} T={steps}")
            for label, way in (("forward", forward), ("both", both)):
                found = pairs(way(other, given, more), way(ours, given, more), args.pairs)
                found.show(f"{name} T={steps} {label}, theirs / ours")


def forward(
    model: Callable[..., torch.Tensor], given: list[torch.Tensor], more: list[torch.Tensor]
) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return model(*given, *more)

    return run


def both(
    model: Callable[..., torch.Tensor], given: list[torch.Tensor], more: list[torch.Tensor]
) -> Callable[[], object]:
    leaves = [x.clone().requires_grad_() for x in given]

    def run() -> object:
        found = model(*leaves, *more)
        return torch.autograd.grad(found, leaves, torch.ones_like(found))

    return run


if __name__ == "__main__":
    main()
