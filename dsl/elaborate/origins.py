"""Where weights come from: a training, or a `weights` statement with its mapping, of this file or
another, in which the config beside the checkpoint has said its sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from .. import syntax as s
from ..configs import read_config
from ..diagnostics import Note, Slug, or_nearest
from ..files import DataError
from ..program import AFTER
from .filling import Filling

if TYPE_CHECKING:
    from ..modules import Module
    from .scope import Scope
    from .study import Study


@dataclass(frozen=True, slots=True)
class Origin:
    """A statement, its model as it is made, and the file in which that is named. One that
    `lacks_config` would have its sizes from a config that is not there, and has the model's
    defaults."""

    tree: s.Train | s.Weights
    model: s.Expr
    home: Module
    lacks_config: bool = False


def are_weights(name: str, module: Module) -> bool:
    """Whether a training or a `weights` statement has the name, or it is that of a snapshot."""
    found = module.find(name.partition(AFTER)[0])
    return found is not None and isinstance(found[0], s.Train | s.Weights)


def origin_of(name: str, study: Study) -> Origin | None:
    """What the weights of that name come from; None if they are none. Reports a mapping that is
    none, and a config that does not say what is asked of it."""
    if not are_weights(name, study.module):
        return None
    if name not in study.origins:
        tree, home = study.module.find(name.partition(AFTER)[0])  # type: ignore[misc]  # there is one
        if isinstance(tree, s.Weights):
            study.origins[name] = _settled(tree, home, study)
        else:
            assert isinstance(tree, s.Train)
            study.origins[name] = Origin(tree, tree.model, home)  # should it begin with itself
            if home is study.module:
                study.origins[name] = Origin(tree, *model_tree(tree.model, tree.start, study))
    return study.origins[name]


def model_tree(model: s.Expr, weights: str | None, study: Study) -> tuple[s.Expr, Module]:
    """The model as it is said, and the file in which it is named; one that is only named, as its
    weights were made."""
    origin = origin_of(weights, study) if weights is not None else None
    if origin is not None and isinstance(model, s.Name):
        said = study.module.find(model.id)
        name = called(origin.model)
        made = origin.home.find(name) if name is not None else None
        if said is not None and made is not None and said[0] is made[0]:
            return origin.model, origin.home
    return model, study.module


def _settled(tree: s.Weights, home: Module, study: Study) -> Origin:
    """The statement with the mapping that it takes over, and with what its config says."""
    mapping, where = _mapping(tree, home, study.scope)
    if not isinstance(tree.file, s.Text):
        study.scope.fail(
            Slug.BAD_FILE,
            "the file of weights is named",
            tree.file.span,
            hint='from "model.safetensors"',
        )
    root = study.module.root or study.module.folder
    try:
        config = read_config(root, tree.file.value) if root is not None else None
    except DataError as error:
        study.scope.fail(error.slug, error.message, tree.span)
    assert mapping.maps is not None
    filling = Filling(config, study.scope)
    model = filling.header(mapping.model)
    maps = filling.maps(mapping.maps)
    settled = replace(mapping, name=tree.name, model=model, file=tree.file, maps=maps)
    return Origin(replace(settled, span=tree.span), model, where, filling.is_lacking)


def _mapping(tree: s.Weights, home: Module, scope: Scope) -> tuple[s.Weights, Module]:
    """The statement that says the lines, and its file: of a name in the place of a model and lines,
    that mapping; or, if it is a model, the one mapping that stands in the model's own file."""
    seen = [tree]
    while tree.maps is None:
        found = home.find(tree.model.id) if isinstance(tree.model, s.Name) else None
        if found is not None and isinstance(found[0], s.Block):
            found = _mapping_of(tree, found[0], found[1], scope)
        if found is None or not isinstance(found[0], s.Weights):
            _no_mapping(tree, home, scope)
        tree, home = found[0], found[1]
        if tree in seen:
            scope.fail(Slug.RECURSIVE, f"`{tree.name}` is mapped by itself", tree.span)
        seen.append(tree)
    return tree, home


def _mapping_of(
    tree: s.Weights, model: s.Block, home: Module, scope: Scope
) -> tuple[s.Weights, Module]:
    own = [
        found
        for found in home.own.values()
        if isinstance(found, s.Weights)
        and found.maps is not None
        and (name := called(found.model)) is not None
        and home.own.get(name) is model
    ]
    if len(own) != 1:
        have = ", ".join(f"`{found.name}`" for found in own) or "none"
        scope.fail(
            Slug.UNKNOWN_NAME,
            f"the file of `{model.name}` has not one mapping of it: {have}",
            tree.model.span,
            notes=[Note(f"`{model.name}` is defined", model.span)],
            hint=f"weights {tree.name} of {own[0].name} from ..."
            if own
            else 'lines such as `wte = file["wte.weight"]`, after a `:`',
        )
    return own[0], home


def _no_mapping(tree: s.Weights, home: Module, scope: Scope) -> NoReturn:
    named = isinstance(tree.model, s.Name)
    known = [n for n in home.names() if (f := home.find(n)) and isinstance(f[0], s.Weights)]
    scope.fail(
        Slug.UNKNOWN_NAME,
        f"no mapping and no model is called `{tree.model.span.text}`"
        if named
        else "without lines, a mapping is named, whose sizes are its own",
        tree.model.span,
        hint=or_nearest(tree.model.span.text, known),
    )


def called(tree: s.Expr | None) -> str | None:
    """The name of a model, without its sizes and values."""
    while isinstance(tree, s.Call | s.Index):
        tree = tree.target if isinstance(tree, s.Call) else tree.base
    return tree.id if isinstance(tree, s.Name) else None
