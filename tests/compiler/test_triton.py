"""Triton kernels as text: in which form, what has none; and compiled ahead for GPUs that are not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.compiler.programs import graph_of

from neuraxis.compiler.context import Context
from neuraxis.compiler.costs import gpu_kernel_for
from neuraxis.compiler.driver import compile_graph
from neuraxis.compiler.emit.triton.adjoint import adjoint
from neuraxis.compiler.emit.triton.kernel import Kernel
from neuraxis.dsl.ops import ScanAttrs

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.conftest import Golden

ELEMENTWISE = """
    model m[d = 64](a[b, t, d], x[b, t, d]) -> [b, t, d]:
        scan t:
            carry s[d] = 0
            s = a * s + x
        return s
"""
RETENTION = """
    model m[h = 4, k = 64, v = 64](q[b, t, h, k], key[b, t, h, k], val[b, t, h, v], a[h]) -> [b, t, h, v]:
        scan t:
            carry S[h, k, v] = 0
            S = a * S + key * val
            o = dot[k](q, S)
        return o
"""
GATED = RETENTION.replace("a[h]", "a[b, t, h, k]")
CORRECTED = """
    model m[k = 64, v = 64](q[b, t, k], key[b, t, k], val[b, t, v], beta[b, t]) -> [b, t, v]:
        scan t:
            carry S[k, v] = 0
            S = S + beta * key * (val - dot[k](key, S))
            o = dot[k](q, S)
        return o
"""
CELL = """
    model m[d = 64](x[b, t, d]) -> [b, t, n]:
        y = gru[n = 64](x)
        return y
"""


def found(text: str) -> Kernel | str:
    graph = compile_graph(graph_of(text), Context())
    (scan,) = [a for n in graph.in_order() if isinstance(a := graph.node(n).attrs, ScanAttrs)]
    return gpu_kernel_for(scan)


def made(text: str) -> Kernel:
    kernel = found(text)
    assert isinstance(kernel, Kernel), kernel
    return kernel


def code(kernel: Kernel) -> str:
    """A kernel without the functions that are the same in all."""
    start = kernel.source.index("@triton.jit(do_not_specialize")
    return kernel.source[start:].replace(kernel.symbol, "scan_here")


def test_a_step_to_read(golden: Golden) -> None:
    kernel = made(ELEMENTWISE)
    golden("golden/emit/elementwise.triton.py", code(kernel) + code(adjoint(kernel.plan).kernel))


def test_the_same_recurrence_is_the_same_kernel() -> None:
    assert made(ELEMENTWISE).symbol == made(ELEMENTWISE.replace("model m", "model other")).symbol


@pytest.mark.parametrize(
    ("text", "rows", "block"),
    [
        (ELEMENTWISE, None, "d"),
        (RETENTION, 16, "v"),
        (GATED, 16, "v"),
        (CORRECTED, None, "v"),
        (CELL, None, None),
    ],
)
def test_the_form_that_takes_less_time(text: str, rows: int | None, block: str | None) -> None:
    plan = made(text).plan
    assert (plan.rows and plan.rows.size, plan.block and plan.block.name) == (rows, block)


def test_chunks_are_products_of_matrices() -> None:
    kernel = made(GATED)
    assert kernel.source.count("tl.dot(") == kernel.dots > 4
    assert "tl.log" not in code(kernel)


def test_what_has_no_kernel() -> None:
    assert "may be out of range" in found("""
        model m[d = 2](x[b, t, d], at[b, t]: int) -> [b, t, d]:
            scan t:
                carry y[d] = 0
                y = x + y[d = at % 2]
            return y
    """)
    assert "known only when it runs" in found("""
        model m(x[b, t, d]) -> [b, t, d]:
            scan t:
                carry y[d] = 0
                y = x + 0.1 * sum[d](y)
            return y
    """)


COMPILING = """
import json, re, subprocess, sys, tempfile
from pathlib import Path
import triton, triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from neuraxis.runtime import emitted

def usage(source, symbol, pointers, ones, warps, stages, precision, arch):
    function = getattr(emitted.loaded(source, symbol), symbol)
    fixed = {"PRECISION": precision, "KEEP": True}
    signature, known, attrs = {}, {}, {}
    for at, name in enumerate(function.arg_names):
        if name in pointers or name.startswith("s_"):
            attrs[at,] = [["tt.divisibility", 16]]
        signature[name] = pointers.get(name, "i32")
        if name in fixed or name in ones:
            signature[name] = "constexpr"
            known[name] = fixed.get(name, 1)
            attrs.pop((at,), None)
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
POINTERS = {"float": "*fp32", "int": "*i64", "bool": "*i1"}
SHARED = {80: 163 << 10, 90: 227 << 10}  # bytes that a program may have


def used(texts: Iterable[str], precision: str, archs: Iterable[int], folder: Path) -> list[Any]:
    """What the kernels of recurrences take, both ways on each GPU, with what they are."""
    rows = []
    for text in texts:
        kernel = made(text)
        for own in (kernel, adjoint(kernel.plan).kernel):
            pointers = {b.word: POINTERS[b.dtype] for b in own.borders}
            ones = [b.apart(b.axes[-1].name) for b in own.borders if b.axes]
            known = own.source, own.symbol, pointers, ones, own.warps, own.plan.stages, precision
            rows += [(*known, arch) for arch in archs]
    env = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    env |= {"TRITON_DEFAULT_FP_FUSION": "1", "TRITON_CACHE_DIR": str(folder)}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", COMPILING],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [
        (row[1], row[-1], found) for row, found in zip(rows, json.loads(done.stdout), strict=True)
    ]


def test_compiled_ahead_for_gpus(tmp_path: Path) -> None:
    """Nothing spills, and all fits the shared memory of an A100 and an H100."""
    pytest.importorskip("triton")
    for symbol, arch, found in used((ELEMENTWISE, CELL, RETENTION), "tf32", SHARED, tmp_path):
        assert found["registers"] <= 255
        assert found["shared"] <= SHARED[arch], found
        assert found["spilled"] == 0, (symbol, arch, found)


def test_chunks_spill_a_little_where_products_are_exact(tmp_path: Path) -> None:
    """In float32 each product of matrices is three, whose operands are held in two parts."""
    pytest.importorskip("triton")
    most = [200, 496]  # bytes of a thread, there and back
    rows = used([GATED], "tf32x3", [90], tmp_path)
    for bytes_, (symbol, arch, found) in zip(most, rows, strict=True):
        assert found["shared"] <= SHARED[arch], found
        assert found["spilled"] <= bytes_, (symbol, arch, found)
