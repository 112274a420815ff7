"""Named values of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    import xarray


@dataclass(frozen=True)
class Value:
    """A tensor with the names of its axes, in their order."""

    axes: tuple[str, ...]
    tensor: torch.Tensor

    def to_xarray(self, name: str | None = None) -> xarray.DataArray:
        """A labelled array, cut off from the gradient."""
        import xarray  # with pandas, it takes as long as all of the compiler

        return xarray.DataArray(self.tensor.detach().cpu().numpy(), dims=self.axes, name=name)


class Trace(Mapping[str, Value]):
    """Values by address; tensors keep their gradient. `results` are those of the model."""

    def __init__(self, values: Mapping[str, Value], results: tuple[torch.Tensor, ...]) -> None:
        self._values, self.results = dict(values), results

    def __getitem__(self, address: str) -> Value:
        return self._values[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def to_xarray(self) -> xarray.Dataset:
        """All values as one data set; an axis that has another size in an earlier value is called
        by the address too."""
        from .results import together  # brings xarray

        return together({address: value.to_xarray() for address, value in self._values.items()})
