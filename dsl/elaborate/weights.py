"""The sets of weights of a study: which a run has, and whether it fits them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..diagnostics import Note, Slug
from .models import elaborate_model
from .origins import are_weights, origin_of
from .requests import requested
from .structure import walk
from .values import HaltError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..core import Axes
    from ..program import CheckedModel
    from ..source import Span
    from .study import Study


def split_weights(
    given: tuple[s.Given, ...], study: Study
) -> tuple[str | None, tuple[s.Given, ...]]:
    """What follows `with`: the weights by name, and the interventions."""
    weights: s.Name | None = None
    rest: list[s.Given] = []
    for item in given:
        if isinstance(item, s.Name) and are_weights(item.id, study.module):
            if weights is not None:
                study.scope.fail(
                    Slug.WRONG_ARGUMENTS,
                    "a run has one set of weights, and this is a second",
                    item.span,
                    notes=[Note("the first", weights.span)],
                )
            check_own(item.id, item.span, study)
            weights = item
        else:
            rest.append(item)
    return weights.id if weights is not None else None, tuple(rest)


def check_own(name: str, span: Span, study: Study) -> None:
    """A training is run where it stands."""
    if name in study.module.imported and isinstance(study.module.find(name)[0], s.Train):  # type: ignore[index]  # there is one
        study.scope.fail(Slug.UNBUILT, "a training of another file is not built yet", span)


def check_needs(tree: s.Train, study: Study) -> None:
    """A training that needs its own weights, through others perhaps, would never begin."""
    waiting, seen = [tree], {tree.name}
    while waiting:
        step = waiting.pop()
        names = [part.id for part in walk(step) if isinstance(part, s.Name)]
        for name in [*names, *([step.start] if step.start else [])]:
            found = study.module.find(name)
            source = found[0] if found is not None else None
            if name == tree.name and isinstance(source, s.Train):
                study.scope.fail(
                    Slug.RECURSIVE,
                    f"the training `{tree.name}` needs the weights that come of it",
                    tree.span.word(tree.name),
                )
            if isinstance(source, s.Train) and name not in seen:
                seen.add(name)
                waiting.append(source)


def weights_label(
    study: Study,
    model: CheckedModel,
    weights: str | None,
    span: Span,
    placed: Mapping[str, str] = MappingProxyType({}),
    seed: int | None = None,
) -> str:
    """Under which name the parameters of a run stand in the program: under none if they are the
    study's own, so that all such runs share them; under that of their weights; those of a model
    that is drawn at another size, under the model's, and of those of a `seed` of its own it says
    which. Parts with `placed` weights stand apart."""
    own = {
        address: axes
        for address, axes in parameters(model).items()
        if not any(address.startswith(f"{part}.") for part in placed)
    }
    if weights is not None:
        check_fit(study, model.name, own, weights, span)
    others = [*([weights] if weights is not None and weights != study.weights else [])]
    study.beside = tuple(dict.fromkeys((*study.beside, *others, *placed.values())))
    if others:
        return others[0]
    label = ops.seeded(seed) if seed is not None and weights is None else ""
    while any(study.declared.get(label, own).get(a, axes) != axes for a, axes in own.items()):
        label = f"{label or model.name}'"
    study.declared.setdefault(label, {}).update(own)
    return label


def parameters(model: CheckedModel) -> dict[str, Axes]:
    """What a set of weights holds for a model: axes by address."""
    return {
        step.node.site or "": step.node.attrs.axes
        for step in model.body.steps
        if isinstance(step.node.attrs, ops.ParamAttrs)
    }


def check_fit(study: Study, whose: str, own: Mapping[str, Axes], weights: str, span: Span) -> None:
    """What `whose` reads stands in the weights, of the same sizes."""
    origin = origin_of(weights, study)
    assert origin is not None
    request = requested(study, origin.model, origin.home)
    made = elaborate_model(request, study.collector)
    if made is None:
        raise HaltError
    held = parameters(made)
    notes = [Note(f"`{weights}` are made", origin.tree.span)]
    for address, axes in own.items():
        if address not in held:
            study.scope.fail(
                Slug.UNKNOWN_SITE,
                f"`{weights}` have no `{address}`, which this run of `{whose}` reads",
                span,
                notes=notes,
            )
        if held[address] != axes:
            here, there = (_shown(a) for a in (axes, held[address]))
            study.scope.fail(
                Slug.SIZE_MISMATCH,
                f"`{address}` is [{here}] in this run, and [{there}] in `{weights}`",
                span,
                notes=notes,
            )


def _shown(axes: Axes) -> str:
    return ", ".join(f"{axis.name} = {axis.size}" for axis in axes)
