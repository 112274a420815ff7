"""Pointwise chains and small reductions as kernels, against PyTorch one operation after another.

    python bench/pointwise.py [--hand FOLDER] [--pairs 20]

One thread. FOLDER holds ew.cpp, with the functions that are called below. A ratio is ours / theirs,
so less is faster: against PyTorch written by hand, against what we emit without kernels, and
against C++ written by hand.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paired import machine, pairs, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable

use_threads(1)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from neuraxis.runtime.program import Program  # noqa: E402

SPEC = """
model chain[d = 1024](x[n, d]) -> [n, d]:
    gated = tanh(1.3 * x) * sigmoid(0.7 * x) + 0.2 * softplus(x)
    return gated - x * exp(-x * x) + 0.5 * x * x / (1 + x * x)

model poly[d = 1024](x[n, d]) -> [n, d]:
    return polynorm[d](x)

model kan[d = 64, o = 64](x[n, d]) -> [n, o]:
    basis = bsplines[m = 8](x)
    param w[d, m, o] ~ normal(0, 0.1)
    return dot[d, m](basis, w)

model normed[d = 768](x[n, d], y[n, d]) -> [n, d], [n, d]:
    sum = x + y
    return sum, layernorm[d](sum)

model swiglu[d = 2048](x[n, d], y[n, d]) -> [n, d]:
    return silu(x) * y
"""
ROWS = 2048
LONG, FLOAT = ctypes.c_long, ctypes.c_float
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC", "-std=c++17"]


# ---- PyTorch by hand


def chain(x: torch.Tensor) -> torch.Tensor:
    gated = torch.tanh(1.3 * x) * torch.sigmoid(0.7 * x) + 0.2 * F.softplus(x)
    return gated - x * torch.exp(-x * x) + 0.5 * x * x / (1 + x * x)


class Poly(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.full((3,), 1 / 3))
        self.b = torch.nn.Parameter(torch.zeros(1))

    @staticmethod
    def normed(x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        powers = [self.w[at] * self.normed(x ** (at + 1)) for at in range(3)]
        return powers[0] + powers[1] + powers[2] + self.b


class Kan(torch.nn.Module):
    """The recursion over degrees, for 5 intervals in -1 .. 1."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(0.1 * torch.randn(64, 8, 64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        knots = 0.4 * torch.arange(-3, 9, dtype=x.dtype) - 1
        x = x.unsqueeze(-1)
        basis = ((x >= knots[:-1]) & (x < knots[1:])).to(x.dtype)
        for degree in range(1, 4):
            left = (x - knots[: -degree - 1]) / (0.4 * degree) * basis[..., :-1]
            basis = left + (knots[degree + 1 :] - x) / (0.4 * degree) * basis[..., 1:]
        return basis.flatten(1) @ self.w.flatten(0, 1)


class Normed(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.LayerNorm(768)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        both = x + y
        return both, self.norm(both)


EAGER: dict[str, Callable[..., Any]] = {
    "chain": chain,
    "poly": Poly(),
    "kan": Kan(),
    "normed": Normed(),
    "swiglu": lambda x, y: F.silu(x) * y,
}


def data(name: str) -> list[torch.Tensor]:
    stream = torch.Generator().manual_seed(0)
    if name == "kan":
        return [1.9 * torch.rand(ROWS, 64, generator=stream) - 0.95]
    width = {"normed": 768, "swiglu": 2048}.get(name, 1024)
    count = 2 if name in ("normed", "swiglu") else 1
    return [torch.randn(ROWS, width, generator=stream) for _ in range(count)]


# ---- C++ by hand


def by_hand(folder: Path, name: str) -> Callable[..., torch.Tensor] | None:
    """The forward pass of a kernel written for just this."""
    if name not in ("chain", "poly"):
        return None
    path = Path(tempfile.mkdtemp()) / "ew.so"
    command = [os.environ.get("CXX", "g++"), *FLAGS, str(folder / "ew.cpp"), "-o", str(path)]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(path))

    def pointer(x: torch.Tensor) -> ctypes.c_void_p:
        return ctypes.c_void_p(x.data_ptr())

    w, inverse = torch.full((3,), 1 / 3), torch.empty(ROWS, 3)

    def run(x: torch.Tensor) -> torch.Tensor:
        y = torch.empty_like(x)
        if name == "chain":
            numbers = FLOAT(1.3), FLOAT(0.7), FLOAT(0.2), LONG(x.numel())
            library.chain_fwd(pointer(x), pointer(y), *numbers)
        else:
            sizes = *map(LONG, x.shape), FLOAT(1e-6)
            where = pointer(y), pointer(inverse)
            library.poly_fwd(pointer(x), pointer(w), FLOAT(0.0), *where, *sizes)
        return y

    return run


# ---- what is timed


def forward(model: Callable[..., Any], given: list[torch.Tensor]) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return model(*given)

    return run


def both(model: Callable[..., Any], given: list[torch.Tensor]) -> Callable[[], object]:
    leaves = [x.clone().requires_grad_() for x in given]
    leaves_too = [*leaves, *getattr(model, "parameters", list)()]

    def run() -> object:
        found = model(*leaves)
        found = found if isinstance(found, tuple) else (found,)
        return torch.autograd.grad(found, leaves_too, [torch.ones_like(x) for x in found])

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hand", type=Path)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=list(EAGER))
    asked = parser.parse_args()
    print(machine())
    program = Program.from_text(SPEC)
    for name in asked.only:
        given, ours = data(name), program.model(name)
        fused = len(ours._artifact.kernels)
        print(f"{name}: {fused} kernel{'' if fused == 1 else 's'}")
        os.environ["NEURAXIS_CXX"] = "none"
        plain = program.model(name)
        del os.environ["NEURAXIS_CXX"]
        pairs(forward(ours, given), forward(EAGER[name], given), asked.pairs).show(
            f"{name} there / PyTorch"
        )
        pairs(both(ours, given), both(EAGER[name], given), asked.pairs).show(
            f"{name} both / PyTorch"
        )
        pairs(forward(ours, given), forward(plain, given), asked.pairs).show(
            f"{name} there / unfused"
        )
        pairs(both(ours, given), both(plain, given), asked.pairs).show(f"{name} both / unfused")
        hand = by_hand(asked.hand, name) if asked.hand else None
        if hand is not None:
            pairs(forward(ours, given), forward(hand, given), asked.pairs).show(
                f"{name} there / C++ by hand"
            )


if __name__ == "__main__":
    main()
