"""The command line: one function a command. Exit 0 well, 1 a mistake of the user, 2 a failed
expectation, 70 a mistake of ours."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .dsl.check import check_text
from .dsl.diagnostics import Diagnostic, Severity, Slug, SpecError, render, to_json
from .dsl.files import read_spec
from .dsl.format import format_spec
from .dsl.source import GENERATED, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .compiler.context import Context
    from .runtime.program import Program

WELL, MISTAKE, FAILED, OURS, STOPPED = 0, 1, 2, 70, 130
_COLOURS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[36m", "hint": "\x1b[32m"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except SpecError as error:
        _print(error.diagnostics, json=getattr(args, "json", False))
        return MISTAKE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads any more
        return WELL
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; `--resume` goes on from what is kept\n")
        return STOPPED
    except OSError as error:
        _print([Diagnostic(Slug.BAD_FILE, f"{error.filename}: {error.strerror}", GENERATED)])
        return MISTAKE
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        hint = "this is a mistake of ours; `neuraxis --debug ...` says where"
        message = f"{type(error).__name__}: {error}"
        _print([Diagnostic(Slug.INTERNAL, message, GENERATED, hint=hint)])
        return OURS


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """What is wrong with a command line; 2 is for expectations."""
        self.print_usage(sys.stderr)
        self.exit(MISTAKE, f"{self.prog}: {message}\n")


def _bytes(text: str) -> int:
    """How many bytes `2GiB`, `500MB` or `4096` are."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([KMGT]?)(i?)B)?", text.strip(), re.IGNORECASE)
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"`{text}` is no size; write 2GiB or 500MB")
    power = "KMGT".find(found[2].upper()) + 1 if found[2] else 0
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="neuraxis", description=(__doc__ or "").split(".")[0] + ".")
    parser.add_argument("--debug", action="store_true", help="say where a mistake of ours is")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[argparse.Namespace], int], help_: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help_, description=help_)
        added.set_defaults(run=run)
        return added

    check = command("check", _check, "say what is wrong in specs")
    check.add_argument("files", nargs="+", metavar="FILE", help="a spec, or - for standard input")
    check.add_argument("--json", action="store_true", help="diagnostics as JSON, for editors")
    fmt = command("fmt", _fmt, "format specs in place")
    fmt.add_argument("files", nargs="+", metavar="FILE")
    fmt.add_argument("--check", action="store_true", help="only say which would change")
    run = command("run", _run, "train, run and sweep what a spec declares")
    run.add_argument("file")
    run.add_argument("names", nargs="*", metavar="NAME", help="only these, with what they need")
    run.add_argument("--results", default="results", metavar="DIR", help="where results go")
    run.add_argument("--root", metavar="DIR", help="read files below DIR, not beside the spec")
    run.add_argument("--resume", action="store_true", help="go on from what is kept")
    run.add_argument(
        "--memory", type=_bytes, metavar="SIZE", help="what a sweep may take: 2GiB (1GiB)"
    )
    run.add_argument(
        "--on", choices=("here", "ray"), default="here", help="where the parts of sweeps are run"
    )
    report = command("report", _report, "write the results of a run as one page of HTML")
    report.add_argument("results", metavar="RESULT", help="a folder of results, or a file of one")
    report.add_argument("--to", metavar="FILE", help="the page; report.html there if not said")
    sites = command("sites", _sites, "list the addresses of a model")
    sites.add_argument("file")
    sites.add_argument("model")
    sites.add_argument("pattern", nargs="?", default="*")
    show = command("show", _show, "show a model's graph")
    show.add_argument("--after", metavar="PASS", help="as it stands after a pass")
    show.add_argument("--dot", action="store_true", help="in the dot language")
    explain = command(
        "explain", _explain, "say how a model, its attention and sweeps are run, and why"
    )
    bench = command("bench", _bench, "time a model with its kernels against plain PyTorch")
    bench.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="AXIS=SIZE",
        help="a size that the spec leaves open",
    )
    bench.add_argument("--pairs", type=int, default=40, help="how many pairs are timed")
    bench.add_argument("--threads", type=int, default=1)
    emit = command("emit", _emit, "write out the code of a model")
    emit.add_argument(
        "--step", action="store_true", help="its derived step: one more position, from what is kept"
    )
    emit.add_argument("--to", choices=("torch", "cpp", "triton", "graph"), default="torch")
    for sub in (show, emit):
        sub.add_argument(
            "--recurrences",
            choices=("steps", "parallel"),
            default="steps",
            help="in which form, where there is a parallel one",
        )
    for sub in (show, explain, bench, emit):
        sub.add_argument("file")
        sub.add_argument("model", nargs="?")
    for sub in (run, sites, show, explain, bench, emit):
        sub.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="MODEL.NAME=VALUE",
            help="a size or value from outside",
        )
        sub.add_argument("--seed", type=int, default=0)
        sub.add_argument("--device", default="cpu")
    return parser


