from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray
from hypothesis import example, given
from hypothesis import strategies as st
from tests.runtime.small import write

from neuraxis import specs
from neuraxis.cli import main
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.figures import Layout, draw
from neuraxis.runtime.pages import write_page
from neuraxis.runtime.pages.highlight import highlighted
from neuraxis.runtime.pages.pictures import inline
from neuraxis.runtime.pages.tables import MOST_COLUMNS, MOST_ROWS, sheet, summary
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "<script>alert(1)</script> & \"quoted\" 'so' </style> {{ 7 * 7 }}"
SPEC = '''
"""About <b>lines</b> & more."""

use parts: line

data points = npz("points.npz"): token: int, target: float

train base of line on points:
    """Learns its targets."""
    loss = mean[b]((out - target) ^ 2)
    using adamw(lr = 0.02), batch 8, steps 6
    every 3 steps: evaluate
    expect loss < 1000

experiment look of line with base on points:  # <i>
    """HOSTILE"""
    run clean = line
    gap = mean[b](clean.out ^ 2)
    sweep effect over g in [0.5, 3, 1]:
        run pushed = clean with y *= g
        mean[b]((clean.out - pushed.out) ^ 2)
    sweep table over q in [0, 1], l in 0..3:
        q * l - 1.0
    show gap, effect, table, text(points.token[b = 0..4])
    plot line(effect, title = "TITLE")
    plot heatmap(table, x = l)
    expect gap > -1
    expect gap > 1e9
    expect all[g](isfinite(effect))
'''
PARTS = """
model line[d = 2, vocab = 60](token[b]: int) -> [b]:
    y = tanh(embed[vocab -> d](token))
    return sum[d](y)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results of a training and an experiment, with what could break a page in it."""
    folder = tmp_path_factory.mktemp("pages")
    token = np.array([60, 38, 34, 39] + [5] * 12) % 60
    np.savez(folder / "points.npz", token=token, target=token.astype(np.float32))
    write(folder, "parts.nax", PARTS)
    text = SPEC.replace("TITLE", HOSTILE.replace('"', "'")).replace("HOSTILE", HOSTILE)
    program = Program.load(write(folder, "look.nax", text))
    program.run("look", folder=folder / "out")
    return folder / "out"


