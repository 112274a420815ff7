"""A model as one function: emitted source with calls of its own modules written out.

What depends on parameters alone is computed once, by the function `bound` that the text defines: it
takes the module and gives the function `step`, and what is bound. So a step looks up no attribute,
calls no module, views no weight. Whoever runs it binds it again when parameters have changed.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..pytorch.names import Names
from .inlining import DEVICE, Inside
from .joining import joined
from .methods import changes, methods, name_of, names_in, names_stored, parts, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .inlining import Known
    from .methods import Method

ROOT = "self"
GIVEN = {ROOT, DEVICE, "torch", "F"}
NEW = {"torch.arange", "torch.tensor"}  # what they give depends on their arguments alone


def flat(
    source: str, entry: str, classes: Mapping[str, str], *, join: bool = False, packed: str = ""
) -> str | None:
    """The text of `bound(self, device)` for emitted source whose class `entry` is the model.
    `classes` has the class of each module by its path. With `join`, linear maps of one value are
    one product, for which their weights are held again, and calls of what `packed` makes of these,
    if it is named. None if the model is no plain body."""
    work = Flattening(methods(source), {**classes, "": entry})
    root = work.method("", "forward")
    if root is None or not root.is_plain:
        return None
    work.names.taken |= {*GIVEN, *root.takes}
    given: list[ast.expr] = [name_of(name) for name in root.takes]
    work.lines.append(ast.Return(work.written(root, name_of(ROOT), given)))
    lines = work.lines
    if join:
        lines = joined(lines, set(work.constants.values()), work.named, work.names.take, packed)
    text = [f"def bound({ROOT}, {DEVICE}):"]
    text += [f"    {name} = {made}" for made, name in work.constants.items()]
    text += ["", f"    def step({', '.join(root.takes)}):"]
    for line in _freed(lines):
        written = ast.unparse(ast.fix_missing_locations(line))
        text += [f"        {part}" for part in written.split("\n")]
    held = "".join(f"{name}, " for name in work.constants.values())
    return "\n".join([*text, "", f"    return step, ({held})", ""])


def _freed(lines: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The lines, and after each a `del` of what no later one mentions."""
    last = {name: at for at, line in enumerate(lines) for name in names_in(line)}
    made = {name for line in lines for name in names_stored(line)}
    for at, line in enumerate(lines):
        yield line
        gone = sorted(name for name in names_in(line) & made if last[name] == at)
        if gone and not isinstance(line, ast.Return):
            yield ast.Delete([ast.Name(name, ast.Del()) for name in gone])


@dataclass
class Flattening:
    """A step on its way: its lines, and what is bound before it."""

    methods: Mapping[str, Mapping[str, Method]]
    classes: Mapping[str, str]
    lines: list[ast.stmt] = field(default_factory=list)
    constants: dict[str, str] = field(default_factory=dict)  # names of what is computed once
    names: Names = field(default_factory=Names)

    # ---- statements

    def written(self, method: Method, home: ast.expr, given: Sequence[ast.expr]) -> ast.expr:
        """Write the body of a method of the module at `home`; give what it returns."""
        slots = {name: name_of(self.names.take(name)) for name in method.assigned}
        known: Known = {ROOT: home, **slots}
        for name, value in zip(method.takes, given, strict=True):
            if name not in slots and (isinstance(value, ast.Name) or self.is_constant(value)):
                known[name] = value
                continue
            known[name] = slot = slots.get(name) or name_of(self.names.take(name))
            self.lines.append(ast.Assign([stored(slot)], value))
        own = Inside(self, method, slots, known)
        for step in method.body:
            own.statement(step)
        return own.value(method.returned)

    # ---- what is known when the step is bound

    def path(self, tree: ast.expr) -> str | None:
        """The path of the module that an expression stands for."""
        keys = parts(tree)
        path = ".".join(keys[1:]) if keys and keys[0] == ROOT else None
        return path if path in self.classes else None

    def method(self, path: str, name: str) -> Method | None:
        """The method of that name of the module at a path."""
        return self.methods.get(self.classes[path], {}).get(name)

    def is_constant(self, tree: ast.AST) -> bool:
        """Whether it is the same at every step: made of parameters and numbers."""
        if isinstance(tree, ast.Constant):
            return True
        names = {part.id for part in ast.walk(tree) if isinstance(part, ast.Name)}
        bound = {ROOT, *self.constants.values()}
        new = isinstance(tree, ast.Call) and ast.unparse(tree.func) in NEW
        return names <= bound | GIVEN and (new or bool(names & bound)) and not changes(tree)

    def bound(self, tree: ast.expr) -> ast.expr:
        """The name of what is computed once."""
        if isinstance(tree, ast.Constant) or getattr(tree, "id", None) in self.constants.values():
            return tree
        words = [key for key in parts(tree) or () if not key.isdigit()]
        return name_of(self.named(ast.unparse(tree), "_".join(words[-2:]).removeprefix("self_")))

    def named(self, text: str, wanted: str = "") -> str:
        """The name of what is computed once by this text."""
        if text not in self.constants:
            self.constants[text] = self.names.take(wanted or "made")
        return self.constants[text]
