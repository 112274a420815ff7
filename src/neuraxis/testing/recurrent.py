"""The law of recurrences: their parallel forms give what the steps give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..compiler.build import build
from ..compiler.context import Context
from ..compiler.driver import compile_graph
from ..compiler.reference import evaluate
from ..runtime.examples import inputs_for
from .comparing import assert_close
from .data import given_for
from .models import model_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..runtime.model import SpecModel
    from ..runtime.program import Program


def check_parallel(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    chunk: int = 4,
    seed: int = 0,
) -> None:
    """A model whose recurrences run in parallel, in chunks of so many steps, gives what it gives
    step by step: the oracle computes both."""
    made = model_of(program, model)
    given = given_for(made, inputs_for(made, seed) if inputs is None else inputs)
    graph = build(made.checked)
    parallel = compile_graph(graph, Context(recurrences="parallel", chunk=chunk))
    # the passes drop inputs that nothing reads, but their sizes may be needed
    known = {name: size for value in given.inputs.values() for name, size in value.sizes.items()}
    keywords = {**given.keywords(), "sizes": known}
    found, wanted = (evaluate(own, **keywords) for own in (parallel, graph))
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert_close(one, other, what=f"result {place} in parallel")
