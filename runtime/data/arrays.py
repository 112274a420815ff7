"""Arrays: .npy, .npz and .safetensors, whose first axis is the examples."""

from __future__ import annotations

import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

from ...dsl.diagnostics import Slug, or_nearest
from ...dsl.files import DataError, find_file
from .dataset import Column
from .fields import fitting, together

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ...dsl.signatures import FieldSignature
    from .dataset import Array, Dataset
    from .request import Request


def read_npy(request: Request) -> Dataset:
    """`npy("activity.npy"): x[t, n]: float`, the one field that there is."""
    if len(request.fields) != 1:
        raise DataError("a .npy file holds one array, so one field is declared")
    path = find_file(request.root, request.text("path"))
    with _opened(path) as loaded:
        if not isinstance(loaded, np.ndarray):
            raise DataError(f'"{path.name}" holds several arrays', hint="read it with `npz`")
        return _dataset(request, {request.fields[0].name: loaded}, [])


def read_npz(request: Request) -> Dataset:
    """`npz("trials.npz"): x[t, n]: float, label: int`."""
    path = find_file(request.root, request.text("path"))
    with _opened(path) as loaded:
        if isinstance(loaded, np.ndarray):
            raise DataError(f'"{path.name}" holds one array', hint="read it with `npy`")
        wanted = {field.name for field in request.fields} & set(loaded.files)
        return _dataset(request, {name: loaded[name] for name in sorted(wanted)}, loaded.files)


@contextmanager
def _opened(path: Path) -> Iterator[Array | np.lib.npyio.NpzFile]:
    """What a file of NumPy's holds; arrays of objects would run code, so there are none."""
    try:
        with path.open("rb") as file:
            yield np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError, zipfile.BadZipFile) as error:
        raise DataError(f'"{path.name}" is no {path.suffix} file of numbers: {error}') from None


def read_safetensors(request: Request) -> Dataset:
    """`safetensors("activity.safetensors"): x[t, n]: float, label: int`."""
    path = find_file(request.root, request.text("path"))
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            wanted = [field.name for field in request.fields if field.name in names]
            arrays = {name: file.get_tensor(name) for name in wanted}
    except (SafetensorError, OSError, TypeError) as error:
        raise DataError(f'"{path.name}" cannot be read: {error}') from None
    return _dataset(request, arrays, names)


def _dataset(request: Request, arrays: Mapping[str, Array], names: Sequence[str]) -> Dataset:
    columns = {}
    for field in request.fields:
        if field.name not in arrays:
            message = f'"{request.text("path")}" holds no `{field.name}`'
            hint = or_nearest(field.name, names) or f"it holds {', '.join(names)}"
            raise DataError(message, slug=Slug.UNKNOWN_FIELD, hint=hint)
        columns[field.name] = _column(field, arrays[field.name])
    return together(columns)


def _column(field: FieldSignature, array: Array) -> Column:
    axes = tuple(axis.name for axis in field.axes)
    values = None if field.kind == "text" else fitting(field, array, len(axes))
    if values is None:
        found = f"{array.dtype} of shape {list(array.shape)}"
        message = f"`{field.name}` is {field.kind} with axes {', '.join(axes)}, not {found}"
        raise DataError(message, slug=Slug.INPUT_MISMATCH)
    lengths = {
        axis: np.full(len(values), values.shape[axes.index(axis)]) for axis, _ in field.ragged
    }
    return Column(axes, values, lengths)
