"""The parser's tables: what they are made from, and the cache that is never in the way."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

import lark
import pytest

from neuraxis.dsl import tables
from neuraxis.dsl.diagnostics import Collector
from neuraxis.dsl.lexer import Reading
from neuraxis.dsl.parser import parse
from neuraxis.dsl.source import Source
from neuraxis.dsl.study_nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

GRAMMAR = Path(tables.__file__).with_name("grammar.lark").read_text(encoding="utf-8")
GOOD = sorted((Path(__file__).parent / "good").glob("*.nax"))


@pytest.fixture
def no_building(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Makes a parser that is not read from the cache an error."""

    def build(grammar: str, transformer: object) -> lark.Lark:
        raise AssertionError("the cache was not used")

    with monkeypatch.context() as patch:
        patch.setattr(tables, "build", build)
        yield


def tree(parser: lark.Lark, nodes: Nodes, source: Source) -> object:
    """What this parser, and no other, makes of a text."""
    nodes.begin(source, Collector())
    return parser.parse(Reading(source))


def sources() -> list[Source]:
    return [Source(path.name, path.read_text(encoding="utf-8")) for path in GOOD]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables, made once."""
    folder = tmp_path_factory.mktemp("tables")
    tables.load(Nodes(), folder)
    (file,) = folder.iterdir()
    return file


@pytest.fixture
def cached(made: Path, tmp_path: Path) -> Path:
    """A folder with the tables in it."""
    (tmp_path / made.name).write_bytes(made.read_bytes())
    return tmp_path


def test_tables_from_the_cache_read_the_same(cached: Path, no_building: None) -> None:
    nodes = Nodes()
    parser = tables.load(nodes, cached)
    for source in sources():
        assert tree(parser, nodes, source) == parse(source, Collector())


def test_the_cache_is_text_and_one_file(cached: Path) -> None:
    (file,) = cached.iterdir()
    assert file.suffix == ".json"
    assert file.read_text(encoding="utf-8").startswith('{"data":')


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: '{"data": {}, "memo": {"x": 1}}',
        lambda text: text.replace('"states"', '"State"'),
        lambda text: "\0\xff",
    ],
)
def test_a_damaged_cache_is_made_again(cached: Path, damage: object) -> None:
    assert callable(damage)
    (file,) = cached.iterdir()
    good = file.read_text(encoding="utf-8")
    file.write_text(damage(good), encoding="latin-1")
    nodes = Nodes()
    parser = tables.load(nodes, cached)
    (source, *_) = sources()
    assert tree(parser, nodes, source) == parse(source, Collector())
    assert list(cached.iterdir()) == [file]
    assert json.loads(file.read_text(encoding="utf-8")).keys() == {"data", "memo"}


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert tables.load(Nodes(), tmp_path / "file" / "folder")


def test_another_version_has_other_tables(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lark, "__version__", "0")
    tables.load(Nodes(), cached)
    assert len(list(cached.iterdir())) == 2


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tables.cache_folder() == tmp_path / "neuraxis"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tables.cache_folder() == tmp_path / ".cache" / "neuraxis"

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.setattr(Path, "home", homeless)
    assert tables.cache_folder() is None


# ---- the grammar


def test_the_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    """Lark settles them in silence, so that a rule may never be taken."""
    with caplog.at_level(logging.DEBUG, logger=lark.logger.name):
        lark.Lark(GRAMMAR, parser="lalr", debug=True)
    assert not [record.message for record in caplog.records if "onflict" in record.message]


def test_every_rule_has_its_node() -> None:
    parser = tables.build(GRAMMAR, Nodes())
    for rule in parser.rules:
        name = rule.alias or rule.origin.name
        one_child = rule.options.expand1 and not rule.alias
        assert name.startswith("_") or one_child or hasattr(Nodes, name), name


def test_every_rule_is_used_by_the_examples() -> None:
    """What no text here exercises, nobody has tried."""
    used: set[str] = set()

    class Watching(Nodes):
        def __getattribute__(self, name: str) -> object:
            found = super().__getattribute__(name)
            if name in rules:

                def watch(children: list[object]) -> object:
                    used.add(name)
                    return found(children)

                return watch
            return found

    rules = {
        rule.alias or rule.origin.name
        for rule in tables.build(GRAMMAR, Nodes()).rules
        if not (rule.options.expand1 and not rule.alias)
    }
    nodes = Watching()
    parser = tables.build(GRAMMAR, nodes)
    for source in sources():
        tree(parser, nodes, source)
    assert {name for name in rules - used if not name.startswith(("_", "$"))} == set()


# ---- time
