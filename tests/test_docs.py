"""The handbook: its examples check and run, its tables hold what there is, its paths are there."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neuraxis import specs, testing
from neuraxis.cli import main
from neuraxis.compiler.passes import PASSES
from neuraxis.dsl import sizes
from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import Severity, Slug, render
from neuraxis.dsl.elaborate.builtins import BUILTINS, UNBUILT
from neuraxis.dsl.elaborate.declarations import DISTRIBUTIONS
from neuraxis.dsl.elaborate.optimisation import OPTIMISERS, SCHEDULES
from neuraxis.dsl.figures import FIGURES
from neuraxis.dsl.format import format_spec
from neuraxis.dsl.modules import std_index
from neuraxis.dsl.ops import OPS
from neuraxis.dsl.source import Source
from neuraxis.dsl.sources import SIGNATURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuraxis.dsl.signatures import FieldSignature, Option

ROOT = Path(__file__).parents[1]
DOCUMENTS = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if p.exists()]
WIDEST = 110
FENCE = re.compile(r"^```(?P<marks>[^\n`]*)\n(?P<text>.*?)^```$", re.M | re.S)
SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else its fence says, and the block right below it.

    `nax` blocks check. `file=NAME` also puts one beside the others of its document, `error SLUG`
    and `warning SLUG` say what is found in it. `python run` and `sh run` are run, in their order;
    what they print is the `text` block right below, if there is one.
    """

    document: Path
    line: int
    marks: tuple[str, ...]
    text: str
    below: Block | None = None

    @property
    def language(self) -> str:
        return self.marks[0] if self.marks else ""

    @property
    def file(self) -> str | None:
        return next((m.removeprefix("file=") for m in self.marks if m.startswith("file=")), None)

    def __str__(self) -> str:
        return f"{self.document.stem}:{self.line}"


def blocks(document: Path) -> list[Block]:
    text = document.read_text(encoding="utf-8")
    found: list[Block] = []
    after: tuple[int, Block] | None = None
    for match in reversed(list(FENCE.finditer(text))):
        near = after is not None and not text[match.end() : after[0]].strip()
        line = text.count("\n", 0, match.start()) + 1
        marks = tuple(match["marks"].split())
        block = Block(document, line, marks, match["text"], after[1] if near and after else None)
        found.insert(0, block)
        after = match.start(), block
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
SPECS = [block for block in BLOCKS if block.language == "nax"]
RUN = [
    document
    for document in DOCUMENTS
    if any("run" in block.marks for block in BLOCKS if block.document == document)
]


