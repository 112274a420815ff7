"""Checks many texts that nobody would write: specs with something changed, lines of many specs,
characters. Run by itself, `python -m tests.dsl.fuzz 10000`, it prints what it found."""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random

from tests.dsl.mutations import folder_of, mutated, random_text, texts

from neuraxis.dsl.diagnostics import Collector, Severity
from neuraxis.dsl.parser import parse
from neuraxis.dsl.source import Source
from neuraxis.testing import check_any_text

CHARACTERS = " \n\t.,:;()[]{}=+-*/^|<>@#\"'\\_~%&!?$axyt019λé中\u202e\x00\U0001f600"
AGAIN = 40  # so many texts are checked twice, to see what stays


@dataclass
class Report:
    """Of how many texts what was true; the longest check in seconds, and megabytes of memory."""

    texts: int = 0
    past_line_3: int = 0  # have no mistake of syntax up to there
    with_errors: int = 0
    right: int = 0
    slowest: float = 0.0
    grown: float = 0.0  # the process, from the first fifth to the end
    kept: float = 0.0  # by Python, of texts that were checked before

    def __str__(self) -> str:
        return "\n".join(f"{f.name}: {getattr(self, f.name):.6g}" for f in fields(self))


def text(number: int, originals: list[str], seed: int = 0) -> str:
    """One text: most are specs with something changed."""
    random = Random(f"{seed}:{number}")
    match random.random():
        case draw if draw < 0.75:
            return mutated(random, originals)
        case draw if draw < 0.92:
            return random_text(random, originals)
    return "".join(random.choice(CHARACTERS) for _ in range(random.randint(0, 300)))


def fuzz(count: int, seed: int = 0) -> Report:
    """Check so many texts. Raises AssertionError for the first that breaks the law of any text."""
    originals = texts()
    report = Report(count)
    for original in originals:  # the library is read, and kept, by whoever first uses it
        check_any_text(original, folder_of(original), seconds=60)
    before = 0.0
    for number in range(count):
        if number == count // 5:
            before = memory()
        made = text(number, originals, seed)
        started = time.process_time()
        found = check_any_text(made, folder_of(made))
        report.slowest = max(report.slowest, time.process_time() - started)
        report.past_line_3 += reads_past(made, 3)
        report.right += found.ok
        report.with_errors += any(d.severity is Severity.ERROR for d in found.diagnostics)
    report.grown = memory() - before
    report.kept = kept([text(number, originals, seed) for number in range(min(count, AGAIN))])
    return report


def reads_past(made: str, line: int) -> bool:
    """Whether the text is longer than so many lines, and has no mistake of syntax in them."""
    collector = Collector()
    parse(Source("spec.nax", made), collector)
    at = [d.span.source.position(d.span.start)[0] for d in collector.diagnostics]
    return made.count("\n") > line and all(place > line for place in at)


def memory() -> float:
    """What the process holds by itself, in MB, swapped out or not; 0 where the system does not
    tell. Pages of files come and go as the system likes."""
    gc.collect()
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    held = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "VmSwap:"))]
    return sum(map(int, held)) * 1024 / 1e6


def kept(made: list[str]) -> float:
    """What Python holds more once texts were checked again, in MB."""
    held = []
    tracemalloc.start()
    for _ in range(3):
        for one in made:
            check_any_text(one, folder_of(one), seconds=60)  # traced, it is slow
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return (held[-1] - held[-2]) / 1e6


if __name__ == "__main__":
    sys.stdout.write(f"{fuzz(*map(int, sys.argv[1:]))}\n")
