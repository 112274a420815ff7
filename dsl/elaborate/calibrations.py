"""`calibrate`: statistics of values of a model over data, and their use by name."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from .. import syntax as s
from ..core import Axis, DType
from ..diagnostics import Note, Slug, or_any, or_nearest
from ..program import CheckedCalibration, CheckedStudy, Fold, StatisticsInput
from ..signatures import EXAMPLES
from ..sizes import Poly
from .datasets import use_data
from .sites import model_axis
from .structure import walk
from .values import HaltError, Known, Poison, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core import Axes, Node
    from ..diagnostics import Collector
    from ..modules import Module
    from ..program import DataPart
    from ..source import Span
    from .builder import Budget
    from .scope import Scope
    from .study import Study
    from .values import Run

BATCH = 32
VALUES = {  # how many values a statistic is of, how many numbers it takes, and how many it gives
    "mean": (1, 0, 1),
    "var": (1, 0, 1),
    "covariance": (1, 0, 1),
    "gram": (1, 0, 1),
    "quantile": (1, 1, 1),
    "histogram": (1, 2, 1),
    "topk": (1, 0, 2),
    "least_squares": (2, 0, 2),
    "kmeans": (1, 1, 2),
}


def calibrated(
    study: Study,
    tree: s.Calibrate,
    run: Run,
    lay: Callable[[s.Run, Scope], Run],
    data: DataPart | None,
) -> CheckedCalibration | None:
    """The statistics of a run, and of those that it names, which `lay` lays down; None if something
    in them is wrong."""
    scope = study.scope
    scope.frame.run = run
    folds: list[Fold] = []
    seen: dict[str, s.Tree] = {}
    before = study.collector.errors
    for step in tree.body:
        study.ctx.statement = step
        with suppress(HaltError):  # was said: the others are tried too
            match step:
                case s.Assign():
                    _line(step, folds, seen, run, scope)
                case s.Run():
                    _name_run(step, lay, seen, scope)
    if study.collector.errors > before:
        return None
    if tree.unit not in ("batches", "batch", "examples"):
        scope.fail(
            Slug.UNKNOWN_OPTION,
            f"examples are counted one by one or in batches of {BATCH}, and not in `{tree.unit}`",
            tree.count.span,
            hint="for 8 batches, for 256 examples",
        )
    count = scope.whole(tree.count, "how much is read")
    if count < 1:
        scope.fail(Slug.BAD_SIZE, f"nothing is learned of {count} {tree.unit}", tree.count.span)
    body = study.body([name for fold in folds for name in fold.reads])
    return CheckedCalibration(
        tree.name,
        CheckedStudy(
            tree.name,
            run.model,
            body,
            study.sources,
            (),
            (),
            data,
            study.weights,
            tree.span,
            limits=tuple(study.ctx.limits),
            beside=study.beside,
        ),
        tuple(folds),
        count if tree.unit == "examples" else count * BATCH,
    )


def _line(
    step: s.Assign, folds: list[Fold], seen: dict[str, s.Tree], run: Run, scope: Scope
) -> None:
    """A statistic, which is over the examples; else a value that others speak of."""
    value = step.values[0]
    for target in step.targets:
        _see(_name(target, scope), target, seen, scope)
    match value:
        case s.Call(s.Index(s.Name(statistic), items), _) if EXAMPLES in _words(items):
            folds.append(_fold(statistic, items, value, step, run, scope))
        case _:
            for target, tree in zip(step.targets, step.values, strict=False):
                scope.names[_name(target, scope)] = scope.evaluate(tree)


def _name_run(
    step: s.Run, lay: Callable[[s.Run, Scope], Run], seen: dict[str, s.Tree], scope: Scope
) -> None:
    """A further run, on the same examples."""
    _see(step.name, step, seen, scope)
    scope.names[step.name] = Poison()
    found = lay(step, scope)
    if found.decoded:
        scope.fail(
            Slug.MISPLACED,
            "statistics are of runs that read the examples, and this one makes its own",
            step.span,
            hint="experiment NAME of MODEL:",
        )
    scope.names[step.name] = found


def _see(name: str, tree: s.Tree, seen: dict[str, s.Tree], scope: Scope) -> None:
    """Give a name to something, once."""
    if name in seen:
        scope.fail(
            Slug.REASSIGNED,
            f"`{name}` already has a value",
            tree.span,
            notes=[Note("it has its value from here", seen[name].span)],
        )
    seen[name] = tree


def _words(items: tuple[s.Item, ...]) -> list[str]:
    return [tree.id for tree in walk(items) if isinstance(tree, s.Name)]


def _name(target: s.Expr, scope: Scope) -> str:
    base = target.base if isinstance(target, s.Index) else target
    if not isinstance(base, s.Name):
        scope.fail(Slug.BAD_WRITE, "here a name is assigned", target.span)
    return base.id


def _fold(
    statistic: str,
    items: tuple[s.Item, ...],
    tree: s.Call,
    step: s.Assign,
    run: Run,
    scope: Scope,
) -> Fold:
    if statistic not in VALUES:
        scope.fail(
            Slug.UNKNOWN_NAME,
            f"no statistic over examples is called `{statistic}`",
            tree.target.span,
            hint=or_any(statistic, VALUES),
        )
    values, numbers, gives = VALUES[statistic]
    plain = [arg for arg in tree.args if arg.name is None]
    key = next((arg for arg in tree.args if arg.name == "by"), None)
    spare = [arg for arg in tree.args if arg.name not in (None, "by")]
    if len(plain) != values + numbers or spare or (key is not None and statistic != "mean"):
        scope.fail(
            Slug.WRONG_ARGUMENTS,
            f"`{statistic}` is of {values} value{'s' if values > 1 else ''}"
            + (f" and takes {numbers} number{'s' if numbers > 1 else ''}" if numbers else ""),
            tree.span,
            hint="table[vocab, d] = mean[b, t](x, by = tokens)" if key is not None else None,
        )
    if len(step.targets) > gives or (statistic == "topk" and len(step.targets) < gives):
        scope.fail(Slug.WRONG_ARGUMENTS, f"`{statistic}` gives {gives} values", step.span)
    nodes = [scope.node(scope.evaluate(arg.value), arg.span) for arg in plain[:values]]
    over = tuple(scope.axis_named(word, nodes[0], tree.span, f"`{statistic}` is over `{word}`")
                 for word in _words(items))  # fmt: skip
    if key is not None:
        node = scope.node(scope.evaluate(key.value), key.span)
        if node.dtype is not DType.INT or not node.axis_names <= set(over):
            scope.fail(
                Slug.WRONG_DTYPE,
                f"a key is a whole number along {', '.join(f'`{axis}`' for axis in over)}",
                key.span,
            )
        nodes.append(node)
    rest = [axis for node in nodes for axis in node.axes if axis.name not in over]
    results: list[tuple[str, Axes]] = []
    keys: list[str] = []
    for target in step.targets:
        axes = _result(target, rest, [a for _, own in results for a in own], run, scope)
        keys += [axis.name for axis in axes if axis.name not in {a.name for a in rest}]
        results.append((_name(target, scope), axes))
    keys = list(dict.fromkeys(keys))
    _check_shape(statistic, key is not None, results, rest, keys, step, scope)
    taken = tuple(scope.finite(arg.value, f"what `{statistic}` takes") for arg in plain[values:])
    if statistic == "kmeans" and (taken[0] < 1 or taken[0] != int(taken[0])):
        scope.fail(
            Slug.BAD_SIZE,
            f"the examples are read again at least once, and this is {taken[0]:g}",
            plain[1].span,
            hint="centre[k = 8, d] = kmeans[b, t](x, 10)",
        )
    return Fold(
        statistic if key is None else "mean_by",
        tuple(node.name for node in nodes),
        over,
        tuple(keys),
        taken,
        tuple(results),
        _extents(nodes[0], over, tree.span, scope),
    )


def _extents(
    node: Node, over: tuple[str, ...], span: Span, scope: Scope
) -> tuple[tuple[str, str], ...]:
    """How much there is of the axes that go, but for the examples, where a call says it."""
    sizes = [(axis.name, axis.size) for axis in node.axes if axis.name in over]
    return tuple(
        (name, scope.node(Known(size), span).name)
        for name, size in sizes
        if name != EXAMPLES and isinstance(size, Poly)
    )


def _result(target: s.Expr, rest: list[Axis], others: list[Axis], run: Run, scope: Scope) -> Axes:
    """The axes of a result: as written, else those that are left."""
    if not isinstance(target, s.Index):
        axes = list(rest)
    else:
        axes = [_axis(item, [*rest, *others], run, scope) for item in target.items]
    for axis in axes:
        if not isinstance(axis.size, int):
            scope.fail(
                Slug.BAD_SIZE,
                f"`{axis.name}` has another size for other examples, and a statistic has one",
                target.span,
                hint=f"over `{axis.name}` too: `mean[b, {axis.name}](..)`",
            )
    return tuple(axes)


def _axis(item: s.Item, rest: list[Axis], run: Run, scope: Scope) -> Axis:
    match item:
        case s.Bind(name, size):
            return Axis(name, scope.axis_size(size))
        case s.Name(name):
            known = {axis.name: axis for axis in rest}
            first = known.get(name.rstrip("'"))
            found = known.get(name) or (Axis(name, first.size) if first is not None else None)
            found = found or model_axis(name, run.model)
            if found is not None:
                return found
            hint = or_nearest(name, known) or f"give it a size: `{name} = 16`"
            scope.fail(Slug.UNKNOWN_AXIS, f"no axis is called `{name}` here", item.span, hint=hint)
    scope.fail(Slug.NOT_AN_AXIS, f"`{item.span.text}` is no axis", item.span)
    return Axis("", 1)


def _check_shape(
    statistic: str,
    keyed: bool,
    results: list[tuple[str, Axes]],
    rest: list[Axis],
    keys: list[str],
    step: s.Assign,
    scope: Scope,
) -> None:
    """A result has the axes that its statistic gives."""
    names = {axis.name for axis in rest}
    new = keyed or statistic in ("covariance", "gram", "histogram", "topk", "kmeans")
    primed = statistic in ("covariance", "gram")
    first = {axis.name for axis in results[0][1]}
    wrong = first - set(keys) != names or len(keys) != int(new)
    wrong |= primed and not all(key.rstrip("'") in names for key in keys)
    if statistic == "topk":
        wrong |= {axis.name for axis in results[1][1]} != first
    if statistic == "kmeans" and len(results) > 1:
        wrong |= {axis.name for axis in results[1][1]} != set(keys)
    if statistic == "least_squares" and len(results) > 1:
        wrong |= not {axis.name for axis in results[1][1]} < names
    if wrong:
        left = ", ".join(sorted(names))
        more = ", one more" + (" that is primed" if primed else "") if new else ""
        scope.fail(
            Slug.AXIS_MISMATCH,
            f"`{statistic}` gives what is left of its values, [{left}]{more}",
            step.span,
        )


# ---- use


def know_statistics(study: Study, tree: s.Expr, scope: Scope) -> None:
    """`NAME.mean_of`: what a calibration of the file found, an input where it is first named."""
    for part in walk(tree):
        if not isinstance(part, s.Name) or scope.lookup(part.id) is not None:
            continue
        found = scope.frame.module.find(part.id)
        if found is None or not isinstance(found[0], s.Calibrate):
            continue
        made = elaborate_calibration(found[0], found[1], study.collector, study.ctx.budget)
        if made is None:
            scope.names[part.id] = Poison()
            continue
        fields: dict[str, Node] = {}
        for fold in made.folds:
            for place, (name, axes) in enumerate(fold.results):
                whole = fold.statistic in ("topk", "kmeans") and place
                dtype = DType.INT if whole else DType.FLOAT
                source = StatisticsInput(part.id, name)
                fields[name] = study.input(source, axes, dtype, found[0].span).node
        scope.names[part.id] = Table(part.id, fields)


def elaborate_calibration(
    tree: s.Calibrate, module: Module, collector: Collector, budget: Budget
) -> CheckedCalibration | None:
    """The statistics; None if something in them is wrong."""
    from .study import Study
    from .study_runs import Runs
    from .weights import split_weights

    if tree.name in budget.calibrations:
        return budget.calibrations[tree.name]
    budget.calibrations[tree.name] = None  # one that needs itself
    study = Study(module, collector, budget)
    try:
        data = use_data(study, tree.data)
        weights, given = split_weights(tree.given, study)
        runs = Runs(study, tree.model, weights, given, data)
        run = runs.run(s.Run("", tree.model, (), span=tree.span), study.scope)
        found = calibrated(study, tree, run, runs.run, data)
    except HaltError:
        return None
    budget.calibrations[tree.name] = found
    return found
