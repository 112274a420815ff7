"""Steps of a block: assignments, declarations, loops, branches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from .. import syntax as s
from ..diagnostics import Note, Slug
from .builder import MOST
from .declarations import declare
from .returns import returned
from .scans import run_scan
from .scope import Scope, join
from .structure import assigned, walk
from .turns import MODELS, Copier, Mark, can_copy
from .values import HaltError, Instance, Known, Poison, Val, Value, settled

if TYPE_CHECKING:
    from ..source import Span

MOST_TURNS = 100_000


def run_steps(steps: tuple[s.Step, ...], scope: Scope) -> None:
    """Run steps in order. One that cannot be run is reported, and what it assigns is poisoned."""
    for place, step in enumerate(steps):
        if scope.frame.results is not None:
            if isinstance(steps[place - 1], s.Return):
                message = "this stands after the `return`, and is never reached"
                scope.ctx.report(Slug.MISPLACED, message, step.span)
            return
        scope.ctx.statement = step
        try:
            _run(step, scope)
        except HaltError:
            for name in assigned((step,)):
                if name not in scope.names or name in scope.carried:
                    scope.names[name] = Poison()
            for returned in [part for part in walk(step) if isinstance(part, s.Return)][:1]:
                scope.frame.results = (Poison(),) * len(returned.values)
            if isinstance(step, s.Declare | s.Shared):
                scope.names.setdefault(step.name, Poison())
                scope.spans.setdefault(step.name, step.span)
            if scope.ctx.budget.is_spent:
                raise


def _run(step: s.Step, scope: Scope) -> None:
    match step:
        case s.Doc():
            pass
        case s.Declare():
            declare(step, scope)
        case s.Assign():
            _assign(step, scope)
        case s.Return():
            _return(step, scope)
        case s.Loop("bank"):
            _bank(step, scope)
        case s.Loop():
            _repeat(step, scope)
        case s.Shared():
            _share(step, scope)
        case s.Scan():
            run_scan(step, scope, run_steps)
        case s.Branch():
            _branch(step, scope)
        case s.Carry():
            scope.fail(Slug.MISPLACED, "a `carry` stands at the head of a `scan`", step.span)
        case s.Rule():
            _rule(step, scope)
        case s.Unbuilt():
            unbuilt(step, scope)


def _rule(step: s.Rule, scope: Scope) -> None:
    """`backward y = expr`: from here on, y is the value with a rule."""
    found = scope.names.get(step.name.id) if isinstance(step.name, s.Name) else None
    if isinstance(found, Poison):
        raise HaltError
    if not isinstance(step.name, s.Name) or not isinstance(found, Value):
        scope.fail(
            Slug.NOT_A_VALUE,
            f"`backward` is for a value assigned above, and `{step.name.span.text}` is none",
            step.name.span,
            hint="y = ...; backward y = grad",
        )
    node = found.node
    new = returned(node, "backward", step.value, scope, step.span)
    if node.site is not None and node.name in scope.builder.place:
        bare = replace(scope.builder.current(node), site=None)
        scope.builder.swap(bare)
        new = scope.builder.swap(new.at(node.site))
    scope.names[step.name.id] = Value(new)


def unbuilt(step: s.Unbuilt, scope: Scope) -> None:
    """Something that the language has and this version cannot run yet."""
    scope.fail(Slug.UNBUILT, f"{step.feature} is not built yet", step.span)


def _assign(step: s.Assign, scope: Scope) -> None:
    targets = []
    for target in step.targets:
        if not isinstance(target, s.Name):
            scope.fail(
                Slug.BAD_WRITE,
                "in a block a name is assigned; a site is written by an intervention",
                target.span,
            )
        targets.append(target)
    if len(step.values) == len(targets) > 1:
        values = [(scope.evaluate(tree), tree) for tree in step.values]
    elif len(step.values) == 1:
        tree = step.values[0]
        address = (
            join(scope.path, targets[0].id)
            if len(targets) == 1 and isinstance(tree, s.Call)
            else None
        )
        given = scope.evaluate_all(tree, address)
        if len(given) != len(targets):
            _miscounted(step, len(given), scope)
        values = [(value, tree) for value in given]
    else:
        _miscounted(step, len(step.values), scope)
    for target, (value, tree) in zip(targets, values, strict=True):
        bind(target.id, value, target.span, tree.span, scope)
        if isinstance(tree, s.Call) and len(targets) == 1:  # what a call returns is also its `out`
            address = join(scope.path, target.id)
            scope.ctx.aliases.setdefault(f"{address}.out", address)


def _miscounted(step: s.Assign, count: int, scope: Scope) -> NoReturn:
    """As many names are assigned as there are values, or this is reported."""
    names = [target.id for target in step.targets if isinstance(target, s.Name)]
    spare = [letter for letter in "abcdefgh" if letter not in names]
    wanted = (names + spare)[:count]
    scope.fail(
        Slug.WRONG_ARGUMENTS,
        f"{_counted(count, 'value is', 'values are')} assigned to "
        f"{_counted(len(names), 'name', 'names')}",
        step.span,
        hint=f"{', '.join(wanted)} = {step.values[0].span.text}"
        if len(step.values) == 1 and len(wanted) == count
        else None,
    )


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def bind(name: str, value: Val, span: Span, source: Span, scope: Scope) -> None:
    """Assign a name: once in its scope, except that a carried one gets its new value."""
    if name.endswith("'"):
        scope.fail(Slug.NOT_A_VALUE, f"`{name}`: primes are for axes", span, hint=name.rstrip("'"))
    if name in scope.frame.states:
        _set_state(name, value, span, scope)
        return
    owner = scope.owner(name)
    if owner is scope and name not in scope.carried:
        notes = (
            [Note("it has its value from here", scope.spans[name])] if name in scope.spans else []
        )
        scope.fail(
            Slug.REASSIGNED,
            f"`{name}` already has a value",
            span,
            notes=notes,
            hint=f"{name}_2 = ...",
        )
    if owner is scope and name in scope.carried and scope.names[name] is not scope.carried[name]:
        scope.fail(
            Slug.REASSIGNED, f"`{name}` is assigned twice in one turn", span, hint=f"{name}_2 = ..."
        )
    if name in scope.carried and not isinstance(value, Poison):
        node = scope.node(value, source)
        for axis in scope.kept.get(name, ()):  # a carry has its written axes
            node = scope.spread(node, axis, source)
        value = Value(node)
    if isinstance(value, Value):
        for bank in scope.banks:
            value = Value(scope.spread(scope.builder.use(value.node), bank, source))
        value = Value(
            scope.builder.name(
                value.node, scope.ctx.claim(join(scope.path, name), "it"), source, scope.path
            )
        )
    scope.names[name] = value
    scope.spans[name] = span


def _set_state(name: str, value: Val, span: Span, scope: Scope) -> None:
    address = scope.frame.states[name]
    node = scope.node(value, span)
    wanted = scope.ctx.params[address]
    extra = node.axis_names - wanted.axis_names
    if extra:
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"the state `{name}` has exactly {scope.say_axes(wanted)}, and this has "
            f"`{min(extra)}` too",
            span,
            hint=f"mean[{min(extra)}](...)",
        )
    if address in scope.ctx.updates or scope.builder.is_kept(address):
        scope.fail(Slug.REASSIGNED, f"the state `{name}` is assigned twice", span)
    for axis in wanted.axes:
        node = scope.spread(node, axis, span)
    if node.dtype != "float":
        node = scope.map("float", [node], span)
    if scope.builder.parent is not None:
        scope.builder.keep(address, wanted, node)
    else:
        scope.ctx.updates[address] = node
    owner = scope.owner(name)
    assert owner is not None
    owner.names[name] = Value(node)


def _return(step: s.Return, scope: Scope) -> None:
    single = len(step.values) == 1
    results: list[tuple[Val, Span]] = []
    for tree in step.values:
        address = join(scope.path, "out") if single and isinstance(tree, s.Call) else None
        results += [(value, tree.span) for value in scope.evaluate_all(tree, address)]
    scope.frame.results = tuple(value for value, _ in results)
    scope.frame.returned = tuple(span for _, span in results)


def _branch(step: s.Branch, scope: Scope) -> None:
    for condition, body in step.cases:
        if condition is None or _holds(condition, scope):
            with scope.ctx.turning(1):  # other turns around may take another case
                run_steps(body, scope)
            return


def _holds(condition: s.Expr, scope: Scope) -> bool:
    """Whether a case of an `if` is taken, which is decided before the model runs."""
    value = settled(scope.evaluate(condition), scope.ctx.sweeping)
    if isinstance(value, Value):
        scope.fail(
            Slug.NOT_CONSTANT,
            "the condition of an `if` must be known before the model runs",
            condition.span,
            hint=f"`where({condition.span.text}, this, that)` chooses for each element",
        )
    return bool(scope.constant(condition, "the condition of an `if`"))


# ---- loops


def _repeat(step: s.Loop, scope: Scope) -> None:
    count = scope.constant(step.count, f"how often `{step.name}` turns")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_TURNS:
        scope.fail(
            Slug.BAD_SIZE,
            f"`{step.name}` turns a whole number of times, at most {MOST_TURNS}, not {count}",
            step.count.span,
        )
    around = scope.ctx.turns if isinstance(step.count, s.Number) else 1
    with scope.ctx.turning(around * count):
        _turns(step, count, around, scope)


def _turns(step: s.Loop, count: int, around: int, scope: Scope) -> None:
    carried = _carried(step, scope)
    copier: Copier | None = None
    tries = MODELS if count > 1 and can_copy(step, scope) else 0
    for turn in range(count):
        if copier is not None and copier.fits():
            copier.make(turn)
            continue
        mark = Mark.now(turn, carried, scope) if tries else None
        path = join(scope.path, f"{step.name}[{turn}]")
        params = (
            join(scope.params, step.name)
            if step.kind == "share"
            else join(scope.params, f"{step.name}[{turn}]")
        )
        inner = scope.inner(path=path, params=params, counts={}, names={step.name: Known(turn)})
        for name in carried:
            value = scope.lookup(name)
            if isinstance(value, Known):
                value = Value(scope.node(value, step.span))
            if isinstance(value, Value):
                address = scope.ctx.claim(join(path, f"in.{name}"), "it")
                value = Value(scope.builder.name(value.node, address, step.span, path, apart=True))
            assert value is not None
            inner.names[name] = inner.carried[name] = value
        errors, spent = scope.ctx.collector.errors, scope.ctx.budget.spent
        scope.ctx.spend(step.span)
        run_steps(step.body, inner)
        for name in carried:
            _carry_out(name, inner, scope, step)
        for name, place in inner.spans.items():
            if name not in inner.carried:
                scope.frame.inside.setdefault(name, (step.name, place))
        if scope.frame.results is not None:
            _no_return(step, scope)
        if scope.ctx.collector.errors > errors:
            return  # the other turns would say the same
        cost = scope.ctx.budget.spent - spent
        _check_turns(step, count, cost, 1 if turn else around, scope)
        if mark is not None:
            copier, tries = Copier(step, mark, carried, scope), tries - 1


def _no_return(step: s.Loop | s.Scan, scope: Scope) -> None:
    """What returns is the block, once."""
    place = next(part for part in walk(step.body) if isinstance(part, s.Return))
    scope.frame.results = None
    scope.fail(
        Slug.MISPLACED,
        "a `return` cannot stand in a loop",
        place.span,
        notes=[Note("the loop", step.span)],
        hint="assign a name here, and `return` it after the loop",
    )


def _check_turns(step: s.Loop, count: int, cost: int, around: int, scope: Scope) -> None:
    """Whether all turns can be made, in all turns around, from what one has cost."""
    whole = cost * count * around
    if whole > MOST:
        scope.fail(
            Slug.TOO_LARGE,
            f"`{step.name}` makes {cost} operations in a turn, {whole} in all: {MOST} are allowed",
            step.count.span,
        )


def _carry_out(name: str, inner: Scope, scope: Scope, step: s.Loop) -> None:
    owner = scope.owner(name)
    assert owner is not None
    new, old = inner.names[name], inner.carried[name]
    if isinstance(new, Value) and isinstance(old, Value):
        lost = [axis for axis in old.node.axes if axis.name not in new.node.axis_names]
        if lost and name in inner.names:
            scope.fail(
                Slug.AXIS_MISMATCH,
                f"`{name}` enters a turn of `{step.name}` with the axis `{lost[0].name}`, "
                "and leaves it without",
                inner.spans.get(name, step.span),
            )
    owner.names[name] = new


def _carried(step: s.Loop, scope: Scope) -> list[str]:
    """Names from outside that the body assigns; each must be read before that."""
    inside = assigned(step.body)
    carried = []
    for name, place in inside.items():
        owner = scope.owner(name)
        if owner is None or name in scope.frame.states:
            continue
        if owner.builder is not scope.builder:  # a scan stands between
            notes = [Note("the outer one", span)] if (span := scope.assigned_at(name)) else []
            scope.fail(
                Slug.REASSIGNED,
                f"`{name}` already has a value outside the scan",
                place.span,
                notes=notes,
                hint=f"carry {name} = ...",
            )
        if not _read_before(name, step.body):
            notes = [Note("the outer one", span)] if (span := scope.assigned_at(name)) else []
            scope.fail(
                Slug.UNREAD_CARRY,
                f"`{name}` already exists outside, and is assigned here without being read first",
                place.span,
                notes=notes,
                hint=f"read `{name}` first, or assign another name",
            )
        carried.append(name)
    return carried


def _read_before(name: str, steps: tuple[s.Step, ...]) -> bool:
    for step in steps:
        match step:
            case s.Assign(targets, values):
                if any(isinstance(t, s.Name) and t.id == name for v in values for t in walk(v)):
                    return True
                if any(isinstance(t, s.Name) and t.id == name for t in targets):
                    return False
            case _:
                if any(isinstance(t, s.Name) and t.id == name for t in walk(step)):
                    return True
    return False


def _bank(step: s.Loop, scope: Scope) -> None:
    """All turns side by side: what is made in the body, parameters too, has the axis."""
    size = scope.axis_size(step.count)
    axis = scope.axis(step.name)
    if axis is None:
        axis = scope.new_axis(step.name, size)
    elif axis.size != size:
        scope.fail(
            Slug.SIZE_MISMATCH,
            f"the axis `{step.name}` has size {axis.size} here, and {size} turns are asked for",
            step.count.span,
            hint=f"bank {step.name} * |{step.name}|",
        )
    inner = scope.inner(banks=(*scope.banks, axis), owners=(*scope.owners, axis), names={})
    run_steps(step.body, inner)
    if scope.frame.results is not None:
        _no_return(step, scope)
    for name, value in inner.names.items():
        if scope.owner(name) is not None:
            scope.fail(
                Slug.REASSIGNED,
                f"`{name}` already has a value outside the bank",
                inner.spans.get(name, step.span),
            )
        scope.names[name] = value
        scope.spans[name] = inner.spans.get(name, step.span)
    scope.axes.update({k: v for k, v in inner.axes.items() if scope.axis(k) is None})


def _share(step: s.Shared, scope: Scope) -> None:
    """One parameter set under a name, to be called many times."""
    value = scope.template(step.value, f"share {step.name} = encoder[m = 32]")
    scope.names[step.name] = Instance(value, join(scope.params, step.name), scope.owners)
    scope.spans[step.name] = step.span
