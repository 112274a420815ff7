"""A method written out where it is called: what its names stand for, line by line."""

from __future__ import annotations

import ast
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .methods import SOMETIMES, changes, function, name_of, names_stored, stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .flat import Flattening
    from .methods import Method

    Known = dict[str, ast.expr]

DEVICE = "device"
QUICK = {  # the same functions without a wrapper in Python
    "F.layer_norm": "torch.layer_norm",
    "F.rms_norm": "torch.rms_norm",
    "F.relu": "torch.relu",
}


@dataclass
class Inside(ast.NodeTransformer):
    """A method where it is called: what its names stand for there."""

    work: Flattening
    method: Method
    slots: dict[str, ast.Name]  # what its own names are in the step
    known: Known  # what they stand for at this line
    within: int = 0  # of what is not always run once, so that no lines can be put before it

    def statement(self, step: ast.stmt) -> None:
        """Write one statement."""
        match step:
            case ast.Delete() | ast.Expr(ast.Constant()):
                return  # what is deleted is found anew, for the whole function
            case ast.Assign([ast.Name(name)], value):
                made = self.value(value, bind=name not in self.method.changed)
                if name in self.method.once and self.work.is_constant(made):
                    self.known[name] = made
                    return
                self.known[name] = self.slots[name]
                self.work.lines.append(ast.Assign([stored(self.slots[name])], made))
            case ast.For(target, over, body, []) if (turns := self.turns(over)) is not None:
                for items in turns:
                    self._turn(target, items)
                    for part in body:
                        self.statement(part)
            case _:
                plain = isinstance(step, ast.Assign | ast.Expr)
                self.within += not plain
                for name in names_stored(step):
                    self._store(name)
                kept = self.visit(deepcopy(step))
                assert isinstance(kept, ast.stmt)
                self.work.lines.append(kept)
                self.within -= not plain

    def _turn(self, target: ast.expr, items: Sequence[ast.expr]) -> None:
        """What the variables of a loop are in one turn."""
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        for own, item in zip(targets, items, strict=True):
            assert isinstance(own, ast.Name)
            again = {self.slots[name].id for name in self.slots if name not in self.method.once}
            simple = isinstance(item, ast.Name) and item.id not in again
            self.known[own.id] = item
            if not simple and not self.work.is_constant(item):
                self._store(own.id)

    def _store(self, name: str) -> None:
        """Put what a name stands for under its own name."""
        value, slot = self.known[name], self.slots[name]
        if value is not slot:
            self.work.lines.append(ast.Assign([stored(slot)], value))
        self.known[name] = slot

    def turns(self, over: ast.expr) -> list[list[ast.expr]] | None:
        """The items of each turn of a loop over modules, numbers or a tuple; else None."""
        match over:
            case ast.Call(ast.Name("zip"), args):
                columns = [self.turns(arg) for arg in args]
                if None in columns:
                    return None
                rows = zip(*(column for column in columns if column is not None), strict=True)
                return [[item for part in row for item in part] for row in rows]
            case ast.Call(ast.Name("range"), args):
                ends = [getattr(self.renamed(arg), "value", None) for arg in args]
                if not all(isinstance(end, int) for end in ends):
                    return None
                return [[ast.Constant(number)] for number in range(*ends)]  # type: ignore[arg-type]
            case ast.Tuple(items):
                return [[self.renamed(item)] for item in items]
        whole = self.renamed(over)
        path = self.work.path(whole)
        if path is None or f"{path}.0" not in self.work.classes:
            return None
        count = sum(key.rpartition(".")[0] == path for key in self.work.classes)
        return [[_item(whole, key)] for key in range(count)]

    # ---- expressions

    def renamed(self, tree: ast.expr) -> ast.expr:
        """The expression with what its names stand for."""
        made: ast.expr = _Renaming(self.known, self.slots).visit(deepcopy(tree))
        return made

    def value(self, tree: ast.expr, *, bind: bool = True) -> ast.expr:
        """The expression as it stands in the step; bound if it is constant and may be."""
        return self.expression(self.renamed(tree), bind=bind)

    def visit(self, tree: ast.AST) -> ast.AST:
        """A statement that is kept as it is, its expressions as they stand in the step."""
        if isinstance(tree, ast.expr):
            return self.value(tree)
        if isinstance(tree, ast.Assign) and names_stored(tree) & self.method.changed:
            tree.targets = [self.value(target) for target in tree.targets]
            tree.value = self.value(tree.value, bind=False)
            return tree
        return self.generic_visit(tree)

    def expression(self, tree: ast.expr, *, bind: bool = True) -> ast.expr:
        """An expression of names of the step: constants bound, calls of modules written out."""
        read = not isinstance(getattr(tree, "ctx", None), ast.Store)
        if read and bind and not isinstance(tree, ast.Starred) and self.work.is_constant(tree):
            return self.work.bound(tree)
        called = None if self.within or not isinstance(tree, ast.Call) else self._called(tree)
        if called is not None:
            return called
        self.within += isinstance(tree, SOMETIMES)
        changed = changes(tree, here=True)
        for name, child in ast.iter_fields(tree):
            if isinstance(child, list):
                setattr(tree, name, [self._part(part) for part in child])
            elif isinstance(child, ast.expr):
                setattr(tree, name, self.expression(child, bind=not changed))
        self.within -= isinstance(tree, SOMETIMES)
        return _quick(tree)

    def _part(self, part: ast.AST) -> ast.AST:
        if isinstance(part, ast.keyword):
            part.value = self.expression(part.value)
        elif isinstance(part, ast.comprehension):
            part.iter = self.expression(part.iter)
        elif isinstance(part, ast.expr):
            return self.expression(part)
        return part

    def _called(self, tree: ast.Call) -> ast.expr | None:
        """What a call of a module, or of a method of one, gives, its body written out."""
        if tree.keywords or any(isinstance(arg, ast.Starred) for arg in tree.args):
            return None
        home, name = tree.func, "forward"
        if isinstance(home, ast.Attribute) and self.work.path(home) is None:
            name, home = home.attr, home.value
        path = self.work.path(home)
        method = None if path is None else self.work.method(path, name)
        if method is None or not method.is_plain:
            return None
        return self.work.written(method, home, [self.expression(arg) for arg in tree.args])


class _Renaming(ast.NodeTransformer):
    def __init__(self, known: Known, slots: Mapping[str, ast.Name]) -> None:
        self.known, self.slots = known, slots

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Store):
            own = self.slots.get(node.id, node)
            return stored(own)
        return deepcopy(self.known.get(node.id, node))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if node.attr == DEVICE:  # everything is where the model is
            return name_of(DEVICE)
        self.generic_visit(node)
        return node


def _quick(tree: ast.expr) -> ast.expr:
    """The same without a wrapper in Python."""
    match tree:
        case ast.Call(ast.Attribute(ast.Name("F"), "embedding"), [index, table], []):
            return ast.Call(function("torch.embedding"), [table, index], [])
        case ast.Call(ast.Attribute(ast.Name("F"), name), args, keywords) if f"F.{name}" in QUICK:
            return ast.Call(function(QUICK[f"F.{name}"]), args, keywords)
        case ast.Call(ast.Attribute(value, "unflatten"), args, []):
            return ast.Call(function("torch.unflatten"), [value, *args], [])
    return tree


def _item(whole: ast.expr, key: int) -> ast.expr:
    return ast.Subscript(deepcopy(whole), ast.Constant(key), ast.Load())