class Page(HTMLParser):
    """What is in a page: its elements with their attributes, and its text."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def attributes(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]


def page(results: Path, to: Path) -> tuple[str, Page]:
    text = write_page(results, to / "page.html").read_text(encoding="utf-8")
    return text, Page(text)


def test_a_page_says_what_came_of_a_run(results: Path, tmp_path: Path) -> None:
    _, found = page(results, tmp_path)
    assert not found.open
    said = "".join(found.texts)
    assert "3 of 4 expectations hold" in said
    assert HOSTILE in said  # as text, as it was written
    assert "Learns its targets." in said
    for word in ("seed", "torch", "python", "neuraxis", "processor", "How sweeps were run"):
        assert word in said
    kinds = [tag for tag, _ in found.elements]
    assert kinds.count("figure") == 3  # the loss, a line, a heat map
    assert kinds.count("script") == 1  # that of the page
    cells = found.attributes("data-key")
    assert {"0.5", "3.0", "-1.0"} <= set(cells)
    lines = [line for line in found.attributes("id") if line.startswith("spec-1-")]
    spec = (results.parent / "look.nax").read_text(encoding="utf-8")
    assert len(lines) == len(spec.splitlines())
    assert all("".join(piece for _, piece in line) in said for line in highlighted(spec))
    assert "sum[d](y)" in said  # of the file that it uses


def test_a_page_needs_nothing_beside_it(results: Path, tmp_path: Path) -> None:
    text, found = page(results, tmp_path)
    for name in ("src", "href", "xlink:href", "action", "poster", "data"):
        for target in found.attributes(name):
            assert target.startswith(("#", "data:image/png;base64,")), target
    far = text.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
    assert "http:" not in far
    assert "https:" not in far
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert not [name for _, attrs in found.elements for name in attrs if name.startswith("on")]
    names = found.attributes("id")
    assert len(set(names)) == len(names)
    targets = [t[1:] for t in found.attributes("href") if t.startswith("#")]
    assert set(targets) <= set(names)


def test_an_expectation_leads_to_its_line(results: Path, tmp_path: Path) -> None:
    _, found = page(results, tmp_path)
    spec = (results.parent / "look.nax").read_text(encoding="utf-8").splitlines()
    links = [t for t in found.attributes("href") if t.startswith("#spec-1-")]
    lines = [spec[int(link.rpartition("-")[2]) - 1].strip() for link in links]
    assert lines == [line.strip() for line in spec if line.strip().startswith("expect")]


def test_a_page_is_the_same_for_the_same_results(results: Path, tmp_path: Path) -> None:
    first = write_page(results, tmp_path / "a.html").read_bytes()
    assert write_page(results, tmp_path / "b.html").read_bytes() == first
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.html", "b.html"]


def test_a_page_of_one_study(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "one.html"
    assert main(["report", str(results / "look" / "look.nc"), "--to", str(to)]) == 0
    assert capsys.readouterr().out == f"page   {to}\n"
    said = "".join(Page(to.read_text(encoding="utf-8")).texts)
    assert "2 of 3 expectations hold" in said
    assert main(["report", str(results / "base")]) == 0
    assert (results / "base" / "report.html").is_file()
    (results / "base" / "report.html").unlink()


def test_what_holds_no_results_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nowhere")]) == 1
    assert "no results of a run in" in capsys.readouterr().err
    xarray.Dataset({"x": ("t", np.zeros(3))}).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    with pytest.raises(SpecError, match="no results of a run in"):
        write_page(tmp_path)
    (tmp_path / "x.nc").write_bytes(b"not a file of results")
    with pytest.raises(SpecError, match=r"x\.nc cannot be read"):
        write_page(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.nc"]


def test_a_figure_that_is_gone_is_said(results: Path, tmp_path: Path) -> None:
    copied = tmp_path / "look"
    copied.mkdir()
    (copied / "look.nc").write_bytes((results / "look" / "look.nc").read_bytes())
    (copied / "table.svg").write_text("<p>no figure</p>", encoding="utf-8")
    _, found = page(tmp_path, tmp_path)
    said = "".join(found.texts)
    assert "The figure “table” is not among the results." in said
    assert said.count("is not among the results") == 2


# ---- the text of a spec


def test_words_are_of_their_kinds() -> None:
    found = highlighted(
        'model data[d = 2](x[b]) -> [b]:  # a model\n    """D."""\n    return "t" + data\n'
    )
    first = [piece for piece in found[0] if piece[0]]
    assert first[0] == ("keyword", "model")
    assert first[1] == ("defined", "data")
    assert ("number", "2") in first
    assert first[-1] == ("comment", "# a model")
    assert ("doc", '"""D."""') in found[1]
    assert ("keyword", "return") in found[2]
    assert ("text", '"t"') in found[2]
    assert ("keyword", "data") not in found[2]


@given(st.text())
@example("model m(x:\n  # so\n")
@example('"""a\nb"""\n\n\nx = 1 # end')
@example("\ufeffuse a: b\r\n\r\n# c")
def test_no_text_loses_a_character(text: str) -> None:
    lines = ["".join(piece for _, piece in line) for line in highlighted(text)]
    wanted = [line.rstrip("\r") for line in text.split("\n")]
    while wanted and not wanted[-1]:
        wanted.pop()
    assert lines == wanted


@pytest.mark.parametrize("name", ["tour", "models/gpt2", "std/attention"])
def test_shipped_specs_are_shown_whole(name: str) -> None:
    lines = ["".join(piece for _, piece in line) for line in highlighted(specs.read(name))]
    assert lines == specs.read(name).splitlines()


# ---- tables


def test_tables_of_any_number_of_axes() -> None:
    one = sheet(xarray.DataArray(np.float32(0.1), name="gap"))
    assert (one.head, one.names, one.rows[0][0].text) == (("gap",), 0, "0.1000")
    column = sheet(xarray.DataArray([True, False], dims="g", coords={"g": [0.5, 1.0]}, name="x"))
    assert [[cell.text for cell in row] for row in column.rows] == [["0.5", "true"], ["1", "false"]]
    grid = sheet(xarray.DataArray(np.arange(6.0).reshape(2, 3), dims=("l", "x.p"), name="x"))
    assert grid.head == ("l \\ p", "0", "1", "2")  # the axis has its array's name in a file
    assert [cell.key for cell in grid.rows[1]] == ["1.0", "3.0", "4.0", "5.0"]
    deep = sheet(xarray.DataArray(np.zeros((2, 3, 4)), dims=("a", "b", "c"), name="x"))
    assert (deep.head, len(deep.rows), deep.names) == (("a", "b", "c", "x"), 24, 3)
    texts = sheet(xarray.DataArray([["a\n", "b"]], dims=("b", "t"), name="t"))
    assert [cell.text for cell in texts.rows[0]] == ["0", "0", "a\\n"]
    nothing = sheet(xarray.DataArray(np.zeros((0, 3)), dims=("a", "b"), name="x"))
    assert nothing.rows == ()


def test_what_is_too_much_is_left_out_and_said() -> None:
    grid = sheet(xarray.DataArray(np.zeros((MOST_ROWS + 1, MOST_COLUMNS + 2)), dims=("a", "b")))
    assert (len(grid.rows), len(grid.rows[0])) == (MOST_ROWS, MOST_COLUMNS + 1)
    assert len(grid.head) == MOST_COLUMNS + 1
    assert grid.note == "the first 300 of 301 along a, the first 60 of 62 along b"
    deep = sheet(xarray.DataArray(np.zeros((10, 10, 10)), dims=("a", "b", "c")))
    assert deep.note == "the first 300 of 1000 entries"


def test_a_summary_leaves_out_what_is_no_number() -> None:
    arrays = [
        xarray.DataArray([1.0, np.nan, 3.0], dims="t", name="x"),
        xarray.DataArray(["a"], dims="t", name="y"),
        xarray.DataArray([np.nan], dims="t", name="z"),
    ]
    rows = [[cell.text for cell in row] for row in summary(arrays).rows]
    assert rows[0] == ["x", "t = 3", "1.000", "2.000", "3.000"]
    assert rows[1][2:] == rows[2][2:] == ["", "", ""]


# ---- figures


def test_a_figure_in_a_page_keeps_only_what_draws() -> None:
    bad = """<?xml version="1.0"?>
    <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()">
      <script>x()</script><style>*{color:red}</style><foreignObject><p/></foreignObject>
      <a xlink:href="https://example.org"><text>gone</text></a>
      <g id="one" onclick="x()"><use xlink:href="#mark"/><text>kept</text>
        <image xlink:href="https://example.org/x.png"/>
        <image xlink:href="data:image/png;base64,AA=="/></g>
      <defs><path id="mark" style="fill: #1c2024" clip-path="url(#clip)"/></defs>
      <clipPath id="clip"><rect/></clipPath>
    </svg>"""
    found = inline(bad, "f1", "A <title>")
    page = Page(found)
    assert {tag for tag, _ in page.elements} == {
        "svg", "g", "use", "text", "image", "defs", "path", "clippath", "rect",
    }  # fmt: skip
    assert sorted(page.attributes("id")) == ["f1-clip", "f1-mark"]
    assert page.attributes("xlink:href") == ["#f1-mark", "data:image/png;base64,AA=="]
    assert page.attributes("clip-path") == ["url(#f1-clip)"]
    assert page.attributes("aria-label") == ["A <title>"]
    assert "var(--ink)" in found
    assert "example.org" not in found
    assert "onclick" not in found
    for text in ("", "<p/>", "<svg>", "no", "<svg/>"):
        with pytest.raises(ValueError, match="no SVG"):
            inline(text, "f", "t")


def test_names_in_figures_of_one_page_differ(tmp_path: Path) -> None:
    draw("line", xarray.DataArray([1.0, 2], dims="g"), tmp_path / "x", Layout(title="x"))
    text = (tmp_path / "x.svg").read_text(encoding="utf-8")
    one, other = (Page(inline(text, prefix, "x")).attributes("id") for prefix in ("a", "b"))
    assert one
    assert not set(one) & set(other)
