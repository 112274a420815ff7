"""Methods of emitted classes, read: what each takes, assigns and returns; and words for that."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass

OTHER = (
    ast.FunctionDef | ast.Lambda | ast.Try | ast.With | ast.NamedExpr | ast.Global | ast.Nonlocal
    | ast.Yield | ast.YieldFrom | ast.Break | ast.Continue
)  # fmt: skip
SOMETIMES = ast.IfExp | ast.BoolOp | ast.ListComp | ast.GeneratorExp  # not run once for sure


@dataclass(frozen=True)
class Method:
    """A method. It `is_plain` if its one `return` is its last line, and nothing inside
    of it needs to stay together.
    `once` are the names that one place assigns, `changed` those whose value is changed in place."""

    takes: tuple[str, ...]
    body: tuple[ast.stmt, ...]
    returned: ast.expr
    is_plain: bool
    assigned: tuple[str, ...]
    once: frozenset[str]
    changed: frozenset[str]

    @classmethod
    def of(cls, tree: ast.FunctionDef) -> Method:
        """What a definition says."""
        nodes = [node for part in tree.body for node in ast.walk(part)]
        names = [node for node in nodes if isinstance(node, ast.Name)]
        counts = Counter(node.id for node in names if isinstance(node.ctx, ast.Store))
        returns = [node for node in nodes if isinstance(node, ast.Return)]
        *body, last = tree.body
        returned = last.value if isinstance(last, ast.Return) else None
        takes = tuple(arg.arg for arg in tree.args.args[1:])
        plain = len(returns) == 1 and returned is not None
        plain = plain and not any(isinstance(node, OTHER) for node in nodes)
        plain = plain and not (tree.args.defaults or tree.args.vararg or tree.args.kwarg)
        once = {name for name, count in counts.items() if count == 1 and name not in takes}
        return cls(
            takes,
            tuple(body),
            ast.Constant(None) if returned is None else returned,
            plain,
            tuple(counts),
            frozenset(once),
            frozenset(_changed(nodes)),
        )


def methods(source: str) -> dict[str, dict[str, Method]]:
    """The methods of each class of a source."""
    return {
        own.name: {f.name: Method.of(f) for f in own.body if isinstance(f, ast.FunctionDef)}
        for own in ast.parse(source).body
        if isinstance(own, ast.ClassDef)
    }


def parts(tree: ast.expr) -> list[str] | None:
    """`self.layer[3].attn` as the words in it; None if it is no such chain."""
    match tree:
        case ast.Name(name):
            return [name]
        case ast.Attribute(value, key):
            before = parts(value)
        case ast.Subscript(value, ast.Constant(int(number))):
            before, key = parts(value), str(number)
        case _:
            return None
    return None if before is None else [*before, key]


def _changed(nodes: list[ast.AST]) -> set[str]:
    """Names of what an assignment to a part, or a method like `add_`, changes."""
    found = set()
    for node in nodes:
        match node:
            case ast.AugAssign(ast.Name(name)):
                found.add(name)
            case ast.Subscript(ast.Name(name), _, ast.Store()):
                found.add(name)
            case ast.Call(ast.Attribute(ast.Name(name), method)) if method.endswith("_"):
                found.add(name)
    return found


def changes(tree: ast.AST, *, here: bool = False) -> bool:
    """Whether a method like `add_` changes what it is called on: this one, or any inside."""
    nodes = [tree] if here else list(ast.walk(tree))
    called = [node.func if isinstance(node, ast.Call) else node for node in nodes]
    return any(isinstance(f, ast.Attribute) and f.attr.endswith("_") for f in called)


def names_in(tree: ast.AST) -> set[str]:
    """The names that a statement reads or assigns."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def names_stored(tree: ast.AST) -> set[str]:
    """The names that a statement assigns."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return {node.id for node in nodes if isinstance(node.ctx, ast.Store)}


def function(text: str) -> ast.expr:
    """`torch.embedding` as a tree."""
    return ast.parse(text, mode="eval").body


def name_of(text: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(text, ast.Load())


def stored(name: ast.Name) -> ast.Name:
    """The same name where it is assigned."""
    return ast.Name(name.id, ast.Store())
