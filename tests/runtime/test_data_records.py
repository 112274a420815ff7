from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neuraxis.dsl.core import Axis
from neuraxis.dsl.diagnostics import Slug
from neuraxis.dsl.signatures import FieldSignature
from neuraxis.dsl.sizes import symbol
from neuraxis.runtime.data import ByteTokenizer, DataError, Dataset, load_data

if TYPE_CHECKING:
    from pathlib import Path


def field(name: str, kind: str, *axes: str, ragged: str = "") -> FieldSignature:
    named = tuple(Axis(axis, symbol(axis)) for axis in ("b", *axes))
    return FieldSignature(name, named, kind, None, ((ragged, "b"),) if ragged else ())


PAIRS = (
    field("clean", "text", "t", ragged="t"),
    field("corrupt", "text", "t", ragged="t"),
    field("label", "int"),
    field("subject", "position"),
)


def read(root: Path, source: str, text: str, *fields: FieldSignature) -> Dataset:
    file = root / f"data.{source}"
    file.write_text(text)
    return load_data(source, {"path": file.name}, root, 0, fields)


def test_json_lines_hold_texts_numbers_and_positions(tmp_path: Path) -> None:
    text = (
        '{"clean": "abc", "corrupt": "wxyz", "label": 3, "subject": -1, "note": "not read"}\n'
        "\n"
        '{"clean": "a", "corrupt": "", "label": 0, "subject": 0}\n'
    )
    data = read(tmp_path, "jsonl", text, *PAIRS)
    assert len(data) == 2
    assert set(data.columns) == {"clean", "corrupt", "label", "subject"}
    assert data["clean"].values.tolist() == [[97, 98, 99, 0], [97, 0, 0, 0]]
    assert data["clean"].lengths["t"].tolist() == [3, 1]
    assert data["corrupt"].lengths["t"].tolist() == [4, 0]
    assert data["label"].values.tolist() == [3, 0]
    assert data["subject"].values.tolist() == [-1, 0]


def test_a_text_goes_through_the_tokeniser_it_names(tmp_path: Path) -> None:
    class Shifted(ByteTokenizer):
        def encode(self, text: str):  # type: ignore[no-untyped-def]
            return super().encode(text) + 1

    (tmp_path / "p.jsonl").write_text('{"x": "a"}')
    axes = (Axis("b", symbol("b")), Axis("t", symbol("t")))
    named = FieldSignature("x", axes, "text", "tok", (("t", "b"),))
    data = load_data("jsonl", {"path": "p.jsonl"}, tmp_path, 0, [named], {"tok": Shifted()})
    assert data["x"].values.tolist() == [[98]]


def test_lists_become_axes(tmp_path: Path) -> None:
    text = '{"x": [[1, 2.5], [3, 4]], "on": [true, false]}\n{"x": [[5, 6]], "on": [false, true]}\n'
    fields = (field("x", "float", "t", "d", ragged="t"), field("on", "bool", "k"))
    data = read(tmp_path, "jsonl", text, *fields)
    assert data["x"].axes == ("b", "t", "d")
    assert data["x"].values.tolist() == [[[1, 2.5], [3, 4]], [[5, 6], [0, 0]]]
    assert data["x"].lengths["t"].tolist() == [2, 1]
    assert data["on"].values.tolist() == [[True, False], [False, True]]


def test_a_list_may_be_empty(tmp_path: Path) -> None:
    data = read(tmp_path, "jsonl", '{"x": []}\n{"x": [1]}\n', field("x", "int", "t", ragged="t"))
    assert data["x"].values.tolist() == [[0], [1]]
    assert data["x"].lengths["t"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"label": "yes"}', r'data\.jsonl:1: `label` is int, not "yes"'),
        ('{"label": 1.5}', "not 1.5"),
        ('{"label": true}', "not true"),
        ('{"label": null}', "not null"),
        ('{"label": [1]}', r"not \[1\]"),
        ('{"label": 99999999999999999999}', "not 99999999999999999999"),
        ('{"label": [[1], [2, 3]]}', "is int, not"),
        ('{"label": {"a": 1}}', 'not {"a": 1}'),
    ],
)
def test_a_value_of_the_wrong_kind_is_shown(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, "jsonl", line, field("label", "int"))
    assert caught.value.slug is Slug.INPUT_MISMATCH


