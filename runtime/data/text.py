"""Corpora: texts as streams of tokens, cut into windows."""

from __future__ import annotations

import hashlib
import re
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...dsl.files import DataError, find_files
from .dataset import Dataset, full
from .files import read_bytes
from .tokens import as_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .request import Request

NOT_TEXT = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
)
TABLES = frozenset({"encodings", "pydoc_data"})  # made by programs; each much like the next
OF_THIS_MACHINE = re.compile("_sysconfigdata|config-")


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a corpus. Its name decides whether it is held out, whatever else there is."""

    name: str
    tokens: NDArray[np.int64]


def read_byte_files(request: Request) -> Dataset:
    """`bytes("corpus/*.txt", t = 128)`."""
    files = find_files(request.root, request.text("path"))
    root = request.root.resolve()
    named = [(file.relative_to(root).as_posix(), read_bytes(file)) for file in files]
    return _windows(request, [Document(name, as_tokens(data)) for name, data in named])


def read_text_files(request: Request) -> Dataset:
    """`text("corpus/*.txt", tok, t = 128)`."""
    tokenizer = request.tokenizer(request.text("tokenizer"))
    root = request.root.resolve()
    documents = []
    for file in find_files(request.root, request.text("path")):
        name = file.relative_to(root).as_posix()
        try:
            text = read_bytes(file).decode()
        except UnicodeDecodeError as error:
            message = (
                f'"{name}" is no UTF-8 text: byte {error.start} is {error.object[error.start]}'
            )
            raise DataError(message, hint="`bytes` reads any file") from None
        documents.append(Document(name, tokenizer.encode(text)))
    return _windows(request, documents)


def read_standard_library(request: Request) -> Dataset:
    """`stdlib(t = 128)`: what ships with this Python, so it differs a little between versions."""
    root = Path(sysconfig.get_path("stdlib"))
    found: dict[bytes, Document] = {}
    for file in sorted(root.rglob("*.py")):
        relative = file.relative_to(root)
        if (NOT_TEXT | TABLES).isdisjoint(relative.parts) and not OF_THIS_MACHINE.match(
            str(relative)
        ):
            data = file.read_bytes()
            found.setdefault(data, Document(relative.as_posix(), as_tokens(data)))
    limit = request.maybe_whole("limit")
    documents = list(found.values())
    return _windows(request, documents if limit is None else _fitting(documents, limit, "limit"))


def _fitting(documents: Sequence[Document], most: float, purpose: str) -> list[Document]:
    """Documents of `most` tokens together, drawn by name: which ones, no seed and no order says."""
    drawn = sorted(documents, key=lambda d: hashlib.sha256(f"{purpose}:{d.name}".encode()).digest())
    names, total = set(), 0
    for document in drawn:
        if total + len(document.tokens) <= most:
            names.add(document.name)
            total += len(document.tokens)
    return [document for document in documents if document.name in names]


def _windows(request: Request, documents: Sequence[Document]) -> Dataset:
    """Documents end to end in windows of `t` tokens; what does not fill a window is left out."""
    size, share = request.whole("t"), request.number("held")
    train, held = _apart([document for document in documents if len(document.tokens)], share)
    windows = _cut(train, size)
    if not len(windows):
        total = sum(len(document.tokens) for document in train)
        raise DataError(f"{total} tokens do not fill a window of t = {size}")
    rest = _cut(held, size)
    return Dataset(
        {"tokens": full(windows, "t")},
        Dataset({"tokens": full(rest, "t")}) if len(rest) else None,
    )


def _apart(documents: Sequence[Document], share: float) -> tuple[list[Document], list[Document]]:
    """Whole documents held out, as far as the share goes; if it is less than any, a text's end."""
    most = share * sum(len(document.tokens) for document in documents)
    held = _fitting(documents, most, "held")
    if held or not most:
        names = {document.name for document in held}
        return [document for document in documents if document.name not in names], held
    longest = max(documents, key=lambda document: len(document.tokens))
    cut = len(longest.tokens) - round(most)
    start, end = (Document(longest.name, part) for part in np.split(longest.tokens, [cut]))
    return [start if document is longest else document for document in documents], [end]


def _cut(documents: Sequence[Document], size: int) -> NDArray[np.int64]:
    stream = np.concatenate([np.zeros(0, np.int64), *(document.tokens for document in documents)])
    count = len(stream) // size
    return stream[: count * size].reshape(count, size)
