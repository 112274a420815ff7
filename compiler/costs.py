"""What is worth it: which of two ways to run the same is taken, and what that was measured on."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from ..dsl import sizes
from ..dsl.core import Axis
from ..dsl.items import body_inputs
from .emit.cpp.attention.kernel import forward as contracted
from .emit.cpp.kernel import kernel
from .emit.cpp.regions.forward import forward
from .emit.triton.adjoint import adjoint as triton_adjoint
from .emit.triton.attention.kernel import forward as gpu_contracted
from .emit.triton.kernel import kernel as triton_kernel
from .emit.triton.plans import planned
from .emit.unsupported import UnsupportedError
from .recurrences import Form, choices, classify, solvable
from .recurrences.blocked import blocked

if TYPE_CHECKING:
    from ..dsl.ops import ScanAttrs
    from .attention import Contraction
    from .emit.cpp.attention.kernel import ContractionKernel
    from .emit.cpp.kernel import Kernel
    from .emit.triton.attention.kernel import ContractionKernel as GpuContractionKernel
    from .emit.triton.kernel import Kernel as TritonKernel
    from .fusion.region import Region

SPARED = 4.0  # passes over memory
LONG = 32  # numbers side by side
CALL = 1 << 15  # numbers that PyTorch moves while a kernel is being called
PASS = 1 << 12  # numbers that PyTorch moves while it begins one more pass over memory


def kernel_for(scan: ScanAttrs) -> Kernel | str:
    """The kernel of a recurrence, or why there is none.

    Wherever there is a kernel it is taken. On one thread, against the loop in PyTorch, forward and
    with backward: 0.05 to 0.08 of its time for a matrix carry of 64 x 64 in 4 heads, 0.2 for an
    elementwise carry of 4 x 512, 0.3 to 0.4 for a GRU of 4 x 256 (`bench/recurrences.py`, 512
    steps). A step of the loop costs PyTorch microseconds for each operation, whatever its size.
    """
    try:
        made = kernel(scan)
    except UnsupportedError as reason:
        return str(reason)
    known = {axis.size for node in body_inputs(scan.body) for axis in node.axes}
    if scan.steps == 0 and not isinstance(scan.axis.size, int):
        return "how many steps there are is not known from what it reads"
    if any(size not in known for size in made.sizes):
        return "a size is not that of something it reads"
    return made


FEWEST_PRODUCTS, FEWEST_PACKED = 5 << 18, 5 << 17  # of numbers


def fewest_rows(made: int, summed: int, *, packed: bool = False) -> float:
    """From how many rows on a product with a weight is left to oneDNN, where that uses longer
    vectors than MKL (`runtime/products.py`).

    On one thread of an AMD EPYC of the family 26, 2048 x 256 x 768: 3.1 ms, MKL 7.4; of 16 rows,
    16 x 768 x 3072: 0.38 to 0.50, MKL 0.85 to 0.97; 32 x 128 x 512: 32 us, MKL 43; 16 x 128 x 512
    the same, and 16 x 128 x 128 14 us, MKL 8, for a call costs 10 us more. One row or two, and few
    numbers made of each, are as fast or faster by MKL. What is `packed` before takes half as many
    to be worth it: 16 x 128 x 512 18.5 us, MKL 23.
    """
    count = FEWEST_PACKED if packed else FEWEST_PRODUCTS
    return max(4, count / max(made * summed, 1)) if made >= 8 else math.inf


FEWEST_QUERIES, FEWEST_SCORES = 16, 1 << 16
FEWEST_USUAL = 128  # queries, where PyTorch has a call that needs no mask tensor


def contraction_for(made: Contraction) -> ContractionKernel | str:
    """The kernel of a contraction shaped like attention, or why there is none.

    Wherever there is a kernel it is taken, but for attention without a mask, which is left to
    `F.scaled_dot_product_attention` and not asked about: there the kernel takes 0.6 to 0.7 of its
    time with vectors of 512 bits, but 1.3 times as long with those of 256. On one thread, 4 heads
    of 64 and 2048 positions, that call with a mask takes 3.3 times as long with a bias such as
    ALiBi's, 1.7 times with one that is read for each pair, and 47 times with a window of 256 among
    8192 positions (`bench/attention.py`); with 8 to 256 features and 512 positions, in float32 and
    float64, there and back, 1.2 to 9 times as long. How little there may be to do is seen when it
    runs: `is_worth`.
    """
    spoken = [sizes.symbols(axis.size) for node in made.inputs for axis in node.axes]
    read = {symbol for symbols in spoken if len(symbols) == 1 for symbol in symbols}
    if any(not symbols <= read for symbols in spoken):
        return "a size is not that of something it reads"
    try:
        return contracted(made)
    except UnsupportedError as reason:
        return str(reason)


def is_worth(queries: int, scores: int, is_usual: bool = False) -> bool:
    """Whether a kernel is faster for so many queries, and so many scores of all lanes together.

    With 32 x 32 positions in 32 lanes both take the same time, with 64 x 64 the kernel takes two
    thirds of PyTorch's; with 8 queries of 256 keys it takes longer, with 16 as long, with 32 two
    thirds. Keys and values are laid out anew for it, and a call of an operator has its price.

    Plain causal attention, which `is_usual`, PyTorch has a call for. Beside that the kernel takes,
    of 4 to 48 heads of 64 and of 128: 1.0 of its time with 64 positions, 0.6 with 128, 0.37 to 0.5
    with 256 to 2048, and with the way back the same; of 32 features 0.8 with 128 positions and 0.5
    to 0.7 with 256. With vectors of 256 bits it takes 0.8 to 0.9 from 256 positions on.
    """
    fewest = FEWEST_USUAL if is_usual else FEWEST_QUERIES
    return queries >= fewest and scores >= FEWEST_SCORES


def region_for(region: Region) -> Kernel | str:
    """The kernel of a region, or why there is none.

    What a kernel spares are passes over memory: what PyTorch reads and writes, one operation after
    another, less what the kernel does. Below 4 of them a kernel is no gain in both directions: a
    residual sum and a layer norm (1 spared) take 0.97 of PyTorch's time there and 1.44 with the
    way back, `x * y + z` (2) 0.3 to 0.9 and 1.0 to 1.6, SwiGLU (2) 0.7 and 0.6 to 1.2.
    `(x * y + z) * x` (5) takes 0.5 and 0.5 to 0.7, a residual sum and an RMS norm (7) 0.7 and 0.5,
    rotary positions 0.2 and 0.8. One thread, 2048 rows of 512 to 2048 numbers, forward and with
    the way back (`bench/pointwise.py` has more). Rows of a few numbers leave vectors empty.
    """
    if region.spared < SPARED:
        return f"it spares {region.spared:.1f} passes over memory of the {SPARED:g} that pay"
    try:
        made = forward(region.body)
    except UnsupportedError as reason:
        return str(reason)
    inputs = body_inputs(region.body)
    known = {axis.size for node in inputs for axis in node.axes}
    if not any(size >= LONG for size in known if isinstance(size, int)):
        return f"no axis is known to be of {LONG} or more"
    if any(size not in known for size in made.sizes):
        return "a size is not that of something it reads"
    return made


def least(spared: float) -> int:
    """From how many numbers on a kernel that spares so many passes is called rather than PyTorch.

    A call costs some 7 microseconds, a pass of PyTorch 0.8, and a number that is not moved spares
    about 0.2 nanoseconds. Measured on one thread: a function that spares 8 passes takes 1.05 of
    PyTorch's time for 128 numbers, 0.85 for 1024 and 0.42 for 8192; one that spares 19 takes 0.6
    for 128. With the way back the parts are about the same.
    """
    return max(0, int(CALL / max(spared, 1)) - PASS)


CHUNKS = (16,)  # steps; of 32 and 64 more is computed, and it does not stay in registers
# what an H100 took for gated linear attention, retention and the gated delta rule, 4 heads of
# 64 x 64, in units of the time that a program takes to compute one number (0.05 ns)
STEP = 8192  # a turn of the loop, of one step
CHUNK = 65536  # a turn of the loop, of a chunk
DOT = 10240  # a product of matrices, most of it waiting for the one before
KEPT = 4  # a number of a carry that is written for the way back and read there
MOST_DOTS = 32  # in a turn of the loop; of more, registers hold so little that they are slower
# numbers of a chunk at once; registers hold 65536, operands of products too. Gated linear attention
# has 39000 with matrices of 64 x 64, and hundreds of bytes of a thread are in memory; with twice as
# many, of 128 x 128, it is thousands, and in float32 it took 5 times as long as in PyTorch
MOST_LIVE = 40 << 10


def gpu_kernel_for(scan: ScanAttrs) -> TritonKernel | str:
    """The kernel of a recurrence on a GPU, or why there is none.

    Step by step, or in chunks where all carries are products of matrices: what takes a program less
    time for each step, there and back.
    """
    if scan.steps == 0 and not isinstance(scan.axis.size, int):
        return "how many steps there are is not known from what it reads"
    best: tuple[float, TritonKernel] | None = None
    why = ""
    for size in (0, *CHUNKS):
        body = blocked(scan, size) if size else scan
        if body is None:
            break
        rows = Axis(scan.axis.name, size) if size else None
        try:
            made = triton_kernel(planned(scan, body, rows))
        except UnsupportedError as reason:
            why = why or str(reason)
            continue
        cost = _time(made) / max(size, 1)
        if best is None or cost < best[0]:
            best = cost, made
    return why if best is None else best[1]


def _time(made: TritonKernel) -> float:
    """How long a turn of the loop takes, there and back."""
    kernels = [made]
    with suppress(UnsupportedError):
        kernels.append(triton_adjoint(made.plan).kernel)
    if max(own.dots for own in kernels) > MOST_DOTS:
        return math.inf
    if made.plan.rows is not None and max(own.live for own in kernels) > MOST_LIVE:
        return math.inf
    turn = STEP if made.plan.rows is None else CHUNK
    return KEPT * made.held + sum(own.work + turn + DOT * own.dots for own in kernels)


FEWEST_GPU_QUERIES = 16  # what a block has at the least


def gpu_contraction_for(made: Contraction) -> GpuContractionKernel | str:
    """The kernel of a contraction shaped like attention on a GPU, or why there is none.

    Wherever there is a kernel it is taken, but for attention without a mask, which is not asked
    about, and plain causal attention (`is_worth_on_gpu`).
    """
    try:
        return gpu_contracted(made)
    except UnsupportedError as reason:
        return str(reason)


def is_worth_on_gpu(queries: int, is_usual: bool = False) -> bool:
    """Whether a kernel is called on a GPU for so many queries.

    Fewer than a block of them leave most of it empty, and most of the GPU. What `is_usual` stays
    with `F.scaled_dot_product_attention`. Not measured.
    """
    return queries >= FEWEST_GPU_QUERIES and not is_usual


FEWEST_STEPS = 128


def plain_form(scan: ScanAttrs) -> Literal["newton", "parallel", "steps"]:
    """How PyTorch runs a recurrence on a GPU that has no kernel for it.

    A loop waits for the GPU at each operation of each step. On an H100, 4 x 256 numbers a step, in
    float32: a gated cell takes by Newton's method, of 512 and 2048 steps, 0.36 and 0.06 of the
    loop's time, 0.13 and 0.05 with the way back; of 64 steps 1.4 and 0.7, so that fewer than
    `FEWEST_STEPS` are run as a loop. An elementwise linear carry takes by an associative scan 0.31,
    0.05 and 0.04 of 64, 512 and 2048 steps.
    """
    if solvable(scan):
        return "newton"
    if any(choice.form is not Form.STEPS for choice in choices(classify(scan))):
        return "parallel"
    return "steps"


ROWS = 16  # steps of a chunk, where PyTorch runs a recurrence in parallel on the CPU
FEW_STEPS = {Form.CHUNKS: 16, Form.DOUBLING: 32}
MOST_NUMBERS = {Form.CHUNKS: 1 << 16, Form.DOUBLING: 256}


@dataclass(frozen=True, slots=True)
class InParallel:
    """When PyTorch runs a recurrence in parallel on the CPU: from so many steps on, with at most so
    many numbers in the largest carry; with any number of them if `learning` and gradients are
    wanted."""

    steps: int
    numbers: int
    learning: bool

    def pays(self, steps: int, numbers: int, *, learns: bool) -> bool:
        """Whether it does for so many steps, and numbers in the largest carry."""
        return steps >= self.steps and (numbers <= self.numbers or (learns and self.learning))

    def __str__(self) -> str:
        learning = " or with gradients" if self.learning else ""
        return (
            f"in parallel from {self.steps} steps on, of at most {self.numbers} numbers{learning}"
        )


def _is_said(scan: ScanAttrs) -> bool:
    """Whether the operands of a recurrence tell all sizes of it, so that it can be called alone."""
    inputs = body_inputs(scan.body)
    own = [axis.size for step in scan.body.steps for axis in step.node.axes]
    read = {axis.size for node in inputs for axis in node.axes}
    read |= {scan.axis.size} if scan.steps else set()
    told = {
        symbol for size in read for symbol in sizes.symbols(size) if size == sizes.symbol(symbol)
    }
    return all(sizes.symbols(size) <= told for size in (*own, scan.axis.size))


@lru_cache(maxsize=256)
def in_parallel(scan: ScanAttrs) -> InParallel | None:
    """When PyTorch runs a recurrence in parallel on a CPU that has no kernel for it; None is never.

    On one thread, in chunks of 16 steps, as a part of the loop's time, forward; with backward:

    - products of matrices: gated linear attention, 4 heads of 64 x 64, of 8, 16, 32, 64, 256 and
      1024 steps 1.9, 1.0, 0.7, 0.4, 0.4, 0.6; 1.3, 0.7, 0.5, 0.4, 0.3, 0.2. Retention 1.7, 0.9,
      0.5, 0.4, 0.2, 0.2; 1.0, 0.6, 0.4, 0.2, 0.1, 0.1. The gated delta rule 1.6, 0.9, 0.6, 0.4,
      0.3, 0.3; 1.1, 0.6, 0.4, 0.3, 0.2, 0.1. Matrices of 16 x 16 take as much or less; in chunks of
      32 all is the same from 64 steps on, in chunks of 64 up to twice as slow. Gated linear
      attention with 32 heads, of 32, 128 and 512 steps 0.9, 1.5, 1.6; 0.4, 0.4, 0.5.
    - an associative scan, one carry of 64 numbers, of 16, 64, 256, 1024 steps: 1.0, 0.4, 0.2, 0.2;
      0.8, 0.4, 0.2, 0.2. Of 256 numbers 1.1, 0.5, 0.9, 0.9; 0.9, 0.5, 0.3, 0.4. Of 512 1.1, 0.7,
      0.5, 2.0; 1.0, 0.6, 0.4, 0.8. Of 2048 numbers 1.7, 1.4, 1.8, 3.7, and of 16384 10 and more:
      each round of it goes through memory once more, and the loop does not. Two carries that turn
      into each other, of 64 numbers each: 1.9, 0.7, 0.3, 0.3; of 256 numbers each 2.2, 1.0, 0.7,
      1.0.

    Where a group of carries has no such form there is a loop anyway, and it is taken for all.
    """
    if not scan.carries or not _is_said(scan):
        return None
    found = classify(scan)
    pairs = list(zip(found.groups, choices(found), strict=True))
    forms = {choice.form for _, choice in pairs}
    if not forms or Form.STEPS in forms:
        return None
    between = max(len(group.carries) ** 2 for group, _ in pairs)  # numbers of one in another
    return InParallel(
        max(FEW_STEPS[form] for form in forms),
        min(MOST_NUMBERS[form] for form in forms) // between,
        Form.DOUBLING not in forms,
    )
