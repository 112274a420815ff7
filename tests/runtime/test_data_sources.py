"""What the checker is told of a source is what comes when it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neuraxis.dsl.core import DType
from neuraxis.dsl.diagnostics import Slug
from neuraxis.dsl.sources import SIGNATURES, TOKENIZER
from neuraxis.runtime.data import SOURCES, ByteTokenizer, DataError, load_data

STORED = {DType.INT: np.int64, DType.FLOAT: np.float32, DType.BOOL: np.bool_}
SMALL = {
    "bytes": {"path": "*.txt", "t": 6},
    "text": {"path": "*.txt", "tokenizer": "tok", "t": 5},
    "stdlib": {"t": 10, "limit": 50_000},
    "repeats": {"n": 9, "t": 5},
    "recall": {"n": 9, "pairs": 3, "vocab": 7},
    "modular": {"p": 4},
    "copying": {"n": 9, "t": 4, "delay": 3},
}


def test_every_source_is_both_known_and_read() -> None:
    assert set(SOURCES) == set(SIGNATURES)
    assert TOKENIZER.name not in SOURCES


@pytest.mark.parametrize("name", [name for name, row in SIGNATURES.items() if not row.declared])
def test_the_fields_are_those_the_checker_knows(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.txt").write_text("some text, and then some more of it")
    options = SMALL.get(name, {})
    data = load_data(name, options, tmp_path, 0, tokenizers={"tok": ByteTokenizer()})
    known = {field.name: field for field in SIGNATURES[name].fields_for(options)}
    assert set(data.columns) == set(known)
    for field in known.values():
        column = data[field.name]
        assert column.axes == tuple(axis.name for axis in field.axes)
        assert column.values.dtype == STORED[field.dtype]
        sizes = dict(zip(column.axes, column.values.shape, strict=True))
        fixed = {axis.name: axis.size for axis in field.axes if axis.name != "b"}
        assert fixed == {axis: size for axis, size in sizes.items() if axis != "b"}


def test_what_a_checker_would_reject_is_not_read() -> None:
    for source, options, slug in [
        ("nothing", {}, Slug.UNKNOWN_NAME),
        ("digits", {"helt": 0.1}, Slug.UNKNOWN_OPTION),
        ("digits", {"held": 1}, Slug.WRONG_ARGUMENTS),
        ("jsonl", {"path": "x.jsonl"}, Slug.WRONG_ARGUMENTS),
    ]:
        with pytest.raises(DataError) as caught:
            load_data(source, options, Path(), 0)
        assert caught.value.slug is slug
