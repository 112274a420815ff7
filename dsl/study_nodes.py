"""From what the parser found to nodes: interventions, data, experiments and training."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from . import syntax
from .expression_nodes import Children, ExpressionNodes, Several, end_of, several, start_of
from .statement_nodes import StatementNodes, axes_or_none

if TYPE_CHECKING:
    from .syntax import Tree


class Nodes(StatementNodes):
    """Builds every node of the language."""

    # ---- interventions

    def intervention(self, c: Children) -> syntax.Intervention:
        """`intervention name(params) on model with others:`."""
        _, name, _, params, _, _, model, _, given, _, body = c
        return syntax.Intervention(
            name.value,
            tuple(params or ()),
            model.value,
            tuple(given or ()),
            tuple(body),
            span=self.over_all(c),
        )

    def writes(self, c: Children) -> Several:
        """The body of an intervention, where `freeze` is a write of what comes back."""
        steps = self.steps(c)
        for place, step in enumerate(steps):
            if isinstance(step, syntax.Only):
                one = syntax.Number(0, span=step.span)
                steps[place] = syntax.Write(step.patterns[0], "freeze", one, span=step.span)
        return steps

    def owned(self, c: Children) -> syntax.Owned:
        """`share r = rotation[d -> f]`, `share layer[*].r = rotation[d -> f]`."""
        return syntax.Owned(c[1], c[3], span=self.over_all(c))

    def write_line(self, c: Children) -> syntax.Write:
        """A write on a line of its own."""
        write: syntax.Write = c[0]
        return write

    def written(self, c: Children) -> syntax.Write:
        """`site += value`, perhaps along a path."""
        site, path, op, value = c
        return syntax.Write(site, op.value, value, path, span=self.over_all(c))

    def copied(self, c: Children) -> syntax.Write:
        """`site from run`, perhaps along a path, which may stand on either side."""
        site, before, _, run, after = c
        return syntax.Write(site, "from", run, before or after, span=self.over_all(c))

    def placed(self, c: Children) -> syntax.Placed:
        """`W as layer[5].sae`."""
        return syntax.Placed(c[0], c[2], span=self.over_all(c))

    def along(self, c: Children) -> syntax.Path:
        """`along {A, B} then C through {D}`."""
        parts = [part for part in c[2:] if part is not None]
        words = [getattr(part, "value", "") for part in parts]
        end = words.index("through") if "through" in words else len(parts)
        through = parts[-1] if end < len(parts) else None
        return syntax.Path(
            tuple(parts[:end:2]), through, but=c[1] is not None, span=self.over_all(c)
        )

    def frozen(self, c: Children) -> syntax.Only:
        """`freeze PATTERN`."""
        return syntax.Only((c[1],), frozen=True, span=self.over_all(c))

    def gain(self, c: Children) -> syntax.Write:
        """`gain SITE = 0.5`, perhaps along a path."""
        word, site, path, _, value, _ = c
        return syntax.Write(site, word.value, value, path, span=self.over_all(c))

    returning = gain  # `backward SITE = expr(it, grad)`

    def keep(self, c: Children) -> syntax.Unbuilt:
        """`keep SITE = int8[h](it) for decode`."""
        return self.unbuilt("`keep`", c)

    def during(self, c: Children) -> syntax.During:
        """`during decode 3..8:`, with a suite or one write."""
        _, phase, steps, _, *rest = c
        short = not isinstance(rest[0], list)
        body = tuple(rest[:1] if short else rest[0])
        return syntax.During(phase.value, steps, body, short, span=self.over_all(c))

    def range_to(self, c: Children) -> syntax.Range:
        """`3..8`."""
        return self.spanned(c)

    # ---- data and weights

    def data(self, c: Children) -> syntax.Data:
        """`data pairs = jsonl("pairs.jsonl"): fields`."""
        fields = tuple(filter(None, c[5:-1:2]))
        return syntax.Data(c[1].value, c[3], fields, span=self.over_all(c))

    def field(self, c: Children) -> syntax.Field:
        """`clean[t of b]: text(tok)`."""
        return syntax.Field(c[0].value, axes_or_none(c[1]), c[3], span=self.over_all(c))

    def weights(self, c: Children) -> syntax.Weights:
        """`weights name of model from "file":`."""
        _, name, _, model, _, file, _, maps = c
        return syntax.Weights(name.value, model, file, tuple(maps), span=self.over_all(c))

    def same_weights(self, c: Children) -> syntax.Weights:
        """`weights name of mapping from "folder"`."""
        _, name, _, mapping, _, file, _ = c
        return syntax.Weights(name.value, mapping, file, None, span=self.over_all(c))

    def map(self, c: Children) -> syntax.Map:
        """`site = file["name"] as [d, (part h k)][part = 0]`."""
        order = None if c[4] is None else tuple(c[4])
        return syntax.Map(c[0], c[2], order, tuple(c[5] or ()), span=self.over_all(c))

    def picks(self, c: Children) -> Several:
        """`[part = 0]`."""
        return several(tuple(c[1] or ()), start_of(c[0]), end_of(c[2]))

    def skip(self, c: Children) -> syntax.Skip:
        """`skip file["*.attn.bias"]`."""
        return syntax.Skip(c[1], span=self.over_all(c))

    map_branch = StatementNodes.branch
    map_elif = StatementNodes.elif_
    map_else = StatementNodes.otherwise

    order = StatementNodes.axes

    def order_item(self, c: Children) -> tuple[str, ...]:
        """`d`, `(h k)`."""
        return tuple(part.value for part in (c if len(c) == 1 else c[1:-1]))

    # ---- experiments

    def experiment(self, c: Children) -> syntax.Experiment:
        """`experiment name of model with weights on data:`."""
        _, name, _, model, _, given, _, data, _, body = c
        return syntax.Experiment(
            name.value, model, tuple(given or ()), data, tuple(body), span=self.over_all(c)
        )

    withs = ExpressionNodes.list_of

    def run(self, c: Children) -> syntax.Run:
        """`run name = model(inputs) with a, b`."""
        value, given = c[3]
        return syntax.Run(c[1].value, value, given, span=self.over_all(c))

    def patched(self, c: Children) -> Several:
        """A run and what is done to it."""
        return several((c[0], tuple(c[2] or ())), start_of(c[0]), end_of(c[2] or c[0]))

    def patch(self, c: Children) -> Several:
        """`patch SITE from clean in corrupt` is `corrupt with SITE from clean`."""
        _, site, _, run, _, value = c
        write = syntax.Write(site, "from", run, span=self.span(site, run))
        return several((value, (write,)), start_of(c[0]), end_of(value))

    def measure(self, c: Children) -> syntax.Measure:
        """`measure diff(r) = expr`."""
        params = tuple(part.value for part in c[3:-4:2] if part is not None)
        return syntax.Measure(c[1].value, params, c[-2], span=self.over_all(c))

    def sweep(self, c: Children) -> syntax.Sweep:
        """`sweep name over l in layer:`."""
        *body, result = c[-1]
        return syntax.Sweep(
            c[1].value, tuple(c[3:-2:2]), tuple(body), result, span=self.over_all(c)
        )

    sweep_suite = StatementNodes.steps

    def result(self, c: Children) -> Tree:
        """What a sweep gives."""
        value: Tree = c[0]
        return value

    def over(self, c: Children) -> syntax.Over:
        """`l in layer`."""
        return syntax.Over(c[0].value, c[2], span=self.over_all(c))

    def attribute(self, c: Children) -> syntax.Sweep:
        """`attribute heads over l in layer:`."""
        return replace(self.sweep(c), runs_again=False)

    def draw(self, c: Children) -> syntax.Declare:
        """`draw noise[seed = 20] like effect ~ uniform(0, 1)`."""
        return self.drawn(c)

    sized_axes = StatementNodes.axes

    def sized_axis(self, c: Children) -> syntax.AxisDecl:
        """`l`, `seed = 20`."""
        return syntax.AxisDecl(c[0].value, size=c[2], span=self.over_all(c))

    def study_scan(self, c: Children) -> syntax.StudyScan:
        """`scan step * 6:`."""
        _, axis, _, count, _, body = c
        return syntax.StudyScan(axis.value, count, tuple(body), span=self.over_all(c))

    scan_trials = StatementNodes.steps

    def plot(self, c: Children) -> syntax.Plot:
        """`plot heatmap(effect)`."""
        return syntax.Plot(c[1], span=self.over_all(c))

    def show(self, c: Children) -> syntax.Show:
        """`show a, b`."""
        return syntax.Show(tuple(c[1]), span=self.over_all(c))

    def expect(self, c: Children) -> syntax.Expect:
        """`expect condition`."""
        return syntax.Expect(c[1], span=self.over_all(c))

    # ---- training

    def train(self, c: Children) -> syntax.Train:
        """`train name of model from base fresh PATTERN with given on data:`."""
        _, name, _, model, _, start, _, fresh, _, given, _, data, _, body = c
        return syntax.Train(
            name.value,
            model,
            start and start.value,
            fresh,
            tuple(given or ()),
            data,
            tuple(body),
            span=self.over_all(c),
        )

    def adjusted(self, c: Children) -> syntax.Write:
        """`x += expr` in training."""
        return syntax.Write(c[0], c[1].value, c[2], span=self.over_all(c))

    def using(self, c: Children) -> syntax.Using:
        """`using adamw(lr = 3e-4), batch 32`."""
        return syntax.Using(tuple(c[1:-1:2]), span=self.over_all(c))

    def setting(self, c: Children) -> Tree:
        """`adamw(lr = 3e-4)`."""
        value: Tree = c[0]
        return value

    def amount(self, c: Children) -> syntax.Setting:
        """`batch 32`."""
        value: syntax.Number | syntax.Name = self.name(c[1:])
        if c[1].type != "NAME":
            value = self.integer(c[1:]) if c[1].type == "INT" else self.decimal(c[1:])
        return syntax.Setting(c[0].value, value, span=self.over_all(c))

    def schedule(self, c: Children) -> syntax.Schedule:
        """`schedule warmup(100) then cosine(to = 0.1)`."""
        return syntax.Schedule(tuple(c[1:-1:2]), span=self.over_all(c))

    def only(self, c: Children) -> syntax.Only:
        """`only PATTERN`."""
        return syntax.Only(tuple(c[1:-1:2]), span=self.over_all(c))

    def group(self, c: Children) -> syntax.OptimiserGroup:
        """`group PATTERN: lr = 1e-4`."""
        settings = zip((name.value for name in c[3:-1:4]), c[5:-1:4], strict=True)
        return syntax.OptimiserGroup(c[1], tuple(settings), span=self.over_all(c))

    def until(self, c: Children) -> syntax.Until | syntax.Unbuilt:
        """`until step 500: write`."""
        _, unit, count, _, write, _ = c
        if isinstance(write, syntax.Unbuilt):
            return self.unbuilt(write.feature, c)
        return syntax.Until(unit.value, self.count(count), write, span=self.over_all(c))

    def ended_at(self, c: Children) -> syntax.Until:
        """`until step 500`."""
        _, unit, count, _ = c
        return syntax.Until(unit.value, self.count(count), None, span=self.over_all(c))

    def ended_when(self, c: Children) -> syntax.UntilHolds:
        """`until loss < 2`."""
        return syntax.UntilHolds(c[1], span=self.over_all(c))

    def every(self, c: Children) -> syntax.Every:
        """`every 100 steps: snapshot`."""
        _, count, unit, _, action, _ = c
        number = self.count(count)
        return syntax.Every(number, unit.value, action.value, span=self.over_all(c))

    def update(self, c: Children) -> syntax.Update:
        """`update PARAM += expr`."""
        write = syntax.Write(c[1], c[2].value, c[3], span=self.span(c[1], c[3]))
        return syntax.Update(write, span=self.over_all(c))

    def phase(self, c: Children) -> syntax.Phase:
        """`phase warm:`."""
        return syntax.Phase(c[1].value, tuple(c[-1]), span=self.over_all(c))

    def calibrate(self, c: Children) -> syntax.Calibrate:
        """`calibrate name of model with given on data for 8 batches:`."""
        _, name, _, model, _, given, _, data, _, count, unit, _, body = c
        return syntax.Calibrate(
            name.value,
            model,
            tuple(given or ()),
            data,
            count,
            unit.value,
            tuple(body),
            span=self.over_all(c),
        )

    # ---- reserved

    def verify(self, c: Children) -> syntax.Unbuilt:
        """`verify name of model:`."""
        return self.unbuilt("`verify`", c)

    def proof(self, c: Children) -> syntax.Unbuilt:
        """What stands in `verify`."""
        return self.unbuilt(f"`{c[0].value}`", c)