def _print(diagnostics: Sequence[Diagnostic], *, json: bool = False) -> None:
    if json:
        sys.stdout.write(to_json(diagnostics) + "\n")
        return
    text = render(diagnostics)
    if text:
        in_colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        sys.stderr.write((_coloured(text) if in_colour else text) + "\n")


def _coloured(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        for word, colour in _COLOURS.items():
            if line.startswith(f"{word}[") or f"= {word}:" in line:
                line = line.replace(word, f"{colour}{word}\x1b[0m", 1)
        lines.append(line)
    return "\n".join(lines)


# ---- reading


def _check(args: argparse.Namespace) -> int:
    found: list[Diagnostic] = []
    for name in args.files:
        found += _checked(name)
    _print(found, json=args.json)
    return MISTAKE if any(d.severity is Severity.ERROR for d in found) else WELL


def _checked(name: str) -> Sequence[Diagnostic]:
    """What is to be said of a file; that it cannot be read, too."""
    if name == "-":
        return check_text("(standard input)", sys.stdin.read(), Path.cwd()).diagnostics
    try:
        return check_text(name, read_spec(Path(name)), Path(name).parent).diagnostics
    except SpecError as error:
        return error.diagnostics


def _fmt(args: argparse.Namespace) -> int:
    changed = 0
    for name in args.files:
        path = Path(name).resolve()
        text = read_spec(path)
        new = format_spec(Source(name, text))
        if new != text:
            changed += 1
            if not args.check:
                _write(path, new)
            sys.stdout.write(f"{name} {'would change' if args.check else 'formatted'}\n")
    return MISTAKE if args.check and changed else WELL


def _write(path: Path, text: str) -> None:
    from .runtime.atomic import replacing

    with replacing(path) as file:
        file.write_text(text, encoding="utf-8", newline="\n")
        shutil.copymode(path, file)


# ---- running, which brings torch


def _load(args: argparse.Namespace) -> Program:
    from .runtime.program import Program

    root = getattr(args, "root", None)
    program = Program.load(
        args.file, settings=args.set, seed=args.seed, device=args.device, root=root
    )
    _print(program.diagnostics)
    return program


def _run(args: argparse.Namespace) -> int:
    from .runtime.session import run_file
    from .runtime.sweeps import MEMORY, Running

    sweeps = Running(memory=args.memory or MEMORY, on=args.on)
    program = _load(args)
    failed = run_file(program, args.names, Path(args.results), resume=args.resume, sweeps=sweeps)
    return FAILED if failed else WELL


def _report(args: argparse.Namespace) -> int:
    from .runtime.pages import write_page

    page = write_page(Path(args.results), Path(args.to) if args.to else None)
    sys.stdout.write(f"page   {page}\n")
    return WELL


def _sites(args: argparse.Namespace) -> int:
    from .runtime.report import site_table

    sys.stdout.write(site_table(_load(args), args.model, args.pattern))
    return WELL


def _show(args: argparse.Namespace) -> int:
    from .runtime.report import shown

    found = shown(_load(args), args.model, _context(args), after=args.after, dot=args.dot)
    sys.stdout.write(found)
    return WELL


def _explain(args: argparse.Namespace) -> int:
    from .runtime.report import explained

    sys.stdout.write(explained(_load(args), args.model))
    return WELL


def _bench(args: argparse.Namespace) -> int:
    from .runtime.benchmark import benchmark

    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait cost nothing
    benchmark(_load(args), args.model, args.size, pairs=args.pairs, threads=args.threads)
    return WELL


def _emit(args: argparse.Namespace) -> int:
    from .runtime.report import emitted

    found = emitted(_load(args), args.model, args.to, _context(args), step=args.step)
    sys.stdout.write(found)
    return WELL


def _context(args: argparse.Namespace) -> Context:
    from .compiler.context import Context

    return Context(recurrences=args.recurrences)


if __name__ == "__main__":
    sys.exit(main())
