from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuraxis.dsl.diagnostics import Slug
from neuraxis.runtime.data import ByteTokenizer, DataError, load_tokenizer, single_token

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def words(tmp_path: Path) -> Path:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"[UNK]": 0, "[CLS]": 1, "when": 2, "Mary": 3, "left": 4}
    model = tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    tokenizer.enable_padding(length=8)
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_bytes_go_there_and_back() -> None:
    tokenizer = ByteTokenizer()
    text = "naïve ∀"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.encode("ab").tolist() == [97, 98]
    assert tokenizer.decode([255]) == "\ufffd"
    assert tokenizer.vocab == 256


def test_a_tokeniser_adds_and_drops_nothing(words: Path) -> None:
    tokenizer = load_tokenizer("tokenizer.json", words)
    assert tokenizer.vocab == 5
    assert tokenizer.encode("when Mary left").tolist() == [2, 3, 4]
    assert tokenizer.decode([1, 3]) == "[CLS] Mary"


def test_a_text_that_stands_for_an_index_is_one_token(words: Path) -> None:
    tokenizer = load_tokenizer("tokenizer.json", words)
    assert single_token(tokenizer, "Mary") == 3
    with pytest.raises(DataError, match='"Mary left" is 2 tokens') as caught:
        single_token(tokenizer, "Mary left")
    assert caught.value.slug is Slug.INPUT_MISMATCH
    with pytest.raises(DataError, match="is 0 tokens"):
        single_token(tokenizer, "")


def test_what_is_no_tokeniser_is_said_plainly(words: Path) -> None:
    (words / "other.json").write_text("{}")
    (words / "binary.json").write_bytes(b"\xff\xfe")
    for name in ("other.json", "binary.json"):
        with pytest.raises(DataError, match=r"is no tokenizer\.json"):
            load_tokenizer(name, words)
    with pytest.raises(DataError, match="no file"):
        load_tokenizer("none.json", words)
