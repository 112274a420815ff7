"""Linear maps of one value as one product of matrices, of which each takes its part.

The weights are held a second time for it, side by side, so it is for small models.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .methods import SOMETIMES, name_of, names_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

LINEAR = "F.linear"


@dataclass
class _Maps:
    """Linear maps of one value, and the first line that has one."""

    at: int
    calls: list[ast.Call] = field(default_factory=list)


def joined(
    lines: Sequence[ast.stmt],
    constants: Collection[str],
    bind: Callable[[str], str],
    free: Callable[[str], str],
    packed: str = "",
) -> list[ast.stmt]:
    """The lines with one product for several maps of a value whose weights are `constants`.

    `bind` takes the text of what is computed once and gives its name; `free` gives a new name. With
    `packed`, what makes a function of a weight, all maps are calls of what it makes.
    """
    before: dict[int, list[ast.stmt]] = {}
    parts: dict[ast.Call, str] = {}
    for maps in [found for found in _found(lines, constants) if len(found.calls) > 1]:
        columns = zip(*(call.args[1:] for call in maps.calls), strict=True)
        names = [[ast.unparse(one) for one in column] for column in columns]
        held = [bind(f"torch.cat(({', '.join(column)}))") for column in names]
        constants = {*constants, *held}
        widths = bind(f"[{', '.join(f'{weight}.shape[0]' for weight in names[0])}]")
        own = [free("part") for _ in maps.calls]
        value = ast.unparse(maps.calls[0].args[0])
        product = f"{LINEAR}({', '.join([value, *held])})"
        text = f"{', '.join(own)} = torch.split_with_sizes({product}, {widths}, -1)"
        before.setdefault(maps.at, []).extend(ast.parse(text).body)
        parts |= dict(zip(maps.calls, own, strict=True))
    taking = _Taking(parts)
    new = [
        one for at, line in enumerate(lines) for one in (*before.get(at, ()), taking.visit(line))
    ]
    if not packed:
        return new
    packing = _Packing({*constants}, bind, packed)
    return [packing.visit(line) for line in new]


class _Taking(ast.NodeTransformer):
    """Names of parts in the place of calls."""

    def __init__(self, parts: dict[ast.Call, str]) -> None:
        self.parts = parts

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if node in self.parts:
            return name_of(self.parts[node])
        return self.generic_visit(node)


class _Packing(ast.NodeTransformer):
    """Maps whose weights are known as functions of a value."""

    def __init__(self, constants: set[str], bind: Callable[[str], str], packed: str) -> None:
        self.constants, self.bind, self.packed = constants, bind, packed

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) != LINEAR or node.keywords:
            return node
        weights = [one.value if isinstance(one, ast.Starred) else one for one in node.args[1:]]
        if not all(isinstance(one, ast.Name) and one.id in self.constants for one in weights):
            return node
        made = self.bind(f"{self.packed}({', '.join(map(ast.unparse, node.args[1:]))})")
        return ast.Call(name_of(made), node.args[:1], [])


def _found(lines: Sequence[ast.stmt], constants: Collection[str]) -> Iterator[_Maps]:
    """Maps by the value that they are of, as long as its name stands for the same."""
    growing: dict[tuple[str, int], _Maps] = {}
    for at, line in enumerate(lines):
        if isinstance(line, ast.Assign):
            for call in _linear(line.value):
                value, *weights = call.args
                known = all(isinstance(one, ast.Name) and one.id in constants for one in weights)
                if isinstance(value, ast.Name) and known:
                    growing.setdefault((value.id, len(weights)), _Maps(at)).calls.append(call)
        stored = names_stored(line)
        for key in [key for key in growing if key[0] in stored]:
            yield growing.pop(key)
    yield from growing.values()


def _linear(tree: ast.expr) -> Iterator[ast.Call]:
    """The calls of `F.linear` in an expression that are run once for sure."""
    if isinstance(tree, SOMETIMES | ast.Lambda):
        return
    if isinstance(tree, ast.Call) and ast.unparse(tree.func) == LINEAR and not tree.keywords:
        yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.expr | ast.keyword):
            yield from _linear(child.value if isinstance(child, ast.keyword) else child)
