"""The parser's tables: made from the grammar once, then read back from a cache.

Making them takes half a second, reading them a twentieth. The cache is JSON, keyed by what the
tables depend on; one that is missing, damaged or not writable costs only the time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

import lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from .lexer import SpecLexer

FORM = "1"  # of the cache file


def load(transformer: object, folder: Path | None = None) -> lark.Lark:
    """A parser whose nodes are made by `transformer`; tables are cached in `folder`."""
    grammar = resources.files(__name__.rpartition(".")[0]).joinpath("grammar.lark").read_bytes()
    key = hashlib.sha256(b"\0".join([grammar, lark.__version__.encode(), FORM.encode()]))
    folder = folder or cache_folder()
    if folder is None:
        return build(grammar.decode(), transformer)
    path = folder / f"grammar-{key.hexdigest()[:24]}.json"
    # whatever is wrong with a cached file, the grammar can always be read again
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        return _restore(json.loads(path.read_bytes()), transformer)
    parser = build(grammar.decode(), transformer)
    with contextlib.suppress(OSError):
        _write(path, json.dumps(_tables(parser), separators=(",", ":")))
    return parser


def build(grammar: str, transformer: object) -> lark.Lark:
    """A parser straight from the text of the grammar."""
    return lark.Lark(
        grammar,
        parser="lalr",
        lexer=SpecLexer,
        transformer=transformer,
        keep_all_tokens=True,
        maybe_placeholders=True,
    )


def cache_folder() -> Path | None:
    """Where this user's caches are; None for a user who has no home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():  # the convention says to ignore a relative one
        return Path(given) / "neuraxis"
    with contextlib.suppress(RuntimeError):
        return Path.home() / ".cache" / "neuraxis"
    return None


def _tables(parser: lark.Lark) -> dict[str, Any]:
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    # the lexer and the transformer are ours: they are put back on reading
    data["options"] = {
        name: value
        for name, value in data["options"].items()
        if isinstance(value, bool | int | str | list | None)
    }
    data["options"].pop("lexer", None)
    data["parser"]["lexer_conf"]["lexer_type"] = None
    return {"data": data, "memo": memo}


def _restore(tables: dict[str, Any], transformer: object) -> lark.Lark:
    data, memo = tables["data"], _numbered(tables["memo"])
    data["options"]["lexer"] = SpecLexer
    data["parser"]["lexer_conf"]["lexer_type"] = SpecLexer
    actions = data["parser"]["parser"]
    actions["tokens"] = _numbered(actions["tokens"])
    actions["states"] = {
        state: _numbered(row) for state, row in _numbered(actions["states"]).items()
    }
    # what `load` does with a pickle, done with data that cannot run anything
    parser: lark.Lark = lark.Lark._load_from_dict(  # type: ignore[no-untyped-call]
        data, memo, transformer=transformer
    )
    return parser


def _numbered(table: dict[str, Any]) -> dict[int, Any]:
    """JSON has no integer keys."""
    return {int(key): value for key, value in table.items()}


def _write(path: Path, text: str) -> None:
    """Put a file in its place in one step: a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
