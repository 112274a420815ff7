"""The law of types: what the checker says of axes, sizes and dtypes is what comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..compiler.reference import evaluate
from ..dsl import sizes
from ..dsl.core import DType, names
from ..dsl.diagnostics import Slug, SpecError
from ..runtime import border
from ..runtime.examples import inputs_for
from .data import given_for
from .models import model_of, results, tensor, trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from ..dsl.core import Axes
    from ..runtime.model import SpecModel
    from ..runtime.program import Program

KINDS = {DType.FLOAT: "f", DType.INT: "i", DType.BOOL: "b"}


def check_types(
    program: Program,
    model: SpecModel | str | None = None,
    inputs: Sequence[Any] | None = None,
    *,
    seed: int = 0,
) -> None:
    """What the checker says of axes, sizes and dtypes is what comes out: of the oracle, which looks
    at every value, of all sites of the model, and of its results.

    A model that checks raises nothing later but `input-mismatch`, about sizes that only inputs tell.
    """
    made = model_of(program, model)
    given = inputs_for(made, seed) if inputs is None else inputs
    try:
        _check(made, given)
    except SpecError as error:
        if any(found.slug is not Slug.INPUT_MISMATCH for found in error.diagnostics):
            raise AssertionError(f"`{made.checked.name}` checks, and then: {error}") from error
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"`{made.checked.name}` checks, and then: {error!r}") from error


def _check(model: SpecModel, given: Sequence[Any]) -> None:
    checked = model.checked
    artifact = model._artifact
    known = border.check(artifact, [tensor(value) for value in given])
    evaluate(checked.body, **given_for(model, given).keywords())  # it compares all with their types
    types = {step.node.name: step.node for step in checked.body.steps}
    for place, (found, decl) in enumerate(zip(results(model, given), checked.results, strict=True)):
        node = types[checked.body.results[place]]
        order = [*(n for n in names(node.axes) if n not in decl.order), *decl.order]
        _compare(f"result {place}", order, found.detach().numpy(), node.axes, node.dtype, known)
    traced = trace(model, given, ["*"])
    for site in model.sites():
        value = traced[site.address]
        array = value.tensor.detach().numpy()
        _compare(f"`{site}`", value.axes, array, site.node.axes, site.node.dtype, known)


def _compare(
    what: str,
    order: Sequence[str],
    array: np.ndarray[Any, Any],
    axes: Axes,
    dtype: DType,
    known: Mapping[str, int],
) -> None:
    wanted = {axis.name: sizes.evaluate(axis.size, known) for axis in axes}
    assert set(order) == set(wanted), f"{what} has axes {', '.join(order)}"
    assert dict(zip(order, array.shape, strict=True)) == wanted, (
        f"{what} has shape {array.shape} along {', '.join(order)}, not {wanted}"
    )
    assert array.dtype.kind == KINDS[dtype], f"{what} holds {array.dtype}"
