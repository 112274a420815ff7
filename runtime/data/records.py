"""Tables: JSON lines, CSV and Parquet, read as the fields that the spec declares."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...dsl.diagnostics import Slug, or_nearest
from ...dsl.files import DataError, find_files
from .dataset import stack
from .fields import fitting, together
from .files import read_bytes
from .tokens import ByteTokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ...dsl.signatures import FieldSignature
    from .dataset import Array, Column, Dataset
    from .request import Request
    from .tokens import Tokenizer

WORDS = {"true": True, "1": True, "false": False, "0": False}  # a bool in a CSV


@dataclass(frozen=True, slots=True)
class Record:
    """One example as it was read, and where."""

    place: str
    values: Mapping[str, object]


def read_jsonl(request: Request) -> Dataset:
    """`jsonl("pairs.jsonl"): clean[t of b]: text(tok), label: int`."""
    return _dataset(request, _each_file(request, _json_lines))


def read_csv(request: Request) -> Dataset:
    """`csv("trials.csv"): reward: float, choice: int`."""
    separator = request.text("separator")
    if len(separator) != 1:
        raise DataError(f'columns are separated by one character, not "{separator}"')

    def rows(file: Path) -> Iterator[Record]:
        reader = csv.DictReader(io.StringIO(_text(file), newline=""), delimiter=separator)
        try:
            for row in reader:
                values = {name: _unquoted(request, name, cell) for name, cell in row.items()}
                yield Record(f"{file.name}:{reader.line_num}", values)
        except csv.Error as error:
            raise DataError(f"{file.name}:{reader.line_num}: {error}") from None

    return _dataset(request, _each_file(request, rows))


def read_parquet(request: Request) -> Dataset:
    """`parquet("trials.parquet"): reward: float, choice: int`."""
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        hint = "pip install 'neuraxis[parquet]'"
        raise DataError("Parquet files need the package pyarrow", hint=hint) from None

    def rows(file: Path) -> Iterator[Record]:
        try:
            lines = parquet.read_table(file).to_pylist()
        except (ArrowException, OSError) as error:
            raise DataError(f'"{file.name}" is no Parquet file: {error}') from None
        yield from (Record(f"{file.name}, row {n}", line) for n, line in enumerate(lines))

    return _dataset(request, _each_file(request, rows))


def _each_file(request: Request, rows: Callable[[Path], Iterator[Record]]) -> Iterator[Record]:
    for file in find_files(request.root, request.text("path")):
        yield from rows(file)


def _json_lines(file: Path) -> Iterator[Record]:
    for number, line in enumerate(_text(file).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{file.name}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: no JSON: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f'{place}: a line holds an object such as {{"x": 1}}')
        yield Record(place, record)


def _text(file: Path) -> str:
    try:
        return read_bytes(file).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f'"{file.name}" is no UTF-8 text, from byte {error.start} on') from None


def _unquoted(request: Request, name: str, cell: str | None) -> object:
    """What a cell of text holds, by the kind of its field; as it is if it does not fit."""
    kind = next((field.kind for field in request.fields if field.name == name), "text")
    if cell is None or kind == "text":
        return cell
    cell = cell.strip()
    try:
        if kind == "bool":
            return WORDS.get(cell.lower(), cell)
        return float(cell) if kind == "float" else int(cell)
    except ValueError:
        return cell


# ---- records to columns


def _dataset(request: Request, records: Iterable[Record]) -> Dataset:
    rows: dict[str, list[Array]] = {field.name: [] for field in request.fields}
    tokenizers = {
        field.name: request.tokenizer(field.tokenizer) if field.tokenizer else ByteTokenizer()
        for field in request.fields
        if field.kind == "text"
    }
    place = ""
    for record in records:
        place = record.place
        for field in request.fields:
            rows[field.name].append(_read(record, field, tokenizers.get(field.name)))
    if not place:
        raise DataError(f'"{request.text("path")}" holds no example')
    columns = {field.name: _column(field, rows[field.name]) for field in request.fields}
    return together(columns)


def _column(field: FieldSignature, rows: list[Array]) -> Column:
    axes = [axis.name for axis in field.axes[1:]]
    try:
        return stack(rows, axes, {axis for axis, _ in field.ragged})
    except ValueError as error:
        hint = f"`{field.name}[{axes[0]} of b]` may have another length in each example"
        message = f"field `{field.name}`: {error}"
        raise DataError(message, slug=Slug.INPUT_MISMATCH, hint=hint) from None


def _read(record: Record, field: FieldSignature, tokenizer: Tokenizer | None) -> Array:
    if field.name not in record.values:
        message = f"{record.place}: no field `{field.name}`"
        hint = or_nearest(field.name, map(str, record.values))
        raise DataError(message, slug=Slug.UNKNOWN_FIELD, hint=hint)
    value = record.values[field.name]
    if tokenizer is not None:
        if isinstance(value, str):
            return tokenizer.encode(value)
        raise _not(record, field, value)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        raise _not(record, field, value) from None
    found = fitting(field, array, len(field.axes) - 1)
    if found is None:
        raise _not(record, field, value)
    return found


def _not(record: Record, field: FieldSignature, value: object) -> DataError:
    lists = " in a list" * (len(field.axes) - 1) if field.kind != "text" else ""
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 40 else shown[:37] + "..."
    message = f"{record.place}: `{field.name}` is {field.kind}{lists}, not {shown}"
    return DataError(message, slug=Slug.INPUT_MISMATCH)
