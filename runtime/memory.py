"""Memory for what kernels give out.

Fresh memory costs a fault for each of its pages, together more than a light recurrence takes to
run. So some of what was given out is remembered, and given out again when nobody holds it.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = 1 << 20  # bytes from which on it is worth it
MOST = 64 << 20  # bytes that are remembered

_remembered: list[Any] = []  # storages, the last used last
_lock = threading.Lock()


def empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor on the CPU that holds anything."""
    size = math.prod(shape) * dtype.itemsize
    if not LARGE <= size <= MOST:
        return torch.empty(shape, dtype=dtype)
    with _lock:
        for at, storage in enumerate(_remembered):
            if storage.nbytes() == size and _is_free(storage):
                _remembered.append(_remembered.pop(at))
                found = torch.empty(0, dtype=dtype)
                found.set_(storage, 0, torch.Size(shape))  # type: ignore[call-overload]  # torch
                return found
        made = torch.empty(shape, dtype=dtype)
        _remembered.append(made.untyped_storage())
        while sum(storage.nbytes() for storage in _remembered) > MOST:
            del _remembered[0]
    return made


def _is_free(storage: Any) -> bool:
    """Whether nobody else holds it, in no other process either."""
    return torch._C._storage_Use_Count(storage._cdata) == 1 and not storage.is_shared()
