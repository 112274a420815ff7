"""Text to numbers and back: bytes, or a tokeniser read from its tokenizer.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...dsl.diagnostics import Slug
from ...dsl.files import DataError, find_file, find_folder
from .files import read_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


NAME = "tokenizer.json"
NO_BYTE = 0xFF  # stands nowhere in UTF-8


class Tokenizer(Protocol):
    """A way to write text as numbers below `vocab`."""

    @property
    def vocab(self) -> int:
        """How many tokens there are."""

    def encode(self, text: str) -> NDArray[np.int64]:
        """The text's tokens, and nothing before or after them."""

    def decode(self, tokens: Sequence[int] | NDArray[np.int64]) -> str:
        """The text; what is not valid text comes out as a replacement mark."""


class ByteTokenizer:
    """A token for each byte of UTF-8."""

    vocab = 256

    def encode(self, text: str) -> NDArray[np.int64]:
        """The text's bytes."""
        return as_tokens(text.encode())

    def decode(self, tokens: Sequence[int] | NDArray[np.int64]) -> str:
        """The text; bytes that are no UTF-8, and tokens that are no bytes, come out as a
        replacement mark."""
        known = (int(token) if 0 <= token < self.vocab else NO_BYTE for token in tokens)
        return bytes(known).decode(errors="replace")


class FileTokenizer:
    """A tokenizer.json."""

    def __init__(self, content: str):
        try:
            import tokenizers
        except ImportError:
            hint = "pip install 'neuraxis[text]'"
            raise DataError("tokenisers need the package tokenizers", hint=hint) from None
        self._tokenizer = tokenizers.Tokenizer.from_str(content)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    @property
    def vocab(self) -> int:
        """How many tokens there are, added ones too."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> NDArray[np.int64]:
        """The text's tokens, without the marks that some models want around them."""
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)

    def decode(self, tokens: Sequence[int] | NDArray[np.int64]) -> str:
        """The text, with special tokens as they are written."""
        return str(self._tokenizer.decode([int(t) for t in tokens], skip_special_tokens=False))


def load_tokenizer(path: str, root: Path) -> Tokenizer:
    """The tokeniser in a tokenizer.json below `root`, or in a folder that has one."""
    folder = find_folder(root, path)
    within = folder.relative_to(root.resolve()) / NAME if folder is not None else path
    file = find_file(root, str(within))
    try:
        return FileTokenizer(read_bytes(file).decode())
    except DataError:
        raise
    except Exception as error:  # the reader raises nothing more precise
        raise DataError(f'"{path}" is no tokenizer.json: {error}') from None


def single_token(tokenizer: Tokenizer, text: str) -> int:
    """The one token that a text such as `" Mary"` is, as needed where it stands for an index."""
    tokens = tokenizer.encode(text)
    if len(tokens) != 1:
        parts = ", ".join(f'"{tokenizer.decode([int(token)])}"' for token in tokens)
        message = f'"{text}" is {len(tokens)} tokens ({parts}), and one is needed'
        raise DataError(message, slug=Slug.INPUT_MISMATCH)
    return int(tokens[0])


def as_tokens(data: bytes) -> NDArray[np.int64]:
    """A token for each byte."""
    return np.frombuffer(data, dtype=np.uint8).astype(np.int64)
