"""The page of a folder of results: what was run, what came of it, and from which spec."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import jinja2

from ...dsl.diagnostics import Slug
from ..atomic import replacing
from ..mistakes import mistake
from ..record import Record
from ..results import load
from .highlight import Piece, highlighted
from .histories import curves, last_values
from .pictures import inline
from .tables import Cell, Sheet, cell, sheet, summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import xarray

    from ..record import Expected

PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of a study; `svg` is an element of the page."""

    title: str
    svg: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """An expectation; `line` is an address in the page, if the spec is on it."""

    holds: bool
    label: str
    found: str
    line: str


@dataclass(frozen=True, slots=True)
class Study:
    """An experiment or training on the page."""

    anchor: str
    record: Record
    verdicts: tuple[Verdict, ...]
    pictures: tuple[Picture, ...]
    sheets: tuple[Sheet, ...]
    everything: Sheet | None
    facts: Mapping[str, str]
    missing: tuple[str, ...]

    @property
    def failed(self) -> int:
        """How many expectations fail."""
        return sum(not verdict.holds for verdict in self.verdicts)


@dataclass(frozen=True, slots=True)
class Listing:
    """The text of a spec on the page."""

    anchor: str
    name: str
    lines: Sequence[Sequence[Piece]]


def write_page(results: Path, to: Path | None = None) -> Path:
    """Write the page of a folder of results, or of one file of it; to `report.html` in that folder,
    if nothing else is said. Returns where it is. Raises SpecError if there are no results."""
    found = sorted(_records(results), key=lambda one: (one[1].started, one[1].name))
    if not found:
        message = f"no results of a run in `{results}`"
        raise mistake(
            Slug.BAD_FILE, message, hint="neuraxis run FILE, then neuraxis report results"
        )
    listings = _listings(record for _, record, _ in found)
    studies = [
        _study(number, folder, record, data, listings)
        for number, (folder, record, data) in enumerate(found, 1)
    ]
    names = list(dict.fromkeys(study.record.spec_name for study in studies))
    text = _template().render(
        title=", ".join(names),
        studies=studies,
        listings=list(listings.values()),
        latest=studies[-1],
        held=sum(verdict.holds for study in studies for verdict in study.verdicts),
        expected=sum(len(study.verdicts) for study in studies),
    )
    path = to or (results if results.is_dir() else results.parent) / PAGE
    with replacing(path) as file:
        file.write_text(text, encoding="utf-8", newline="\n")
    return path


def _records(results: Path) -> Iterable[tuple[Path, Record, xarray.Dataset]]:
    """The files that say what they are the results of: here, or one folder below."""
    files = [results] if results.is_file() else [*results.glob("*.nc"), *results.glob("*/*.nc")]
    for file in sorted(files):
        try:
            data = load(file)
            record = Record.of(data)
        except (OSError, ValueError, TypeError) as error:
            message = f"{file.name} cannot be read: {error}"
            raise mistake(Slug.BAD_FILE, message) from None
        if record is not None:
            yield file.parent, record, data


def _study(
    number: int,
    folder: Path,
    record: Record,
    data: xarray.Dataset,
    listings: Mapping[tuple[str, str], Listing],
) -> Study:
    sheets: tuple[Sheet, ...]
    everything: Sheet | None = None
    missing: list[str] = []
    if record.kind == "training":
        drawn, sheets = list(curves(data)), (last_values(data),)
    else:
        drawn, missing = _drawn(folder, record)
        sheets = _together(sheet(data[name]) for name in record.shown if name in data)
        arrays = [data[name] for name in map(str, data.data_vars)]
        everything = summary(arrays) if arrays else None
    pictures = []
    for place, (title, text) in enumerate(drawn, 1):
        try:
            pictures.append(Picture(title, inline(text, f"f{number}-{place}", title)))
        except ValueError:
            missing.append(title)
    verdicts = tuple(_verdict(found, record, listings) for found in record.expectations)
    return Study(
        f"study-{number}",
        record,
        verdicts,
        tuple(pictures),
        sheets,
        everything,
        _facts(record),
        tuple(missing),
    )


def _drawn(folder: Path, record: Record) -> tuple[list[tuple[str, str]], list[str]]:
    """The figures of an experiment by their titles, and the titles of those that are not there."""
    drawn, missing = [], []
    for plot in record.plots:
        file = folder / f"{plot.file}.svg"
        if file.is_file() and file.parent == folder:
            drawn.append((plot.title, file.read_text(encoding="utf-8")))
        else:
            missing.append(plot.title)
    return drawn, missing


def _together(sheets: Iterable[Sheet]) -> tuple[Sheet, ...]:
    """Single numbers in one table, in front of the others."""
    sheets = list(sheets)
    single = [own for own in sheets if own.names == 0]
    rows = tuple((Cell(own.title, own.title, is_number=False), *own.rows[0]) for own in single)
    numbers = (Sheet("Numbers", ("", "value"), rows, 1),) if rows else ()
    return (*numbers, *(own for own in sheets if own.names))


def _verdict(
    found: Expected, record: Record, listings: Mapping[tuple[str, str], Listing]
) -> Verdict:
    sides = cell(found.left).text
    if found.right is not None:
        sides += f" {found.op} {cell(found.right).text}"
    else:
        sides = "true" if found.holds else "false"
    texts = {record.spec_name: record.spec, **record.uses}
    listing = listings.get((found.file, texts.get(found.file, "")))
    line = f"{listing.anchor}-{found.line}" if listing is not None else ""
    return Verdict(found.holds, found.label, sides, line)


def _facts(record: Record) -> dict[str, str]:
    """What it was run with."""
    facts = {
        "started": record.started.replace("T", " ").replace("+00:00", " UTC"),
        "took": f"{record.seconds:.3g} s",
        "seed": str(record.seed),
        "device": record.device,
    }
    if record.settings:
        facts["settings"] = ", ".join(record.settings)
    return {**facts, **record.versions, **record.machine}


def _listings(records: Iterable[Record]) -> dict[tuple[str, str], Listing]:
    """Every text of a spec once: those that were run, then those that they use."""
    records = list(records)
    texts = [(record.spec_name, record.spec) for record in records]
    texts += [(name, text) for record in records for name, text in record.uses.items()]
    return {
        (name, text): Listing(f"spec-{number}", name, highlighted(text))
        for number, (name, text) in enumerate(dict.fromkeys(texts), 1)
    }


@cache
def _template() -> jinja2.Template:
    """What is put in is text, but for the figures, which `inline` made."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader(__name__.rpartition(".")[0]),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    ).get_template("report.html.j2")
