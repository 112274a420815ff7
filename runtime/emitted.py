"""Emitted source as a Python module."""

from __future__ import annotations

import hashlib
import linecache
import sys
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .products import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    Given = tuple[tuple[str, Callable[..., Any]], ...]


@lru_cache(maxsize=64)
def loaded(source: str, name: str, given: Given = ()) -> ModuleType:
    """The module, in which some names are given. Runs text that we wrote, and no other."""
    digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    file = f"<neuraxis {name} {digest}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    module = ModuleType(f"neuraxis_emitted_{digest}")
    sys.modules[module.__name__] = module  # torch.compile looks for the module of what it reads
    module.__dict__.update(given)
    exec(compile(source, file, "exec"), module.__dict__)
    if "F" in module.__dict__ and "F" not in dict(given):  # as the source imports it
        module.__dict__["F"] = functional
    return module
