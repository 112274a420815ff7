"""What can be read off a block's text before it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import syntax as s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..modules import Module


def walk(tree: object) -> Iterator[s.Tree]:
    """A construct and all that it is made of, outside in."""
    stack: list[object] = [tree]
    while stack:
        top = stack.pop()
        if isinstance(top, tuple):
            stack.extend(reversed(top))
        elif isinstance(top, s.Tree):
            yield top
            stack.extend(getattr(top, name) for name in reversed(type(top).__slots__))


def axis_words(block: s.Block, module: Module) -> frozenset[str]:
    """Every word that stands where axes do: the block's own axes are among them."""
    if block.name not in module.axis_words:
        module.axis_words[block.name] = _axis_words(block)
    return module.axis_words[block.name]


def _axis_words(block: s.Block) -> frozenset[str]:
    words: set[str] = set()
    for tree in walk(block):
        match tree:
            case s.AxisDecl(name, _, pack):
                words |= set() if pack else {name}
            case s.Index(_, items):
                words |= _words(items)
            case s.Scan(axis) | s.SizeOf(axis):
                words.add(axis)
    return frozenset(words | _words(block.axes))


def _words(items: tuple[s.Item, ...]) -> set[str]:
    words: set[str] = set()
    for item in items:
        sides = (item.left, item.right) if isinstance(item, s.Arrow) else (item,)
        for side in sides:
            parts = side.items if isinstance(side, s.Tuple) else (side,)
            for part in parts:
                if isinstance(part, s.Name):
                    words.add(part.id)
                elif isinstance(part, s.Bind):
                    words.add(part.axis)
    return words


def speaks_of_axes(tree: s.Expr, block: s.Block, module: Module) -> bool:
    """Whether a default in a header can only be settled once the block's axes are."""
    words = axis_words(block, module)
    return any(
        isinstance(part, s.SizeOf | s.Index) or (isinstance(part, s.Name) and part.id in words)
        for part in walk(tree)
    )


def owns_parameters(block: s.Block, module: Module) -> bool:
    """Whether a call of the block makes parameters or state, in it or in what it calls."""
    known = module.owners
    if block.name not in known:
        known[block.name] = True  # a block that calls itself
        known[block.name] = any(_makes(tree, block, module) for tree in walk(block.body))
    return known[block.name]


def _makes(tree: s.Tree, block: s.Block, module: Module) -> bool:
    if isinstance(tree, s.Declare):
        return tree.kind in ("param", "fixed", "state")
    if isinstance(tree, s.Call):
        target = tree.target.base if isinstance(tree.target, s.Index) else tree.target
        if isinstance(target, s.Name):
            if any(param.name == target.id and param.kind == "block" for param in block.params):
                return True
            found = module.find(target.id)
            if found is not None and isinstance(found[0], s.Block):
                return owns_parameters(found[0], found[1])
    return False


def assigned(steps: tuple[s.Step, ...]) -> dict[str, s.Tree]:
    """The names that steps assign, also in branches and loops, with the first place."""
    found: dict[str, s.Tree] = {}
    for step in steps:
        match step:
            case s.Assign(targets):
                for target in targets:
                    if isinstance(target, s.Name):
                        found.setdefault(target.id, target)
            case s.Branch(cases):
                for _, body in cases:
                    for name, tree in assigned(body).items():
                        found.setdefault(name, tree)
            case s.Loop(_, _, _, body) | s.Scan(_, _, _, body):
                for name, tree in assigned(body).items():
                    found.setdefault(name, tree)
            case s.Carry(names):
                for carried in names:
                    found.setdefault(carried.name, carried)
    return found
