"""Data sets: what stands behind the `data` statements of a spec."""

from __future__ import annotations

from ...dsl.files import DataError, find_file, find_files
from .dataset import Column, Cursor, Dataset, generator
from .ngram import NGram, ngram_bits
from .sources import SOURCES, load_data
from .tokens import ByteTokenizer, Tokenizer, load_tokenizer, single_token

__all__ = [
    "SOURCES",
    "ByteTokenizer",
    "Column",
    "Cursor",
    "DataError",
    "Dataset",
    "NGram",
    "Tokenizer",
    "find_file",
    "find_files",
    "generator",
    "load_data",
    "load_tokenizer",
    "ngram_bits",
    "single_token",
]
