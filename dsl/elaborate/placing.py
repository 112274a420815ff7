"""`with W as PATH`: a part of a model has the weights of a set of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s
from ..diagnostics import Note, Slug, or_nearest
from .origins import are_weights
from .sites import matches, pattern, unknown_site
from .weights import check_fit, check_own, parameters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core import Axes
    from ..program import CheckedModel
    from .scope import Scope
    from .study import Study


def placed(
    study: Study, given: Iterable[s.Given], model: CheckedModel, scope: Scope
) -> dict[str, str]:
    """By the address of each part that has weights of its own, what those are called. Reports a
    part that is not there, that has two sets, or that the weights do not fit."""
    own = parameters(model)
    found: dict[str, str] = {}
    for item in given:
        if not isinstance(item, s.Placed):
            continue
        weights = _named(item, study)
        for part in _parts(item, own, scope):
            for other in found:
                if within(part, other) or within(other, part):
                    scope.fail(
                        Slug.WRONG_ARGUMENTS,
                        f"`{part}` has the weights `{found[other]}` already",
                        item.span,
                    )
            inside = {a[len(part) + 1 :]: axes for a, axes in own.items() if within(a, part)}
            check_fit(study, f"{model.name}.{part}", inside, weights, item.span)
            found[part] = weights
    return found


def within(address: str, part: str) -> bool:
    """Whether something stands in a part, or is it."""
    return address == part or address.startswith(f"{part}.")


def _named(item: s.Placed, study: Study) -> str:
    """The set of weights."""
    tree = item.weights
    if isinstance(tree, s.Name) and are_weights(tree.id, study.module):
        check_own(tree.id, item.span, study)
        return tree.id
    known = [name for name in study.module.names() if are_weights(name, study.module)]
    study.scope.fail(
        Slug.UNKNOWN_NAME,
        f"`{tree.span.text}` are no weights",
        tree.span,
        notes=[Note("weights come of a training or a `weights` statement")],
        hint=or_nearest(tree.span.text, known),
    )
    return ""


def _parts(item: s.Placed, own: dict[str, Axes], scope: Scope) -> list[str]:
    """The parts that a path stands for."""
    path = pattern(item.part, scope)
    names = [address.split(".") for address in own]
    parts = {".".join(name[:n]): None for name in names for n in range(1, len(name))}
    hits = [address for address, _ in matches(path, parts, {})]
    if not hits:
        unknown_site(path, parts, item.part, scope)
    return hits
