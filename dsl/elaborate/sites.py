"""Addresses: which values of a run a path such as `layer[*].attn.z` stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .. import ops
from .. import syntax as s
from ..core import Axis, Body, Node
from ..diagnostics import Note, Slug, alternatives, nearest
from .values import HaltError, Known, Poison, Run, Val, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..program import CheckedModel
    from .scope import Scope

Turn = int | str | None  # a number, `*`, or the name of a swept variable


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path, part by part, each with the turn that it names; a part may be `*`."""

    parts: tuple[tuple[str, Turn], ...]

    def regex(self) -> re.Pattern[str]:
        """What a matching address looks like; each open turn is a group."""
        text = []
        for name, turn in self.parts:
            shown = r".+" if name == "*" else re.escape(name)
            if turn is not None:
                shown += rf"\[{turn}\]" if isinstance(turn, int) else r"\[(\d+)\]"
            text.append(shown)
        return re.compile(r"\.".join(text))

    @property
    def open(self) -> list[tuple[str, str]]:
        """The loops whose turn is left open, each with `*` or the variable that picks it."""
        return [(name, turn) for name, turn in self.parts if isinstance(turn, str)]

    def __str__(self) -> str:
        return ".".join(n if t is None else f"{n}[{t}]" for n, t in self.parts)


def regex_of(text: str) -> re.Pattern[str]:
    """What addresses a pattern given as text matches: `layer[*].attn.z`, `layer[3].*`, `*`."""
    parts = [
        r"\d+" if part == "[*]" else r".+" if part == "*" else re.escape(part)
        for part in re.split(r"(\[\*\]|\*)", text)
    ]
    return re.compile("".join(rf"\[{part}\]" if part == r"\d+" else part for part in parts))


def is_turn(items: tuple[s.Item, ...]) -> bool:
    """Whether brackets pick a turn (`[3]`, `[*]`, `[l]`) and not a part of a value."""
    if len(items) != 1:
        return False
    item = items[0]
    if isinstance(item, s.Star):
        return item.pack is None
    return isinstance(item, s.Number | s.Name) or (
        isinstance(item, s.Unary) and isinstance(item.operand, s.Number)
    )


def split_selection(tree: s.Expr) -> tuple[s.Expr, tuple[s.Item, ...]]:
    """A site and what is selected from it: `layer[3].z` and `[h = 9]`."""
    items: tuple[s.Item, ...] = ()
    while isinstance(tree, s.Index) and not is_turn(tree.items):
        items = (*tree.items, *items)
        tree = tree.base
    return tree, items


def root(tree: s.Expr) -> s.Name | None:
    """The first name of a path."""
    while isinstance(tree, s.Attr | s.Index):
        tree = tree.base
    return tree if isinstance(tree, s.Name) else None


def pattern(tree: s.Expr, scope: Scope) -> Pattern:
    """The path as a pattern; the first part is the path's root."""
    parts: list[tuple[str, Turn]] = []
    turn: Turn = None
    while True:
        match tree:
            case s.Index(base, items) if is_turn(items):
                if turn is not None:
                    scope.fail(Slug.UNKNOWN_SITE, "two turns in a row", tree.span)
                turn = _turn(items[0], scope)
                tree = base
            case s.Attr(base, name):
                parts.insert(0, (name, turn))
                turn, tree = None, base
            case s.Name(name):
                return Pattern(((name, turn), *parts))
            case _:
                scope.fail(
                    Slug.UNKNOWN_SITE,
                    f"`{tree.span.text}` is no address",
                    tree.span,
                    hint="layer[3].attn.z",
                )


def _turn(item: s.Item, scope: Scope) -> Turn:
    if isinstance(item, s.Star):
        return "*"
    value = scope.evaluate(item)  # type: ignore[arg-type]  # a number or a name, by is_turn
    if isinstance(value, Known) and isinstance(value.value, int):
        return int(value.value)
    if isinstance(value, Value) and isinstance(item, s.Name):
        return item.id
    scope.fail(
        Slug.UNKNOWN_SITE, "a turn is a whole number", item.span, hint="`layer[3]`, `layer[*]`"
    )
    return None


