"""Recurrences as kernels, against the loop in PyTorch, PyTorch's own, matrix products in chunks,
and C++ written by hand.

    python bench/recurrences.py [--hand FOLDER] [--pairs 40] [--steps 512 2048 8192] [--no-loop]
    python bench/recurrences.py --threads

One thread, or with `--threads` two against one by the wall clock, where nothing else runs. FOLDER
holds gla.cpp, delta.cpp and scan.cpp, with the functions that are called below. A ratio is
ours / theirs, so less is faster; the loops are timed in few pairs, they are slow.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paired import machine, pairs, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable

use_threads(2 if "--threads" in sys.argv else 1)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from chunkwise import PEERS  # noqa: E402

from neuraxis.runtime.program import Program  # noqa: E402

SPEC = """
model gla[h = 4, k = 64, v = 64](
    q[b, h, t, k], key[b, h, t, k], val[b, h, t, v], a[b, h, t, k]
) -> [b, h, t, v]:
    scan t:
        carry S[h, k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o

model retention[h = 4, k = 64, v = 64](
    q[b, h, t, k], key[b, h, t, k], val[b, h, t, v], a[h]
) -> [b, h, t, v]:
    scan t:
        carry S[h, k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o

model delta[h = 4, k = 64, v = 64](
    q[b, h, t, k], key[b, h, t, k], val[b, h, t, v], beta[b, h, t]
) -> [b, h, t, v]:
    scan t:
        carry S[h, k, v] = 0
        S = S + beta * key * (val - dot[k](key, S))
        o = dot[k](q, S)
    return o

model gated_delta[h = 4, k = 64, v = 64](
    q[b, h, t, k], key[b, h, t, k], val[b, h, t, v], beta[b, h, t], a[b, h, t]
) -> [b, h, t, v]:
    scan t:
        carry S[h, k, v] = 0
        kept = a * S
        S = kept + beta * key * (val - dot[k](key, kept))
        o = dot[k](q, S)
    return o

model elementwise[d = 512](a[b, t, d], x[b, t, d]) -> [b, t, d]:
    scan t:
        carry s[d] = 0
        s = a * s + x
    return s

model cells[d = 256](x[b, t, d]) -> [b, t, n]:
    y = gru[n = 256](x)
    return y
"""
LONG = ctypes.c_long
FLAGS = ["-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC", "-std=c++17"]


def data(name: str, steps: int) -> list[torch.Tensor]:
    stream = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=stream)

    if name == "elementwise":
        return [draw(4, steps, 512).sigmoid(), draw(4, steps, 512)]
    if name == "cells":
        return [draw(4, steps, 256)]
    whole = (1, 4, steps, 64)
    q, key, val = draw(*whole) / 8, F.normalize(draw(*whole), dim=-1), draw(*whole)
    beta, decay = draw(1, 4, steps).sigmoid(), F.logsigmoid(draw(1, 4, steps) + 2) / 4
    return {
        "gla": [q, key, val, (F.logsigmoid(draw(*whole) + 2) / 16).exp()],
        "retention": [q, key, val, 1 - 2.0 ** -torch.arange(5.0, 9.0)],
        "delta": [q, key, val, beta],
        "gated_delta": [q, key, val, beta, decay.exp()],
    }[name]


def forward(model: Callable[..., torch.Tensor], given: list[torch.Tensor]) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return model(*given)

    return run


def both(model: Callable[..., torch.Tensor], given: list[torch.Tensor]) -> Callable[[], object]:
    leaves = [x.clone().requires_grad_() for x in given]
    leaves_too = [*leaves, *(p for p in getattr(model, "parameters", list)() if p.requires_grad)]
    with torch.no_grad():
        came = torch.randn_like(model(*given))

    def run() -> object:
        return torch.autograd.grad(model(*leaves), leaves_too, came)

    return run


# ---- what others have


class Hand:
    """Kernels written by hand, one shared library for each file, as functions of PyTorch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.built = folder, Path(tempfile.mkdtemp())

    def library(self, name: str) -> Any:
        made = self.built / f"{name}.so"
        if not made.exists():
            source = self.folder / f"{name}.cpp"
            subprocess.run(["g++", *FLAGS, str(source), "-o", str(made)], check=True)
        return ctypes.CDLL(str(made))

    def of(self, name: str) -> Callable[..., torch.Tensor] | None:
        """The function of what our model takes; contiguous tensors."""
        if name in ("gla", "retention"):
            return _decayed(self.library("gla"), "gla" if name == "gla" else "ret")
        if name in ("delta", "gated_delta"):
            return _corrected(self.library("delta"), decays=name == "gated_delta")
        return _elementwise(self.library("scan")) if name == "elementwise" else None


def _decayed(library: Any, short: str) -> Callable[..., torch.Tensor]:
    ahead, back = getattr(library, f"{short}_fwd"), getattr(library, f"{short}_bwd")

    class Decayed(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, key: Any, val: Any, a: Any) -> torch.Tensor:
            if short == "ret":
                a = a[None, :, None].expand(*q.shape[:3]).contiguous()
            out = torch.empty_like(val)
            ahead(*map(pointer, [q, key, val, a, out]), *heads(q))
            ctx.save_for_backward(q, key, val, a)
            return out

        @staticmethod
        def backward(ctx: Any, came: torch.Tensor) -> Any:
            held = ctx.saved_tensors
            found = [torch.empty_like(x) for x in held]
            back(*map(pointer, [*held, came, *found]), *heads(held[0]))
            return (*found[:3], found[3].sum((0, 2)) if short == "ret" else found[3])

    return lambda *given: Decayed.apply(*given)  # type: ignore[no-any-return,no-untyped-call]


def _corrected(library: Any, *, decays: bool) -> Callable[..., torch.Tensor]:
    class Corrected(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, q: Any, key: Any, val: Any, beta: Any, a: Any) -> torch.Tensor:
            out, count = torch.empty_like(val), (q.shape[2] + 31) // 32
            learns = any(ctx.needs_input_grad)
            kept = torch.empty(4 * q.shape[1] * count * 64 * 16) if learns else None
            given = [*map(pointer, [q, key, val, a, beta, out]), (learns and pointer(kept)) or None]
            library.delta_fwd(*given, *heads(q))
            if learns:
                ctx.save_for_backward(q, key, val, a, beta, kept)
            return out

        @staticmethod
        def backward(ctx: Any, came: torch.Tensor) -> Any:
            q, key, val, a, beta, kept = ctx.saved_tensors
            parts = [torch.empty(4, *x.shape) for x in (q, key, a, beta)]
            of_val = torch.empty_like(val)
            given = [q, key, val, a, beta, came, kept, *parts[:2], of_val, *parts[2:]]
            library.delta_bwd(*map(pointer, given), *heads(q))
            of_q, of_key, of_a, of_beta = (part.sum(0) for part in parts)
            return of_q, of_key, of_val, of_beta, of_a

    def run(q: Any, key: Any, val: Any, beta: Any, a: Any = None) -> torch.Tensor:
        a = a if decays else torch.ones_like(beta)
        return Corrected.apply(q, key, val, beta, a)  # type: ignore[no-any-return,no-untyped-call]

    return run


def _elementwise(library: Any) -> Callable[..., torch.Tensor]:
    class Elementwise(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Any, x: Any) -> torch.Tensor:
            out = torch.empty_like(x)
            library.scan_fwd(*map(pointer, [a, x, out]), *map(LONG, x.shape))
            ctx.save_for_backward(a, out)
            return out

        @staticmethod
        def backward(ctx: Any, came: torch.Tensor) -> Any:
            a, out = ctx.saved_tensors
            of_a, of_x = torch.empty_like(a), torch.empty_like(a)
            given = [a, out, came, of_a, of_x]
            library.scan_bwd(*map(pointer, given), *map(LONG, out.shape))
            return of_a, of_x

    return lambda *given: Elementwise.apply(*given)  # type: ignore[no-any-return,no-untyped-call]


def heads(q: torch.Tensor) -> list[ctypes.c_long]:
    """How many heads, and how many steps."""
    return [LONG(q.shape[0] * q.shape[1]), LONG(q.shape[2])]


def pointer(value: torch.Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(value.data_ptr())


def shared_out(label: str, model: Any, given: list[torch.Tensor], count: int) -> None:
    """Two threads against one."""
    for word, way in (("forward", forward), ("both", both)):
        run = way(model, given)

        def with_threads(threads: int, run: Callable[[], object] = run) -> None:
            torch.set_num_threads(threads)
            run()

        found = pairs(lambda: with_threads(2), lambda: with_threads(1), count)
        print(f"{label} {word}, two threads / one, wall {found.wall}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hand", type=Path)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--steps", type=int, nargs="*", default=[512, 2048])
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--no-loop", action="store_true")
    parser.add_argument("--threads", action="store_true")
    args = parser.parse_args()
    print(machine())
    program = Program.from_text(SPEC)
    hand = None if args.hand is None else Hand(args.hand)
    for name in args.only or ["gla", "retention", "delta", "gated_delta", "elementwise", "cells"]:
        os.environ.pop("NEURAXIS_CXX", None)
        ours = program.model(name)
        os.environ["NEURAXIS_CXX"] = "none"
        loop = program.model(name)
        for steps in args.steps:
            given = data(name, steps)
            label = f"{name} T={steps}"
            few = max(3, args.pairs // 10)
            os.environ.pop("NEURAXIS_CXX", None)
            if args.threads:
                shared_out(label, ours, given, args.pairs)
                continue
            ways = {} if args.no_loop else {"loop": (loop, few)}
            if name in PEERS:
                ways[PEERS[name][0]] = (PEERS[name][1], args.pairs)
            for word, (other, count) in ways.items():
                pairs(forward(ours, given), forward(other, given), count).show(
                    f"{label} forward / {word}"
                )
                pairs(both(ours, given), both(other, given), count).show(f"{label} both / {word}")
            if name == "cells":
                own = torch.nn.GRU(256, 256, batch_first=True)

                def theirs(x: torch.Tensor, own: Any = own) -> torch.Tensor:
                    return own(x)[0]

                theirs.parameters = own.parameters  # type: ignore[attr-defined]  # as ours: weights learn

                pairs(forward(ours, given), forward(theirs, given), args.pairs).show(
                    f"{label} forward / nn.GRU"
                )
                pairs(both(ours, given), both(theirs, given), args.pairs).show(
                    f"{label} both / nn.GRU"
                )
            known = None if hand is None else hand.of(name)
            if known is not None:
                one, other = ours(*given), known(*given)
                far = float((one - other).abs().max() / other.abs().max())
                print(f"{label} by hand: largest difference {far:.1e}")
                for word, way in (("forward", forward), ("both", both)):
                    found = pairs(way(ours, given), way(known, given), args.pairs)
                    found.show(f"{label} {word} / by hand")


if __name__ == "__main__":
    main()
