"""Recurrences and attention on a GPU: that they are right, then how long they take.

    python bench/gpu.py FOLDER [--seconds 420] [--compile]

Right is what PyTorch gives in float64, recurrences as a loop. Times are medians of CUDA events: of
ours; for recurrences of the same graph in parallel form as PyTorch runs it, once of torch.compile
of that (`--compile`), and of nn.GRU; for attention of `F.scaled_dot_product_attention` with a mask,
or operations, and of flex attention. Prints tables and writes `gpu.json` into FOLDER. Stops when
the seconds are over, and says what it left out.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["NEURAXIS_CXX"] = "none"

import gpu_attention
import torch
import torch.nn.functional as F
from gpu_timing import both, far, forward, shown, tried

from neuraxis.compiler.build import build as graph_of
from neuraxis.compiler.context import Context
from neuraxis.compiler.driver import compile_graph
from neuraxis.runtime import gpu
from neuraxis.runtime.module import build
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

SPEC = """
model gla[h = {h}, k = {d}, v = {d}](
    q[b, h, t, k], key[b, h, t, k], val[b, h, t, v], a[b, h, t, k]
) -> [b, h, t, v]:
    scan t:
        carry S[h, k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o

model retention[h = {h}, k = {d}, v = {d}](
    q[b, h, t, k], key[b, h, t, k], val[b, h, t, v], a[h]
) -> [b, h, t, v]:
    scan t:
        carry S[h, k, v] = 0
        S = a * S + key * val
        o = dot[k](q, S)
    return o

model gated_delta[h = {h}, k = {d}, v = {d}](
    q[b, h, t, k], key[b, h, t, k], val[b, h, t, v], beta[b, h, t], a[b, h, t]
) -> [b, h, t, v]:
    scan t:
        carry S[h, k, v] = 0
        kept = a * S
        S = kept + beta * key * (val - dot[k](key, kept))
        o = dot[k](q, S)
    return o

model elementwise[h = {h}, d = {d}](a[b, t, h, d], x[b, t, h, d]) -> [b, t, h, d]:
    scan t:
        carry s[h, d] = 0
        s = a * s + x
    return s

model cells[d = {d}](x[b, t, d]) -> [b, t, n]:
    y = gru[n = {d}](x)
    return y
"""
NAMES = ("retention", "gla", "gated_delta", "elementwise", "cells")


def data(name: str, b: int, h: int, d: int, steps: int) -> list[torch.Tensor]:
    stream = torch.Generator("cuda").manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=stream, device="cuda")

    if name == "elementwise":
        return [draw(b, steps, h, d).sigmoid(), draw(b, steps, h, d)]
    if name == "cells":
        return [draw(b, steps, d)]
    whole = (b, h, steps, d)
    q, key, val = draw(*whole) / 8, F.normalize(draw(*whole), dim=-1), draw(*whole)
    if name == "gla":
        return [q, key, val, (F.logsigmoid(draw(*whole) + 2) / 16).exp()]
    if name == "retention":
        return [q, key, val, 1 - 2.0 ** -torch.linspace(5, 9, h, device="cuda")]
    decay = (F.logsigmoid(draw(b, h, steps) + 2) / 4).exp()
    return [q, key, val, draw(b, h, steps).sigmoid(), decay]


def models(program: Program, name: str) -> tuple[Any, Any, Any]:
    """Ours; the loop; and in parallel form, both as PyTorch runs them."""
    ours = program.model(name)
    kinds, gpu.DEVICES = gpu.DEVICES, frozenset()
    loop = program.model(name)
    checked = program.elaborated(name)
    context = Context(recurrences="parallel", chunk=64)
    parallel = build(compile_graph(graph_of(checked), context), checked)
    gpu.DEVICES = kinds
    return tuple(model.cuda() for model in (ours, loop, parallel))  # type: ignore[return-value]


def right(name: str, d: int, steps: int, dtype: torch.dtype) -> dict[str, float]:
    """The largest differences from float64: of values, and of gradients."""
    program = Program.from_text(SPEC.format(h=4, d=d))
    ours, loop, _ = models(program, name)
    given = [x.to(dtype) for x in data(name, 2, 4, d, steps)]
    loop.load_state_dict(ours.to(dtype).state_dict())
    shape = forward(ours, given)().shape
    weight = torch.randn(shape, generator=torch.Generator("cuda").manual_seed(1), device="cuda")
    weight = weight.to(dtype)
    found, slopes = both(ours, given, weight)()
    truth, wanted = both(loop.double(), [x.double() for x in given], weight.double())()
    worst = max(far(one, other) for one, other in zip(slopes, wanted, strict=True))
    return {"values": far(found, truth), "gradients": worst}


def compared(name: str, b: int, h: int, d: int, steps: int, dtype: torch.dtype) -> dict[str, Any]:
    """Times of one size."""
    program = Program.from_text(SPEC.format(h=h, d=d))
    ours, _, parallel = models(program, name)
    given = [x.to(dtype) for x in data(name, b, h, d, steps)]
    weight = torch.ones_like(forward(ours.to(dtype), given)())
    own = torch.nn.GRU(d, d, batch_first=True).cuda().to(dtype) if name == "cells" else None
    other = parallel.to(dtype) if own is None else lambda x: own(x)[0]
    if own is not None:
        other.parameters = own.parameters  # type: ignore[attr-defined]
    return {
        "ours, there": tried(forward(ours, given)),
        "theirs, there": tried(forward(other, given)),
        "ours, both": tried(both(ours, given, weight)),
        "theirs, both": tried(both(other, given, weight)),
    }


def by_compile(steps: int) -> dict[str, Any]:
    """torch.compile of the parallel form of retention, and how long it takes to compile."""
    program = Program.from_text(SPEC.format(h=4, d=64))
    _, _, parallel = models(program, "retention")
    given = data("retention", 1, 4, 64, steps)
    start = time.perf_counter()
    whole = torch.compile(parallel)
    found = tried(forward(whole, given))
    return {"there": found, "seconds of compiling": time.perf_counter() - start}


def safely(case: Callable[..., dict[str, Any]], *what: Any) -> dict[str, Any]:
    """What a case gives, or what is in its way: the others go on."""
    try:
        return case(*what)
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"[:400]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--only", nargs="*", default=(*gpu_attention.NAMES, *NAMES))
    parser.add_argument("--sizes", choices=("none", "few", "all"), default="all")
    args = parser.parse_args()
    start = time.perf_counter()
    card = torch.cuda.get_device_name()
    import triton

    made: dict[str, Any] = {"card": card, "torch": torch.__version__, "triton": triton.__version__}
    print(made, flush=True)
    file = args.folder / "gpu.json"

    def kept() -> bool:
        file.write_text(json.dumps(made, indent=1))
        return time.perf_counter() - start < args.seconds

    made["right"] = {}
    for name in args.only:
        for d, steps, dtype in product((64, 128), (200,), (torch.float32, torch.bfloat16)):
            label = f"{name} {d} {steps} {str(dtype)[6:]}"
            case = gpu_attention.right if name in gpu_attention.NAMES else right
            made["right"][label] = safely(case, name, d, steps, dtype)
            print(label, made["right"][label], flush=True)
            kept()
    made["times"] = {}
    attention = [(4, 16, 64, 2048), (4, 16, 128, 2048), (1, 16, 64, 8192)]
    sizes = [(1, 4, 64, 2048), (4, 16, 128, 2048), (1, 4, 64, 8192), (4, 16, 64, 2048)]
    if args.sizes == "none":
        sizes, attention = [], []
    if args.sizes == "all":
        sizes += [(4, 16, 128, 8192), (1, 16, 128, 8192), (4, 16, 64, 8192)]
    cases = [(name, own) for own in attention for name in args.only if name in gpu_attention.NAMES]
    cases += [(name, own) for own in sizes for name in args.only if name in NAMES]
    print("milliseconds: ours and theirs there, ours and theirs there and back, then others")
    for name, (b, h, d, steps) in cases:
        for dtype in (torch.float32, torch.bfloat16):
            if not kept():
                made["left out"] = "the seconds were over"
                continue
            label = f"{name} B{b} H{h} D{d} T{steps} {str(dtype)[6:]}"
            case = gpu_attention.compared if name in gpu_attention.NAMES else compared
            found = safely(case, name, b, h, d, steps, dtype)
            made["times"][label] = found
            print(f"{label:44}", *(shown(value) for value in found.values()), flush=True)
            torch.cuda.empty_cache()
    if args.compile and kept():
        made["torch.compile, retention B1 H4 D64 T2048 float32"] = by_compile(2048)
        print(made["torch.compile, retention B1 H4 D64 T2048 float32"])
    kept()


if __name__ == "__main__":
    main()
