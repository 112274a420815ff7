"""Memory for what kernels give out.

Fresh memory costs a fault for each of its pages, together more than a light recurrence takes to
run. So some of what was given out is remembered, and given out again when nobody holds it; what is
fresh is asked for in large pages, where the system has some.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LARGE = 1 << 20  # bytes from which on it is worth it
PART = 64  # of the machine's memory, one such part is remembered at most
PAGE = 2 << 20  # bytes of a large page
_THRESHOLD, _HIGHEST = -3, 32 << 20  # from how many bytes on a block is the system's, in malloc.h


@dataclass(frozen=True, slots=True)
class _Remembered:
    """Memory, and a tensor of it that is ours."""

    size: int
    storage: Any
    tensor: torch.Tensor

    def is_free(self) -> bool:
        """Whether nobody else holds it, in no other process either: two of its users are ours."""
        storage = self.storage
        return torch._C._storage_Use_Count(storage._cdata) == 2 and not storage.is_shared()


_remembered: list[_Remembered] = []  # the last used last
_lock = threading.Lock()
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _most() -> int:
    """How many bytes are remembered."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // PART
    except (AttributeError, ValueError, OSError):
        return 64 << 20


MOST = _most()


def maker(shape: torch.Size, dtype: torch.dtype) -> Callable[[], torch.Tensor]:
    """Makes tensors on the CPU that hold anything."""
    size = math.prod(shape) * dtype.itemsize
    if LARGE <= size <= MOST:
        return partial(_again, shape, dtype, size)
    with torch.inference_mode(False):
        like = torch.empty((), dtype=dtype).expand(shape)  # half the time of `empty` with a shape
    return partial(torch.empty_like, like, memory_format=torch.contiguous_format)


def _again(shape: torch.Size, dtype: torch.dtype, size: int) -> torch.Tensor:
    """Memory that was given out before, if there is some."""
    with _lock:
        for at in range(len(_remembered) - 1, -1, -1):  # what was used last is in the cache
            one = _remembered[at]
            if one.size == size and one.is_free():
                if at != len(_remembered) - 1:
                    _remembered.append(_remembered.pop(at))
                # a tensor of its own, ten times as fast as by an operation
                return _shaped(one.tensor, shape, dtype).data
        with torch.inference_mode(False):
            made = _fresh(shape, dtype, size)
        _remembered.append(_Remembered(size, made.untyped_storage(), made.data))
        while sum(one.size for one in _remembered) > MOST:
            del _remembered[0]
    return made


def _shaped(tensor: torch.Tensor, shape: torch.Size, dtype: torch.dtype) -> torch.Tensor:
    if tensor.shape == shape and tensor.dtype is dtype:
        return tensor
    with torch.inference_mode(False):
        found = torch.empty(0, dtype=dtype)
        return found.set_(tensor.untyped_storage(), 0, shape)  # type: ignore[call-overload,no-any-return]  # torch


@contextmanager
def given_back() -> Iterator[None]:
    """While this is open, what is let go of goes back to the system at once.

    The C library else keeps blocks of up to 32 MiB, and what is held grows by their gaps. Fresh
    memory costs a few percent of the time, so this is for where memory is short.
    """
    if _libc is not None and hasattr(_libc, "mallopt"):
        _libc.mallopt(_THRESHOLD, LARGE)
    try:
        yield
    finally:
        if _libc is not None and hasattr(_libc, "mallopt"):
            _libc.mallopt(_THRESHOLD, _HIGHEST)


def _fresh(shape: Sequence[int], dtype: torch.dtype, size: int) -> torch.Tensor:
    made = torch.empty(shape, dtype=dtype)
    if size >= 2 * PAGE and _libc is not None:
        start = -(-made.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (made.data_ptr() + size) // mmap.PAGESIZE * mmap.PAGESIZE
        # a wish: a system without large pages says no, and nothing is lost
        _libc.madvise(
            ctypes.c_void_p(start), ctypes.c_size_t(end - start), getattr(mmap, "MADV_HUGEPAGE", 14)
        )
    return made
