"""A model with its kernels against the same graph in plain PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ..dsl.core import DType
from ..dsl.diagnostics import Slug, or_nearest
from ..dsl.sizes import symbols
from .examples import inputs_for
from .mistakes import mistake
from .module import build
from .timing import pairs as timed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .model import SpecModel
    from .program import Program
    from .timing import Pairing

    Step = Callable[[], object]

FINE = 4096  # inputs are whole numbers of these parts


def benchmark(
    program: Program, model: str | None, sizes: Iterable[str], *, pairs: int, threads: int
) -> None:
    """Time a model of a file, with sizes as `t=512`, and print a table."""
    if pairs < 1 or threads < 1:
        raise mistake(Slug.UNKNOWN_OPTION, "at least one pair is timed, on at least one thread")
    torch.set_num_threads(threads)
    name = program.elaborated(model).name
    known = _sizes(sizes)
    console = Console(highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(name, total=4 * pairs)
        rows = compared(program.model(name), known, pairs, lambda: bars.advance(task))
    Console(highlight=False).print(
        shown(program.model(name), known, rows, "cpu" if threads == 1 else "wall")
    )


def _sizes(texts: Iterable[str]) -> dict[str, int]:
    known = {}
    for text in texts:
        name, _, size = text.partition("=")
        if not name.isidentifier() or not size.isdecimal():
            message = f"`{text}` is no size"
            raise mistake(Slug.UNKNOWN_OPTION, message, hint="--size t=512")
        known[name] = int(size)
    return known


@dataclass(frozen=True)
class Row:
    """What one kind of step takes: forward, or forward and backward."""

    label: str
    found: Pairing


def compared(
    model: SpecModel,
    sizes: Mapping[str, int],
    count: int,
    said: Callable[[], object] = int,
) -> list[Row]:
    """Times of the model over those of PyTorch without our kernels, same numbers; `count` pairs.

    `sizes` are those that the spec leaves open; others are drawn. Parameters are shared, inputs
    drawn. Raises SpecError for a size that the model does not have.
    """
    known = open_sizes(model)
    for name in sizes:
        if name not in known:
            message = f"`{model.checked.name}` has no size `{name}` that its inputs tell"
            hint = or_nearest(name, known) or f"one of {', '.join(known)}"
            raise mistake(Slug.UNKNOWN_OPTION, message, hint=hint)
    plain = build(model._graph, model.checked, seed=model._seed, shared=model, kernels=False).eval()
    given = [torch.as_tensor(array) for array in inputs_for(model, 0, sizes, parts=FINE)]
    weights, _ = model.parameters_by_site()
    like = next(iter(weights.values()), torch.empty(0))
    given = [
        x.to(like.device, like.dtype if decl.dtype is DType.FLOAT else x.dtype)
        for decl, x in zip(model.checked.inputs, given, strict=True)
    ]
    rows = []
    with torch.no_grad():
        both = _forward(model, given), _forward(plain, given)
        rows.append(Row("forward", timed(*both, count, said)))
    if _learns(model, given):
        held = list(weights.values())
        both = _both(model, held, given), _both(plain, held, given)
        rows.append(Row("forward and backward", timed(*both, count, said)))
    return rows


def open_sizes(model: SpecModel) -> list[str]:
    """The sizes that inputs tell."""
    axes = (axis for argument in model._artifact.arguments for axis in argument.axes)
    return sorted({symbol for axis in axes for symbol in symbols(axis.size)})


def _forward(model: Any, given: list[torch.Tensor]) -> Step:
    return lambda: model(*given)


def _results(model: Any, given: list[torch.Tensor]) -> list[torch.Tensor]:
    found = model(*given)
    found = found if isinstance(found, tuple) else (found,)
    return [value for value in found if value.requires_grad]


def _learns(model: SpecModel, given: list[torch.Tensor]) -> bool:
    return bool(_results(model, given))


def _both(model: Any, held: Sequence[torch.Tensor], given: list[torch.Tensor]) -> Step:
    def step() -> None:
        for weight in held:
            weight.grad = None
        torch.autograd.backward([value.sum() for value in _results(model, given)])

    return step


def shown(model: SpecModel, sizes: Mapping[str, int], rows: list[Row], clock: str) -> Table:
    """The rows as a table for the terminal; `clock` is `cpu` or `wall`. The control is plain
    PyTorch over itself."""
    said = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    count = len(model._artifact.kernels)
    kernels = f"{count} kernel{'' if count == 1 else 's'}"
    title = f"{model.checked.name}{f' at {said}' if said else ''}: {kernels}, {clock} time"
    made = Table(title=title, title_justify="left", box=None, pad_edge=False)
    made.add_column("", no_wrap=True)
    for head in ("kernels", "PyTorch", "ratio, 95 %", "control"):
        made.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        found, control = getattr(row.found, clock), getattr(row.found, f"control_{clock}")
        made.add_row(
            row.label,
            f"{1e3 * found.ours:.2f} ms",
            f"{1e3 * found.theirs:.2f} ms",
            f"{found.median:.3f}, {found.low:.3f} to {found.high:.3f}",
            f"{control.median:.3f}",
        )
    return made
