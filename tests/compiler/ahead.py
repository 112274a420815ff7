"""Triton kernels compiled for GPUs that are not there: what they take of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from neuraxis.compiler.emit.triton.attention.plans import planned
from neuraxis.runtime import gpu

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from neuraxis.compiler.emit.triton.attention.kernel import ContractionKernel
    from neuraxis.compiler.emit.triton.kernel import Kernel

SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that a program may have
FLOATS = {"float32": "*fp32", "bfloat16": "*bf16"}
OTHERS = {"int": "*i64", "bool": "*i1"}
COMPILING = """
import json, re, subprocess, sys, tempfile
from pathlib import Path
import triton, triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from neuraxis.runtime import emitted

def usage(source, symbol, pointers, fixed, warps, stages, arch):
    function = getattr(emitted.loaded(source, symbol), symbol)
    fixed = {name: getattr(triton.language, value) if name == "HELD" else value
             for name, value in fixed.items()}
    signature, known, attrs = {}, {}, {}
    for at, name in enumerate(function.arg_names):
        if name in fixed:
            signature[name], known[name] = "constexpr", fixed[name]
            continue
        signature[name] = pointers.get(name, "i32")
        if name not in ("T", "S") and not name.startswith("n_"):
            attrs[at,] = [["tt.divisibility", 16]]
    made = triton.compile(
        ASTSource(function, signature, constexprs=known, attrs=attrs),
        target=GPUTarget("cuda", arch, 32),
        options={"num_warps": warps, "num_stages": stages},
    )
    tool = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True)
    registers, spilled = re.search(r"REG:(\\d+) STACK:(\\d+)", said.stdout).groups()
    return {"registers": int(registers), "spilled": int(spilled), "shared": made.metadata.shared}

print(json.dumps([usage(*row) for row in json.load(sys.stdin)]))
"""


@dataclass(frozen=True)
class Ahead:
    """A kernel, what its arguments are, and for which GPU."""

    symbol: str
    source: str
    pointers: Mapping[str, str]
    fixed: Mapping[str, Any]
    warps: int
    stages: int
    arch: int


def precision(dtype: str) -> str:
    """How exact products are, as when it runs."""
    return gpu.EXACT[getattr(torch, dtype)]


def recurrence(kernel: Kernel, dtype: str, arch: int) -> Ahead:
    """A kernel of a recurrence, its tensors dense."""
    pointers = {}
    for border in kernel.borders:
        wide = border.kind == "kept" or border.parts or border.kind == "check"
        floats = FLOATS["float32" if wide else dtype]
        pointers[border.word] = OTHERS.get(border.dtype, floats)
    ones = {b.apart(b.axes[-1].name): 1 for b in kernel.borders if b.axes}
    fixed = {"PRECISION": precision(dtype), "KEEP": True, **ones}
    return Ahead(
        kernel.symbol, kernel.source, pointers, fixed, kernel.plan.warps, kernel.plan.stages, arch
    )


def attention(kernel: ContractionKernel, features: int, dtype: str, arch: int) -> Ahead:
    """A kernel of a contraction, its tensors dense, by the plan for so many features."""
    plan = planned(kernel, features, features, getattr(torch, dtype).itemsize)
    assert plan is not None
    pointers = {
        own.word: OTHERS.get(
            own.dtype, FLOATS["float32" if own.word in ("total", "came_total", "gap") else dtype]
        )
        for own in kernel.tensors
    }
    ones = {f"{own.word}_{own.axes[-1]}": 1 for own in kernel.tensors if own.axes}
    sizes = {"K": features, "V": features, "KP": plan.dot, "VP": plan.value}
    blocks = {"ROWS": plan.rows, "COLUMNS": plan.columns}
    fixed = {"HELD": dtype, "PRECISION": precision(dtype), **sizes, **blocks, **ones}
    return Ahead(kernel.symbol, kernel.source, pointers, fixed, plan.warps, plan.stages, arch)


def used(rows: Iterable[Ahead], folder: Path) -> list[tuple[Ahead, dict[str, int]]]:
    """What each takes: registers of a thread, bytes of it that are spilled, shared memory."""
    rows = list(rows)
    names = ("source", "symbol", "pointers", "fixed", "warps", "stages", "arch")
    listed = [[getattr(row, name) for name in names] for row in rows]
    env = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    env |= {"TRITON_DEFAULT_FP_FUSION": "1", "TRITON_CACHE_DIR": str(folder)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", COMPILING],
        input=json.dumps(listed),
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(zip(rows, json.loads(done.stdout), strict=True))