def body_sites(body: Body) -> Iterator[tuple[str, Node]]:
    """All addressed nodes, also those inside scans."""
    for step in body.steps:
        if step.node.site is not None:
            yield step.node.site, step.node
        if isinstance(step.node.attrs, ops.ScanAttrs):
            yield from body_sites(step.node.attrs.body)


def loop_axis(name: str, model: CheckedModel) -> Axis | None:
    """The turns of a loop of that name, as an axis."""
    turns = {
        found.group(1)
        for site, _ in body_sites(model.body)
        if (found := re.search(rf"(?:^|\.){re.escape(name)}\[(\d+)\]", site))
    }
    return Axis(name, len(turns)) if turns else None


def turns_of(loop: str, address: str, model: CheckedModel) -> int:
    """How many turns the loop has that an address is in."""
    head = re.match(rf"(?:.*\.)?{re.escape(loop)}\[", address)
    if head is None:
        return 0
    start = len(head.group())
    turns = {
        site[start : site.index("]", start)]
        for site, _ in body_sites(model.body)
        if site.startswith(head.group())
    }
    return len(turns)


def model_axis(name: str, model: CheckedModel) -> Axis | None:
    """The axis of that name; if parts of the model have others of the name, the outermost one."""
    nodes = [step.node for step in model.body.steps if name in step.node.axis_names]
    if not nodes:
        return None
    outer = min(nodes, key=lambda node: (node.site is None, (node.site or "").count(".")))
    return next(axis for axis in outer.axes if axis.name == name)


def matches(
    found: Pattern, addresses: Mapping[str, object], aliases: Mapping[str, str]
) -> list[tuple[str, tuple[int, ...]]]:
    """The addresses that match, in their order, with the open turns."""
    regex = found.regex()
    hits: dict[str, tuple[int, ...]] = {}
    if not found.open and "*" not in dict(found.parts):
        exact = str(found)
        exact = exact if exact in addresses else aliases.get(exact, "")
        return [(exact, ())] if exact in addresses else []
    for address in addresses:
        if (hit := regex.fullmatch(address)) is not None:
            hits[address] = tuple(int(g) for g in hit.groups())
    for alias, address in aliases.items():
        if address in addresses and (hit := regex.fullmatch(alias)) is not None:
            hits.setdefault(address, tuple(int(g) for g in hit.groups()))
    return list(hits.items())


def unknown_site(
    found: Pattern, addresses: Mapping[str, object], tree: s.Tree, scope: Scope
) -> None:
    """Report an address that nothing has, with the nearest right ones."""
    wanted = str(found)
    own = [a for a in addresses if not (a.endswith(".out") and a[:-4] in addresses)]
    general = dict.fromkeys(re.sub(r"\[\d+\]", "[*]", address) for address in own)
    shown = {re.sub(r"\[(\d+|\w+)\]", "[*]", wanted): wanted}
    near = nearest(next(iter(shown)), general)
    notes = []
    loops = {m for address in addresses for m in re.findall(r"(\w+)\[(\d+)\]", address)}
    for name, turn in found.parts:
        turns = [int(t) for n, t in loops if n == name]
        if isinstance(turn, int) and turns and turn > max(turns):
            notes = [Note(f"`{name}` has turns 0 to {max(turns)}")]
    scope.fail(
        Slug.UNKNOWN_SITE,
        f"no site matches `{wanted}`",
        tree.span,
        notes=notes,
        hint=alternatives(_with_turns(n, found) for n in near) if not notes else None,
    )


def _with_turns(general: str, found: Pattern) -> str:
    """An address with the turns that were asked for."""
    for name, turn in found.parts:
        if turn is not None:
            general = general.replace(f"{name}[*]", f"{name}[{turn}]")
    return general


def read_site(tree: s.Expr, scope: Scope) -> Val | None:
    """The value at an address of a run; None if the expression is no such address."""
    first = root(tree)
    if first is None or (isinstance(tree, s.Index) and not is_turn(tree.items)):
        return None
    found = scope.lookup(first.id)
    if isinstance(found, Poison) and not isinstance(tree, s.Name):
        raise HaltError
    if isinstance(found, Run):
        if isinstance(tree, s.Name):
            return None
        run, path = found, pattern(tree, scope)
        path = Pattern(path.parts[1:])
    elif found is None and scope.frame.run is not None:
        run = scope.frame.run
        if not _starts(first.id, run):
            return None
        path = pattern(tree, scope)
    else:
        return None
    return read(run, path, tree, scope)