@pytest.fixture
def beside(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with the files of a document."""
    document = request.param.document if isinstance(request.param, Block) else request.param
    for block in SPECS:
        if block.document == document and block.file is not None:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    return tmp_path


def tables(name: str, first: str) -> list[list[str]]:
    """The rows of all tables of a document whose first heading is this, cell by cell."""
    rows: list[list[str]] = []
    inside = False
    for line in (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines():
        cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            inside = False
        elif not inside:
            inside = cells[0] == first
            first_row = True
        elif first_row:
            first_row = False  # the line under the headings
        else:
            rows.append(cells)
    assert rows, f"no table of {name} starts with {first}"
    return rows


def codes(cell: str) -> list[str]:
    return SPAN.findall(cell)


def first_column(name: str, first: str) -> list[str]:
    return [row[0].strip("`") for row in tables(name, first)]


# ---- examples


@pytest.mark.parametrize(
    ("block", "beside"), [(b, b) for b in SPECS], ids=map(str, SPECS), indirect=["beside"]
)
def test_an_example_checks(block: Block, beside: Path, request: pytest.FixtureRequest) -> None:
    checked = check_text(block.file or "spec.nax", block.text, beside)
    said = render(checked.diagnostics)
    if "error" in block.marks:
        wanted = block.marks[block.marks.index("error") + 1]
        assert {d.slug for d in checked.diagnostics} == {wanted}, said
    elif "warning" in block.marks:
        wanted = block.marks[block.marks.index("warning") + 1]
        assert [d.slug for d in checked.diagnostics] == [wanted], said
        assert checked.diagnostics[0].severity is Severity.WARNING
    else:
        assert not checked.diagnostics, said
        assert format_spec(Source("spec.nax", block.text)) == block.text
    compare(block, said + "\n", request)


def compare(block: Block, text: str, request: pytest.FixtureRequest) -> None:
    """What an example gives is the `text` block below it, which `--update-golden` rewrites."""
    shown = block.below
    if shown is None or shown.marks != ("text",) or shown.text == text:
        return
    assert request.config.getoption("--update-golden"), f"{block} gives\n{text}"
    whole = block.document.read_text(encoding="utf-8")
    head = f"```{' '.join(block.marks)}\n{block.text}```\n\n```text\n"
    assert whole.count(head) == 1, f"{block} is there twice"
    changed = whole.replace(head + shown.text, head + text)
    block.document.write_text(changed, encoding="utf-8", newline="\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("document", "beside"), [(d, d) for d in RUN], ids=[d.stem for d in RUN], indirect=["beside"]
)
def test_what_is_run_prints_what_is_shown(
    document: Path,
    beside: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(beside)
    names: dict[str, Any] = {}
    for block in BLOCKS:
        if block.document != document or "run" not in block.marks:
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            if block.language == "python":
                exec(compile(block.text, str(block), "exec"), names)
            for line in block.text.splitlines() if block.language == "sh" else ():
                command, *arguments = shlex.split(line, comments=True)
                assert command == "neuraxis"
                main(arguments)
        compare(block, out.getvalue(), request)


# ---- tables


def test_all_built_in_functions_are_listed() -> None:
    listed = [code for row in tables("language.md", "call") for code in codes(row[0])]
    names = {re.split(r"\W", code)[0] for code in listed}
    built = {name: row.usage for name, row in BUILTINS.items() if name not in UNBUILT}
    assert built.keys() <= names
    for usage in built.values():
        assert usage in listed


FUNCTIONS = [
    way
    for name, row in BUILTINS.items()
    if name not in {*UNBUILT, "prev"}
    for way in row.usage.split(" or ")
]


DERIVED = ("(y, x)", "(y, x, c)", "(y, x, v)")


@pytest.mark.parametrize("usage", FUNCTIONS)
def test_a_function_is_called_as_its_usage_says(usage: str) -> None:
    given = "x[b, t, k, e], a[b, f, k], b[b, f, k], condition[b]: bool, low, high"
    given += ", y[b, s, k], active[b, t]: bool" if usage.startswith("unpack") else ""
    given += ", active[b, t]: bool" if usage.startswith("pack") else ""
    given = given.replace(", f, k", ", l, k") if usage.startswith("fft") else given
    left = {"topk": "u, v", "fft": "u, v"}.get(usage.split("[")[0], "u")
    made = "    y = tanh(x)\n    c, v = y, x\n" if usage.endswith(DERIVED) else ""
    text = f"model m[e = 4]({given}) -> []:\n{made}    {left} = {usage}\n    return 0 * low\n"
    said = render(check_text("spec.nax", text).diagnostics)
    assert not said, said


FORMS = [code for row in tables("language.md", "form") for code in codes(row[0])]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_selection_checks(form: str) -> None:
    given = "x[b, t, n, k], w[m], at[b, q]: int"
    form = form.replace("w[n", "w[m")
    end = "return x[t = 0, n = 0, k = 0]"
    text = f"model m[n = 6, g = 2, m = 99]({given}) -> [b]:\n    y = {form}\n    {end}\n"
    said = render(check_text("spec.nax", text).diagnostics)
    assert not said, said


def shown_option(option: Option) -> str:
    if option.required:
        return f"`{option.name}`"
    match option.default:
        case None:
            return f"`{option.name}` (optional)"
        case str(text):
            return f'`{option.name} = "{text}"`'
        case bool(truth):
            return f"`{option.name} = {str(truth).lower()}`"
        case number:
            return f"`{option.name} = {number:g}`"


def shown_field(field: FieldSignature) -> str:
    axes = (
        a.name if sizes.show(a.size) == a.name else f"{a.name} = {sizes.show(a.size)}"
        for a in field.axes
    )
    return f"`{field.name}[{', '.join(axes)}]: {field.kind}`"


def test_all_sources_of_data_are_listed_with_options_and_fields() -> None:
    wanted = []
    for signature in SIGNATURES.values():
        name = f"`{signature.name}`"
        fields = ", ".join(map(shown_field, signature.fields)) or "declared by the spec"
        wanted.append([name, signature.does])
        wanted.append([name, ", ".join(map(shown_option, signature.options))])
        wanted.append([name, fields])
    assert sorted(tables("language.md", "source")) == sorted(wanted)


def test_optimisers_and_schedules_are_listed_with_their_options() -> None:
    for heading, known in (("optimiser", OPTIMISERS), ("schedule", SCHEDULES)):
        wanted = [[f"`{name}`", ", ".join(f"`{o}`" for o in own)] for name, own in known.items()]
        assert tables("language.md", heading) == wanted


def test_all_distributions_are_listed() -> None:
    listed = [codes(row[0])[0] for row in tables("language.md", "distribution")]
    found = {name: len(code.split(",")) for code in listed for name in [code.split("(")[0]]}
    assert found == DISTRIBUTIONS


# ---- what is reserved

USES = "use tiny: tiny\ndata words = repeats(t = 4)\n"
PLACES = {
    "file": USES + "{}\n",
    "block": "block f(x) -> []:\n    {}\n    return x\n",
    "expression": "model m(x[b]) -> [b]:\n    y = {}\n    return x\n",
    "intervention": USES + "intervention i on tiny:\n    {}\n",
    "experiment": USES + "experiment e of tiny on words:\n    run r = tiny\n    {}\n",
    "training": USES
    + "train t of tiny on words:\n    loss = mean[b, t, vocab](logits)\n"
    + "    using adam, steps 1\n    {}\n",
}
RESERVED = [(codes(row[0])[0], row[1]) for row in tables("language.md", "written")]


def indented(code: str) -> str:
    """A suite that is shown on the line of its header, on a line of its own."""
    return re.sub(r"^((?:calibrate|verify|attribute|phase) .*?): ", r"\1:\n        ", code)


@pytest.mark.parametrize(("code", "place"), RESERVED)
@pytest.mark.parametrize("beside", [ROOT / "docs/language.md"], indirect=True)
def test_what_is_reserved_is_reported_as_unbuilt(code: str, place: str, beside: Path) -> None:
    checked = check_text("spec.nax", PLACES[place].format(indented(code)), beside)
    assert Slug.UNBUILT in {d.slug for d in checked.diagnostics}, render(checked.diagnostics)


def test_all_reserved_functions_are_listed() -> None:
    named = {code.split("(")[0] for code, place in RESERVED if place == "expression"}
    assert named == set(UNBUILT)


# ---- figures


def test_every_figure_and_option_is_listed() -> None:
    listed = [re.split(r"\W", name)[0] for name in first_column("figures.md", "figure")]
    assert listed == list(FIGURES)
    options: dict[str, set[str]] = {name: {"title"} for name in FIGURES}
    for names, kinds, _ in tables("figures.md", "option"):
        whose = set(FIGURES) - {"circuit"} if kinds == "all but circuits" else codes(kinds)
        for kind in whose:
            options[kind] |= set(codes(names))
    assert options == {name: set(figure.options) for name, figure in FIGURES.items()}


# ---- the standard library

CONTEXT = """\
model m[d = 8, vocab = 16, h = 2, k = 4, gate = 4, c = 3, i = 8, j = 8](
    x[b, t, d], y[b, s, d], z[b, t, d], tokens[b, t]: int, image[b, c, i, j], logits[b, t, vocab],
    teacher[b, t, vocab], target[b, t]: int, scores[b, h, t, s], q[b, t, h, k],
    gates[b, t, gate, d], logit[b, t], right[b, t]: bool, wrong[b, t]: int, patched[b], corrupt[b],
    clean[b]
) -> [b]:
    {} = {}
    return x[t = 0, d = 0]
"""
LIBRARY = [(row[0].strip("`"), codes(row[1])[0]) for row in tables("std.md", "block")]


def test_every_block_of_the_standard_library_is_listed() -> None:
    assert sorted(name for name, _ in LIBRARY) == sorted(std_index())


@pytest.mark.parametrize(("name", "call"), LIBRARY)
def test_a_block_is_called_as_it_is_listed(name: str, call: str) -> None:
    assert re.search(rf"\b{name}\b", call)
    several = "u, v" if name.startswith("lstm_") else "u"
    said = render(check_text("spec.nax", CONTEXT.format(several, call)).diagnostics)
    assert not said, said


def test_every_shipped_model_is_listed() -> None:
    listed = first_column("std.md", "model")
    shipped = [name for name in specs.names() if name.startswith("models/")]
    assert sorted(listed) == sorted(name.removeprefix("models/") for name in shipped)


# ---- the compiler


def test_the_passes_are_listed_in_their_order() -> None:
    assert first_column("pipeline.md", "pass") == [row.name for row in PASSES]


def test_the_operations_are_listed() -> None:
    assert first_column("pipeline.md", "operation") == [op.name for op in OPS]


def test_every_kind_of_diagnostic_has_a_section() -> None:
    text = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert re.findall(r"^### `([\w-]+)`$", text, re.M) == [str(slug) for slug in Slug]


def test_a_kind_of_diagnostic_has_an_example_or_is_not_reported_yet() -> None:
    shown = {b.marks[2] for b in SPECS if b.document.stem == "errors" and len(b.marks) == 3}
    code = "".join(
        file.read_text(encoding="utf-8")
        for layer in ("dsl", "compiler", "runtime")
        for file in sorted((ROOT / layer).rglob("*.py"))
    )
    reported = {slug for slug in Slug if re.search(rf"Slug\.{slug.name}\b", code)}
    assert reported - shown <= {Slug.FAILED_EXPECTATION, Slug.INPUT_MISMATCH, Slug.NOT_CAUSAL}


# ---- property tests


def test_the_laws_and_the_strategies_are_listed() -> None:
    cells = [
        codes(row[0])[0] for first in ("check", "strategy") for row in tables("testing.md", first)
    ]
    listed = {cell.split("(")[0] for cell in cells}
    assert listed == set(testing.__all__) - {"assert_close"}


# ---- the text


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda d: d.stem)
def test_no_line_is_too_long(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    assert not [n for n, line in enumerate(lines, 1) if len(line) > WIDEST]


def paths(document: Path) -> Iterator[str]:
    """What is called by its path in the repository."""
    prose = FENCE.sub("", document.read_text(encoding="utf-8"))
    for code in SPAN.findall(prose):
        if re.fullmatch(r"(dsl|compiler|runtime|specs|src|tests|docs)/[\w./-]*\w/?", code):
            yield code


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.stem)
def test_every_path_is_there(document: Path) -> None:
    assert not [path for path in paths(document) if not (ROOT / path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.stem)
def test_every_link_leads_somewhere(document: Path) -> None:
    text = SPAN.sub("", FENCE.sub("", document.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        name, _, heading = target.partition("#")
        other = document.parent / name if name else document
        assert other.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.M)
            anchors = [re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles]
            assert heading in anchors, target