def test_a_number_too_large_for_a_float_is_no_float(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`x` is float"):
        read(tmp_path, "jsonl", '{"x": 1e300}', field("x", "float"))


def test_a_missing_field_offers_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.jsonl:2: no field `label`") as caught:
        read(tmp_path, "jsonl", '{"label": 1}\n{"labels": 1}', field("label", "int"))
    assert caught.value.slug is Slug.UNKNOWN_FIELD
    assert caught.value.hint == "did you mean `labels`?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "a line holds an object"),
        ("[" * 100_000, "no JSON"),
        ('{"label": ' + "9" * 5000 + "}", "no JSON"),
        ("", "holds no example"),
    ],
)
def test_what_is_no_json_is_said_plainly(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, "jsonl", text, field("label", "int"))


def test_a_fixed_axis_has_one_size(tmp_path: Path) -> None:
    text = '{"x": [1, 2]}\n{"x": [1]}\n'
    with pytest.raises(DataError, match="axis t has size 2 in example 0, 1 in 1") as caught:
        read(tmp_path, "jsonl", text, field("x", "int", "t"))
    assert caught.value.hint == "`x[t of b]` may have another length in each example"


def test_fields_agree_on_a_fixed_axis(tmp_path: Path) -> None:
    text = '{"x": [1, 2], "y": [1]}\n'
    with pytest.raises(DataError, match="axis t has size 1 in y, 2 elsewhere"):
        read(tmp_path, "jsonl", text, field("x", "int", "t"), field("y", "int", "t"))


def test_csv_reads_cells_by_the_kind_of_their_field(tmp_path: Path) -> None:
    text = "\ufeffn,x,ok,word\n 3 ,0.5,true,hé\n-4,1e3,0,\n"
    fields = (field("n", "int"), field("x", "float"), field("ok", "bool"))
    data = read(tmp_path, "csv", text, *fields, field("word", "text", "t", ragged="t"))
    assert data["n"].values.tolist() == [3, -4]
    assert data["x"].values.tolist() == [0.5, 1000]
    assert data["ok"].values.tolist() == [True, False]
    assert data["word"].lengths["t"].tolist() == [3, 0]


@pytest.mark.parametrize("cell", ["x", "1.0", "", "nan"])
def test_csv_says_what_is_no_number(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DataError, match=r"data\.csv:2: `n` is int, not"):
        read(tmp_path, "csv", f"n,m\n{cell},1\n", field("n", "int"))


def test_csv_may_be_separated_otherwise(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("n\tm\n1\t2\n")
    options = {"path": "x.tsv", "separator": "\t"}
    data = load_data("csv", options, tmp_path, 0, [field("m", "int")])
    assert data["m"].values.tolist() == [2]
    with pytest.raises(DataError, match="one character"):
        load_data("csv", {**options, "separator": "::"}, tmp_path, 0, [field("m", "int")])


def test_short_and_long_rows_of_a_csv(tmp_path: Path) -> None:
    assert len(read(tmp_path, "csv", "n,m\n1,2,3\n", field("n", "int"))) == 1
    with pytest.raises(DataError, match="`m` is int, not null"):
        read(tmp_path, "csv", "n,m\n1\n", field("m", "int"))


def test_parquet_holds_numbers_texts_and_lists(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"word": ["ab", "c"], "label": [1, 2], "x": [[0.5, 1.0], [2.0, 3.0]]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "data.parquet")
    fields = [
        field("word", "text", "t", ragged="t"),
        field("label", "int"),
        field("x", "float", "d"),
    ]
    data = load_data("parquet", {"path": "data.parquet"}, tmp_path, 0, fields)
    assert data["word"].values.tolist() == [[97, 98], [99, 0]]
    assert data["label"].values.tolist() == [1, 2]
    assert data["x"].values.tolist() == [[0.5, 1], [2, 3]]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="is no Parquet file"):
        load_data("parquet", {"path": "bad.parquet"}, tmp_path, 0, fields)


def test_several_files_are_one_table_and_some_may_be_held(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jsonl").write_text('{"n": 1}\n' * 5)
    options = {"path": "*.jsonl", "held": 0.2}
    data = load_data("jsonl", options, tmp_path, 0, [field("n", "int")])
    assert data.held is not None
    assert (len(data), len(data.held)) == (8, 2)