def _starts(name: str, run: Run) -> bool:
    known = [*(site for site, _ in body_sites(run.model.body)), *run.owned]
    return any(re.match(rf"{re.escape(name)}([.\[]|$)", site) for site in known) or any(
        alias == name for alias in run.model.aliases
    )


def read(run: Run, path: Pattern, tree: s.Expr, scope: Scope) -> Val:
    """One value, or with open turns several along an axis called like the loop."""
    known = dict.fromkeys([*(address for address, _ in body_sites(run.model.body)), *run.owned])
    hits = matches(path, known, run.model.aliases)
    if run.decoded and str(path) != "tokens":
        scope.fail(
            Slug.UNKNOWN_SITE,
            f"`{run.name}` is decoded, and has `{run.name}.tokens` alone",
            tree.span,
            hint=f"run whole = {run.model.name}(..), on what was decoded",
        )
    if run.decoded:
        return Value(scope.builder.use(run.values["tokens"]))
    if not hits:
        unknown_site(path, {**known, **run.model.aliases}, tree, scope)
    table = {**run.values, **run.owned, **(run.written if run.before else {})}
    nodes = []
    for address, _ in hits:
        if address not in table:
            scope.fail(
                Slug.BAD_WRITE,
                f"`{address}` of `{run.name}` is not known yet at this place of the run",
                tree.span,
                hint=f"base.{address}",
            )
        if not scope.builder.knows(table[address]):
            scope.fail(
                Slug.BAD_WRITE,
                f"`{address}` is written in a scan, and what it held before is known only there",
                tree.span,
                hint=f"base.{address}",
            )
        nodes.append(scope.builder.use(table[address]))
    if not path.open:
        return Value(nodes[0])
    if "*" in [name for name, _ in path.parts]:
        scope.fail(Slug.BAD_WRITE, "a value is read from one site, and `.*` is many", tree.span)
    turns = {at: node for (_, at), node in zip(hits, nodes, strict=True)}
    return Value(combined(turns, path, tree, scope))


def combined(
    turns: Mapping[tuple[int, ...], Node], path: Pattern, tree: s.Expr, scope: Scope
) -> Node:
    """The values at the turns that a path leaves open: along an axis for each `*`, and of those
    that a swept variable picks, its own."""
    found, axes = _stacked(turns, path, tree, scope)
    for (_, variable), axis in zip(path.open, axes, strict=True):
        picked = scope.lookup(variable) if variable != "*" else None
        if isinstance(picked, Value):
            index = [found, scope.builder.use(picked.node)]
            how = ops.IndexAttrs(ops.Gather(axis.name))
            found = scope.builder.emit(ops.INDEX, how, index, tree.span, scope.path)
        elif variable != "*":
            raise HaltError
    return found


def _stacked(
    turns: Mapping[tuple[int, ...], Node], path: Pattern, tree: s.Expr, scope: Scope
) -> tuple[Node, list[Axis]]:
    """The values of all turns along axes called like the loops, the first of which is outermost."""
    axes: list[Axis] = []
    for place, (loop, _) in enumerate(path.open):
        while loop in [axis.name for axis in axes]:
            loop += "'"  # a loop in another of its name
        axes.append(Axis(loop, len({at[place] for at in turns})))
    for axis in reversed(axes):
        rows: dict[tuple[int, ...], list[Node]] = {}
        for at, node in turns.items():
            rows.setdefault(at[:-1], []).append(node)
        counts = {len(row) for row in rows.values()}
        if counts != {axis.size}:
            scope.fail(
                Slug.SIZE_MISMATCH,
                f"the turns of `{path}` make no axes: there are {axis.size} of `{axis.name}`, but "
                f"in one turn around it {min(counts)}",
                tree.span,
            )
        attrs = ops.ConcatAttrs(axis.name, new=True)
        try:
            turns = {
                at: scope.builder.emit(ops.CONCAT, attrs, row, tree.span, scope.path)
                for at, row in rows.items()
            }
        except ops.OpError as error:
            scope.unfit(error, tree.span)
        scope.axes.setdefault(axis.name, axis)
    return turns[()], axes
