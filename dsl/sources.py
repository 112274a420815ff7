"""The sources of data sets, as a checker needs them: what each takes and yields.

`runtime/data` reads the data, and a test holds the two together.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from . import sizes
from .core import Axis
from .signatures import EXAMPLES, FieldSignature, Option, Signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .signatures import Value


def _field(name: str, kind: str, *axes: str | Axis) -> FieldSignature:
    named = (Axis(a, sizes.symbol(a)) if isinstance(a, str) else a for a in (EXAMPLES, *axes))
    return FieldSignature(name, tuple(named), kind)


def _held(share: float) -> Option:
    return Option("held", "float", share, least=0, below=1)


def _count(name: str, default: int | None, least: int = 1) -> Option:
    return Option(name, "int", default, least=least)


def _corpus(name: str, does: str, *options: Option) -> Signature:
    every = (*options, _count("t", 128, least=2), _held(0.1))
    return Signature(name, does, every, (_field("tokens", "int", "t"),))


def _file(name: str, does: str, *options: Option) -> Signature:
    return Signature(name, does, (_PATH, *options, _held(0)), declared=True)


def _bundled(name: str, does: str, features: int, target: FieldSignature) -> Signature:
    options = (Option("standard", "bool", False), _held(0.2))
    return Signature(name, does, options, (_field("x", "float", Axis("f", features)), target))


def _too_many_pairs(options: Mapping[str, Value]) -> str | None:
    pairs, vocab = options["pairs"], options["vocab"]
    if isinstance(pairs, int) and isinstance(vocab, int) and pairs > vocab // 2:
        return f"{pairs} different keys need `vocab` of at least {2 * pairs}, not {vocab}"
    return None


_PATH = Option("path", "text", required=True)
_LABEL = _field("label", "int")
_T, _PAIRS, _DELAY = sizes.symbol("t"), sizes.symbol("pairs"), sizes.symbol("delay")
_TWICE = sizes.multiply(2, _T)

_ALL = (
    # text
    _corpus("bytes", "the bytes of files, in windows of `t`", _PATH),
    _corpus("stdlib", "the source of Python's own library, in bytes", _count("limit", None)),
    _corpus(
        "text",
        "text files through a tokeniser",
        _PATH,
        Option("tokenizer", "tokenizer", required=True),
    ),
    # files whose fields the spec declares
    _file("jsonl", "one JSON object a line"),
    _file("csv", "a table with a header", Option("separator", "text", ",")),
    _file("parquet", "a table in columns"),
    _file("npy", "one array, its first axis the examples"),
    _file("npz", "arrays by name"),
    _file("safetensors", "tensors by name"),
    # what scikit-learn brings
    Signature(
        "digits",
        "1797 handwritten digits of 8 x 8 pixels from 0 to 1",
        (_held(0.2),),
        (_field("image", "float", Axis("i", 8), Axis("j", 8)), _LABEL),
    ),
    _bundled("iris", "150 flowers of 3 kinds", 4, _LABEL),
    _bundled("wine", "178 wines of 3 growers", 13, _LABEL),
    _bundled("breast_cancer", "569 tumours, malignant (0) or benign (1)", 30, _LABEL),
    _bundled("diabetes", "442 patients, their disease a year on", 10, _field("target", "float")),
    # made up
    Signature(
        "repeats",
        "`t` random tokens, twice",
        (_count("n", 1024), _count("t", 32), _count("vocab", 64), _held(0.1)),
        (_field("tokens", "int", Axis("t", _TWICE)),),
    ),
    Signature(
        "recall",
        "keys each with a value, then one of the keys; `source` is where its value stood",
        (_count("n", 1024), _count("pairs", 8), _count("vocab", 64, least=2), _held(0.1)),
        (
            _field("tokens", "int", Axis("t", sizes.add(sizes.multiply(2, _PAIRS), 1))),
            _field("answer", "int"),
            _field("source", "position"),
        ),
        rule=_too_many_pairs,
    ),
    Signature(
        "modular",
        "a, b and the token p, for all pairs; the answer is `a op b` modulo p",
        (
            _count("p", 97, least=2),
            Option("op", "choice", "add", choices=("add", "subtract", "multiply", "divide")),
            _held(0.5),
        ),
        (_field("tokens", "int", Axis("t", 3)), _field("answer", "int")),
    ),
    Signature(
        "copying",
        "`t` random tokens, `delay` blanks (0), a mark (1), the tokens again",
        (
            _count("n", 1024),
            _count("t", 16),
            _count("vocab", 16, least=3),
            _count("delay", 0, least=0),
            _held(0.1),
        ),
        (_field("tokens", "int", Axis("t", sizes.add(_TWICE, sizes.add(_DELAY, 1)))),),
    ),
)

SIGNATURES: Mapping[str, Signature] = MappingProxyType({row.name: row for row in _ALL})
"""Every source of a data set."""

TOKENIZER = Signature("tokenizer", "a tokeniser from its tokenizer.json", (_PATH,))
"""`data tok = tokenizer("tokenizer.json")`, which is no data set but stands in its place."""
