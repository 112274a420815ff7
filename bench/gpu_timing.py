"""How the benchmarks of a GPU compare numbers and take times."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable


def both(model: Callable[..., Any], given: list[torch.Tensor], weight: torch.Tensor) -> Any:
    leaves = [x.detach().clone().requires_grad_() for x in given]
    parameters = [p for p in getattr(model, "parameters", list)() if p.requires_grad]

    def run() -> Any:
        found = model(*leaves)
        found = found[0] if isinstance(found, tuple) else found
        return found, torch.autograd.grad(found, [*leaves, *parameters], weight.to(found.dtype))

    return run


def forward(model: Callable[..., Any], given: list[torch.Tensor]) -> Callable[[], Any]:
    def run() -> Any:
        with torch.no_grad():
            return model(*given)

    return run


def far(one: torch.Tensor, other: torch.Tensor) -> float:
    """How far apart, of the largest."""
    one, other = one.detach().double(), other.detach()
    return float((one - other).abs().max() / other.abs().max().clamp_min(1e-30))


def timed(run: Callable[[], Any], most: float = 0.5) -> float:
    """Milliseconds, the median of as many as go into `most` seconds, but 3 to 20."""
    run()
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    one = time.perf_counter() - start
    count = int(min(20, max(3, most / max(one, 1e-6))))
    times = []
    for _ in range(count):
        ends = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        ends[0].record()
        run()
        ends[1].record()
        torch.cuda.synchronize()
        times.append(ends[0].elapsed_time(ends[1]))
    return statistics.median(times)


def tried(run: Callable[[], Any]) -> float | str:
    """The time, or what is in the way."""
    try:
        return timed(run)
    except torch.cuda.OutOfMemoryError:
        torch.cuda.empty_cache()
        return "memory"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]


def shown(value: float | str) -> str:
    return f"{value:9.3f}" if isinstance(value, float) else f"{value[:9]:>9}"
