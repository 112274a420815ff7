from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from neuraxis.runtime.data import ByteTokenizer, DataError, Dataset, load_data

if TYPE_CHECKING:
    from pathlib import Path


def text_of(data: Dataset | None) -> str:
    return "" if data is None else ByteTokenizer().decode(data["tokens"].values.ravel())


def test_bytes_come_in_windows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdefghij")
    data = load_data("bytes", {"path": "a.txt", "t": 4, "held": 0.0}, tmp_path, 0)
    assert data["tokens"].axes == ("b", "t")
    assert text_of(data) == "abcdefgh"
    assert data.held is None


def test_of_one_text_the_end_is_held(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0123456789" * 10)
    data = load_data("bytes", {"path": "a.txt", "t": 10, "held": 0.2}, tmp_path, 0)
    assert text_of(data) == "0123456789" * 8
    assert text_of(data.held) == "0123456789" * 2


def test_of_several_texts_whole_ones_are_held(tmp_path: Path) -> None:
    for name in "abcdefghij":
        (tmp_path / f"{name}.txt").write_text(name * 8)
    options = {"path": "*.txt", "t": 8, "held": 0.3}
    data = load_data("bytes", options, tmp_path, 0)
    train, held = set(text_of(data)), set(text_of(data.held))
    assert len(train) == 7
    assert len(held) == 3
    assert train | held == set("abcdefghij")
    assert text_of(load_data("bytes", options, tmp_path, 1).held) == text_of(data.held)


def test_a_held_text_stays_held_when_others_come(tmp_path: Path) -> None:
    options = {"path": "*.txt", "t": 8, "held": 0.5}
    for name in "abcdef":
        (tmp_path / f"{name}.txt").write_text(name * 8)
    before = text_of(load_data("bytes", options, tmp_path, 0).held)
    for name in "ghijkl":
        (tmp_path / f"{name}.txt").write_text(name * 8)
    after = load_data("bytes", options, tmp_path, 0)
    assert len(set(before) & set(text_of(after.held))) >= 2
    assert not set(text_of(after)) & set(text_of(after.held))


def test_an_empty_text_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0123456789" * 10)
    (tmp_path / "b.txt").write_text("")
    data = load_data("bytes", {"path": "*.txt", "t": 10}, tmp_path, 0)
    assert text_of(data.held) == "0123456789"
    for options in ({"path": "b.txt"}, {"limit": 1}):
        with pytest.raises(DataError, match="0 tokens do not fill"):
            load_data("bytes" if "path" in options else "stdlib", options, tmp_path, 0)


def test_texts_go_through_a_tokeniser(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abcdef")
    options = {"path": "a.txt", "tokenizer": "tok", "t": 3, "held": 0.0}
    data = load_data("text", options, tmp_path, 0, tokenizers={"tok": ByteTokenizer()})
    assert text_of(data) == "abcdef"
    with pytest.raises(DataError, match="no tokeniser is called `tok`"):
        load_data("text", options, tmp_path, 0)


def test_text_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"abc\xff")
    with pytest.raises(DataError, match=r'"a\.txt" is no UTF-8 text: byte 3 is 255'):
        load_data(
            "text",
            {"path": "a.txt", "tokenizer": "tok", "t": 2},
            tmp_path,
            0,
            tokenizers={"tok": ByteTokenizer()},
        )


def test_too_short_a_text_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    with pytest.raises(DataError, match="tokens do not fill a window of t = 128"):
        load_data("bytes", {"path": "a.txt"}, tmp_path, 0)


def test_the_standard_library_is_source_with_texts_held(tmp_path: Path) -> None:
    options = {"t": 64, "limit": 300_000}
    data = load_data("stdlib", options, tmp_path, 0)
    assert data.held is not None
    total = data["tokens"].values.size + data.held["tokens"].values.size
    assert 250_000 < total <= 300_000
    assert 0.05 < data.held["tokens"].values.size / total <= 0.1
    assert "def " in text_of(data)
    again = load_data("stdlib", options, tmp_path, 7)
    assert np.array_equal(again["tokens"].values, data["tokens"].values)


@pytest.mark.slow
def test_no_line_of_a_held_module_is_trained_on(tmp_path: Path) -> None:
    data = load_data("stdlib", {}, tmp_path, 0)
    assert len(data) > 20_000
    docstring = lambda text: {line for line in text.split("\n") if len(line) > 70}  # noqa: E731
    train, held = docstring(text_of(data)), docstring(text_of(data.held))
    assert len(train & held) < 0.1 * len(held)  # licences and copied lines
