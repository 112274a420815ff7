"""Code run on tensors that have shapes and no numbers, to see how much memory it takes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from ...dsl import sizes
from ...dsl.core import DType, names
from ...dsl.ops import InputAttrs, RandomAttrs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...dsl.core import Node
    from ..lowering import Lowered


def tried(lowered: Lowered, known: Mapping[str, int]) -> int:
    """Bytes of the tensors that code makes and holds, at the most, for run-time sizes.

    Raises RuntimeError or IndexError if it looks at numbers, KeyError if a size is not known.
    """
    device = next((held.device for held in lowered.module.parameters()), torch.device("cpu"))
    given = [_hollow(node, known, device) for node in lowered.inputs]
    draws = [_hollow(node, known, device) for node in lowered.module.draws]
    watched = Watched(device)
    with torch.no_grad(), watched:
        lowered.module.run_with(given, draws)
    return watched.most


def _hollow(node: Node, known: Mapping[str, int], device: torch.device) -> Hollow:
    assert isinstance(node.attrs, InputAttrs | RandomAttrs)
    kinds = {DType.INT: torch.int64, DType.BOOL: torch.bool}
    order = node.attrs.order if isinstance(node.attrs, InputAttrs) else names(node.attrs.axes)
    shape = [sizes.evaluate(node.size(axis), known) for axis in order]
    dtype = kinds.get(node.dtype, torch.get_default_dtype())
    return Hollow(torch.empty(shape, dtype=dtype, device="meta"), device)


class Hollow(torch.Tensor):
    """A tensor that says to be on a device, and has no memory there: operations see `shaped`."""

    shaped: torch.Tensor

    @staticmethod
    def __new__(cls, shaped: torch.Tensor, device: torch.device) -> Hollow:
        """One with the shape and strides of a tensor on `meta`."""
        made: Hollow = torch.Tensor._make_wrapper_subclass(
            cls,
            shaped.size(),
            strides=shaped.stride(),
            storage_offset=shaped.storage_offset(),
            dtype=shaped.dtype,
            device=device,
        )
        made.shaped = shaped
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # it is a class method
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """There is always a `Watched` in front."""
        raise RuntimeError("no numbers are here")


class Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """While it is open, operations make tensors without numbers, and the bytes that these would
    take are counted: `now`, and the `most` that there were."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.now: int = 0
        self.most: int = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch's compiler is not there: to be kept from it would load it, all 100 MiB."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The same operation on `meta`."""
        outer: dict[int, torch.Tensor] = {}

        def inside(value: Any) -> Any:
            if isinstance(value, torch.device):
                return torch.device("meta")
            if not isinstance(value, torch.Tensor):
                return value
            found = value.shaped if isinstance(value, Hollow) else value.to("meta")
            outer[id(found)] = value
            self._known.add(found.untyped_storage())  # a result that is a view of it takes nothing
            return found

        def outside(value: Any) -> Any:
            if not isinstance(value, torch.Tensor):
                return value
            if id(value) in outer:  # written in place
                return outer[id(value)]
            self._count(value.untyped_storage())
            return Hollow(value, self.device)

        own, named = tree_map(inside, (args, kwargs or {}))
        return tree_map(outside, func(*own, **named))

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._known:
            self._known.add(storage)
            size = storage.nbytes()
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._let_go, size)

    def _let_go(self, size: int) -> None:
        self.now -= size
