"""From a `data` statement to its data set."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ...dsl.diagnostics import Slug
from ...dsl.files import DataError
from ...dsl.sources import SIGNATURES
from . import arrays, bundled, records, synthetic, text
from .request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ...dsl.signatures import FieldSignature, Value
    from .dataset import Dataset
    from .tokens import Tokenizer

    Loader = Callable[[Request], Dataset]


def load_data(
    source: str,
    options: Mapping[str, Value],
    root: Path,
    seed: int,
    fields: Sequence[FieldSignature] = (),
    tokenizers: Mapping[str, Tokenizer] | None = None,
) -> Dataset:
    """What `data NAME = source(options): fields` holds; DataError if it cannot be had.

    Files are read only below `root`. The same arguments give the same data set.
    """
    if source not in SOURCES:
        raise DataError(f"no source is called `{source}`", slug=Slug.UNKNOWN_NAME)
    signature = SIGNATURES[source]
    for problem in signature.problems(options):
        raise DataError(problem.message, slug=problem.slug, hint=problem.hint)
    if bool(fields) != signature.declared:
        needed = "needs its fields declared" if signature.declared else "has fields of its own"
        raise DataError(f"`{source}` {needed}", slug=Slug.WRONG_ARGUMENTS)
    complete = signature.complete(options)
    return SOURCES[source](Request(source, complete, root, seed, tuple(fields), tokenizers or {}))


def _some_held(load: Loader) -> Loader:
    """A loader that holds back examples drawn at random."""
    return lambda request: load(request).with_held(request.number("held"), request.seed)


SOURCES: Mapping[str, Loader] = MappingProxyType(
    {
        "bytes": text.read_byte_files,
        "stdlib": text.read_standard_library,
        "text": text.read_text_files,
        "jsonl": _some_held(records.read_jsonl),
        "csv": _some_held(records.read_csv),
        "parquet": _some_held(records.read_parquet),
        "npy": _some_held(arrays.read_npy),
        "npz": _some_held(arrays.read_npz),
        "safetensors": _some_held(arrays.read_safetensors),
        "digits": _some_held(bundled.load_digits),
        "iris": bundled.load_table,
        "wine": bundled.load_table,
        "breast_cancer": bundled.load_table,
        "diabetes": bundled.load_table,
        "repeats": _some_held(synthetic.make_repeats),
        "recall": _some_held(synthetic.make_recall),
        "modular": _some_held(synthetic.make_modular),
        "copying": _some_held(synthetic.make_copying),
    }
)
"""How each source is read."""
