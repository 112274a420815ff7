"""Attention on a GPU, for `bench/gpu.py`: that it is right, and beside what PyTorch has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from gpu_timing import both, far, forward, tried
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from neuraxis.runtime import gpu
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = "[h = {h}, k = {d}](q[b, h, t, k], key[b, h, t, k], v[b, h, t, k]"
SCORES = "dot[k](q, key[t -> s]) / sqrt(|k|)"
SOFTMAX = "return dot[s](softmax[s](where({mask}, {score}, -inf)), v[t -> s])"
FORMS = {
    "window": ("", SOFTMAX.format(mask="s <= t and t - s < 256", score=SCORES)),
    "alibi": (", slope[h]", SOFTMAX.format(mask="s <= t", score=f"{SCORES} - slope * (t - s)")),
    "capped": ("", SOFTMAX.format(mask="s <= t", score=f"20 * tanh({SCORES} / 20)")),
    "documents": (
        ", doc[b, t]: int",
        SOFTMAX.format(mask="s <= t and doc == doc[t -> s]", score=SCORES),
    ),
    "biased": (
        ", bias[h, t, s]",
        "return dot[s](softmax[s](dot[k](q, key) / sqrt(|k|) + bias), v)",
    ),
    "sigmoid": ("", f"return dot[s](where(s <= t, sigmoid({SCORES} - 7), 0), v[t -> s])"),
}
NAMES = tuple(f"attention, {name}" for name in FORMS)
flexible: Any = torch.compile(flex_attention)


def program(name: str, h: int, d: int) -> Program:
    more, result = FORMS[name]
    head = HEAD.replace("{h}", str(h)).replace("{d}", str(d))
    if "[t -> s]" not in result:  # keys have an axis of their own
        head = head.replace("key[b, h, t, k], v[b, h, t, k]", "key[b, h, s, k], v[b, h, s, k]")
    return Program.from_text(f"model own{head}{more}) -> [b, h, t, k]:\n    {result}\n")


def models(name: str, h: int, d: int) -> tuple[Any, Any]:
    """Ours, and the same as PyTorch runs it."""
    own = program(name, h, d)
    ours = own.model("own")
    kinds, gpu.DEVICES = gpu.DEVICES, frozenset()
    plain = own.model("own")
    gpu.DEVICES = kinds
    assert ours._artifact.kernels, name
    assert not plain._artifact.kernels, name
    return ours.cuda(), plain.cuda()


def data(
    name: str, b: int, h: int, d: int, steps: int, dtype: torch.dtype
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Queries, keys and values; and what is read beside them."""
    stream = torch.Generator("cuda").manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=stream, device="cuda", dtype=torch.float32).to(dtype)

    given = [draw(b, h, steps, d) for _ in range(3)]
    if name == "alibi":
        return given, [(2.0 ** (-8.0 * torch.arange(1, h + 1, device="cuda") / h)).to(dtype)]
    if name == "documents":
        return given, [(torch.arange(steps, device="cuda") * 8 // steps).expand(b, -1)]
    return given, [draw(h, steps, steps)] if name == "biased" else []


def right(name: str, d: int, steps: int, dtype: torch.dtype) -> dict[str, Any]:
    """The largest differences from float64: of values, and of gradients."""
    name = name.removeprefix("attention, ")
    ours, plain = models(name, 4, d)
    given, more = data(name, 2, 4, d, steps, dtype)
    stream = torch.Generator("cuda").manual_seed(1)
    weight = torch.randn(given[0].shape, generator=stream, device="cuda").to(dtype)
    floats = [*given, *(x for x in more if x.is_floating_point())]
    rest = [x for x in more if not x.is_floating_point()]
    found, slopes = both(lambda *x: ours(*x, *rest), floats, weight)()
    wide = [x.double() for x in floats]
    truth, wanted = both(lambda *x: plain(*x, *rest), wide, weight.double())()
    worst = max(far(one, other) for one, other in zip(slopes, wanted, strict=True))
    return {"values": far(found, truth), "gradients": worst}


def theirs(name: str, steps: int, more: list[torch.Tensor]) -> Callable[..., torch.Tensor]:
    """The call of PyTorch with a mask that is made before, or operations."""
    at = torch.arange(steps, device="cuda")
    apart = at[:, None] - at
    if name == "capped":
        return lambda q, k, v: (
            (20 * torch.tanh(q @ k.mT / math.sqrt(q.shape[-1]) / 20))
            .masked_fill(apart < 0, -math.inf)
            .softmax(-1)
            @ v
        )
    if name == "sigmoid":
        return lambda q, k, v: (
            (q @ k.mT / math.sqrt(q.shape[-1]) - 7).sigmoid().masked_fill(apart < 0, 0) @ v
        )
    if name == "window":
        mask = ((apart >= 0) & (apart < 256))[None, None]
    elif name == "documents":
        doc = more[0]
        mask = ((apart >= 0) & (doc[:, :, None] == doc[:, None]))[:, None]
    elif name == "alibi":
        slope = more[0][None, :, None, None]
        mask = torch.where(apart >= 0, -slope * apart, -math.inf).to(slope.dtype)
    else:
        mask = more[0][None]
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def flex(name: str, steps: int, more: list[torch.Tensor]) -> Callable[..., torch.Tensor] | None:
    """Flex attention, compiled; None where it says no such thing."""

    def causal(b: Any, h: Any, t: Any, s: Any) -> Any:
        return s <= t

    def windowed(b: Any, h: Any, t: Any, s: Any) -> Any:
        return (s <= t) & (t - s < 256)

    def alike(b: Any, h: Any, t: Any, s: Any) -> Any:
        return (s <= t) & (more[0][b, t] == more[0][b, s])

    changes: dict[str, Callable[..., Any]] = {
        "alibi": lambda score, b, h, t, s: score - more[0][h] * (t - s),
        "capped": lambda score, b, h, t, s: 20 * torch.tanh(score / 20),
        "biased": lambda score, b, h, t, s: score + more[0][h, t, s],
    }
    masks = {"window": windowed, "alibi": causal, "capped": causal, "documents": alike}
    if name == "sigmoid":
        return None
    seen = None
    if name in masks:
        rows = more[0].shape[0] if name == "documents" else None
        seen = create_block_mask(masks[name], rows, None, steps, steps, device="cuda")
    change = changes.get(name)
    return lambda q, k, v: flexible(q, k, v, score_mod=change, block_mask=seen)


def compared(name: str, b: int, h: int, d: int, steps: int, dtype: torch.dtype) -> dict[str, Any]:
    """Times of one size."""
    name = name.removeprefix("attention, ")
    ours, _ = models(name, h, d)
    given, more = data(name, b, h, d, steps, dtype)
    weight = torch.ones_like(given[0])

    def own(*x: torch.Tensor) -> torch.Tensor:
        return ours(*x, *more)

    other = theirs(name, steps, more)
    found = {
        "ours, there": tried(forward(own, given)),
        "theirs, there": tried(forward(other, given)),
        "ours, both": tried(both(own, given, weight)),
        "theirs, both": tried(both(other, given, weight)),
    }
    if (d, dtype) == (64, torch.bfloat16) and steps == 2048:  # each compiles for half a minute
        third = flex(name, steps, more)
        if third is not None:
            found["flex, there"] = tried(forward(third, given))
            found["flex, both"] = tried(both(third, given, weight))
    return found
