"""How a model is lowered and how sweeps are run, and why, said without running them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import torch

from ..compiler.attention import contraction, describe
from ..compiler.costs import (
    FEWEST_QUERIES,
    FEWEST_SCORES,
    FEWEST_USUAL,
    contraction_for,
    in_parallel,
    kernel_for,
    region_for,
)
from ..compiler.emit.flow import flow, titles
from ..compiler.emit.forms import (
    Attention,
    BatchNorm,
    Contracted,
    Convolution,
    Core,
    CrossEntropy,
    LayerNorm,
    Linear,
    Pool,
    RMSNorm,
)
from ..compiler.emit.pytorch.program import Program
from ..compiler.emit.recognise.patterns import View
from ..compiler.emit.recognise.selection import plan_body
from ..compiler.fusion.describe import described, priced_region
from ..compiler.recurrences import describe as recurrence
from ..compiler.recurrences import priced
from ..compiler.show import called
from ..dsl import sizes
from ..dsl.diagnostics import SpecError
from ..dsl.ops import (
    PARAM,
    AlongAttrs,
    ContractAttrs,
    Gather,
    IndexAttrs,
    ItemAttrs,
    MapAttrs,
    ScanAttrs,
)
from ..dsl.program import SweepInput
from ..dsl.stages import ScanPlan, all_stages
from . import attention, cpp, explain_on_gpu
from .lowering import address, needed
from .sources import Given
from .sweeps import Sweep, settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..compiler.emit.flow import Flow
    from ..compiler.emit.forms import Form
    from ..compiler.emit.recognise.selection import Plan
    from ..compiler.fusion.region import Region
    from ..compiler.graph import Graph
    from ..dsl.core import Node
    from ..dsl.program import CheckedModel, CheckedStudy
    from .sources import Library

NAMED = 2.0  # passes over memory: what a kernel would spare less than is not spoken of
ASSUMED = 8  # the size of an axis whose data cannot be read
CALLS: Mapping[type[Form], tuple[str, str]] = {
    Pool: ("pooling", "windows in one call"),
    BatchNorm: ("norm", "F.batch_norm"),
    LayerNorm: ("norm", "F.layer_norm"),
    RMSNorm: ("norm", "F.rms_norm"),
    CrossEntropy: ("loss", "F.cross_entropy"),
}

Line = tuple[str, str, str]  # what it is, its address, and how it is done


def explain_model(checked: CheckedModel, graph: Graph) -> list[str]:
    """A line for each attention, recurrence and the like; equal turns share one."""
    found = flow(graph, titles(checked.body, checked.aliases))
    reading = _Reading(found, plan_body(found, contractions=attention.chosen))
    groups: dict[Line, list[str]] = {}
    known = regions(checked, graph)
    inside = reading.fused(known)
    for kind, where, how in (*reading.lines(), *reading.regions(known)):
        if kind == "norm" and _general(where) in inside:
            continue
        groups.setdefault((kind, _general(where), how), []).append(where)
    rows = [
        (kind, f"{general} ({len(own)} times)" if len(own) > 1 else own[0], how)
        for (kind, general, how), own in groups.items()
    ]
    widths = [max((len(row[at]) for row in rows), default=0) for at in range(2)]
    return [f"  {kind:{widths[0]}}  {where:{widths[1]}}  {how}" for kind, where, how in rows]


def _general(where: str) -> str:
    """An address that stands for those of all turns."""
    return re.sub(r"\[\d+\]", "[*]", where)


def regions(checked: CheckedModel, graph: Graph) -> list[Region]:
    """What of a model may be fused, kernel or not; equal turns share theirs."""
    found: list[Region] = []

    def look(region: Region) -> bool:
        found.append(region)
        return False

    Program.of(graph, checked, contractions=attention.chosen, fusing=look)
    return found


class _Reading:
    """A model as it is written: which of its values are in which form."""

    def __init__(self, flow: Flow, plan: Plan) -> None:
        self.flow, self.plan = flow, plan

    def lines(self) -> Iterator[Line]:
        """What is to be said of each value, in their order."""
        for name, piece in self.plan.pieces.items():
            where, attrs = self.where(piece.node), piece.node.attrs
            match piece.form:
                case Attention(causal=causal, masks=masks):
                    seen = ", causal" if causal else ", masked" if masks else ""
                    how = f"F.scaled_dot_product_attention{seen}: the pattern is not stored"
                    why = self._no_kernel(piece.node) if masks or piece.form.signs else ""
                    yield "attention", where, f"{how}{why}"
                case Contracted(found=contracted, kernel=kernel, is_usual=is_usual):
                    fewest = FEWEST_USUAL if is_usual else FEWEST_QUERIES
                    least = f"from {fewest} queries and {FEWEST_SCORES} scores on"
                    how = f"a kernel, {least}: neither scores nor pattern are stored"
                    yield "attention", where, how if kernel else "PyTorch alone, on the CPU"
                    for how in explain_on_gpu.attention(contracted.contraction, is_usual=is_usual):
                        yield "on the GPU", where, how
                    for kind, how in describe(contracted.contraction):
                        yield kind, where, how
                case Convolution(slides=slides):
                    yield "convolution", where, f"F.conv{len(slides)}d"
                case Linear():
                    group = self.plan.groups.get(name, (name,))
                    if group[0] == name and len(group) > 1:
                        yield "projections", *self._together(group)
                case Core():
                    yield from self._core(piece.node, attrs, where)
                case form if type(form) in CALLS:
                    kind, how = CALLS[type(form)]
                    yield kind, where, how

    def fused(self, found: Iterable[Region]) -> frozenset[str]:
        """Where the values stand that kernels compute on the way, for all turns."""
        taken = [region for region in found if self._taken(region)]
        names = [name for region in taken for name in region.inside]
        return frozenset(_general(self.where(self.flow.nodes[name])) for name in names)

    @staticmethod
    def _taken(region: Region) -> bool:
        return cpp.compiler() is not None and not isinstance(region_for(region), str)

    def regions(self, found: Iterable[Region]) -> Iterator[Line]:
        """What one kernel computes, or would if it paid."""
        for region in found:
            given = [self.where(self.flow.nodes[name]) for name in region.gives]
            where, made = _general(", ".join(given)), region_for(region)
            taken = self._taken(region)
            if not taken and region.spared < NAMED:
                continue
            why = f"; no kernel: {made}" if isinstance(made, str) else ""
            how = "a kernel" if taken else "in PyTorch"
            yield "region", where, f"{how}: {described(region)}{why}"
            yield "cost", where, priced_region(region)

    def where(self, node: Node) -> str:
        """The address of a value, or what it is in which call."""
        if node.site is not None:
            return self.flow.titles.get(node.site, node.site)
        place = node.scope or f"line {node.span.line}"
        return f"{place}: {called(node)}"

    def _together(self, group: tuple[str, ...]) -> tuple[str, str]:
        """Linear maps of one value."""
        addresses = [self.where(self.flow.nodes[name]) for name in group]
        parent = addresses[0].rpartition(".")[0]
        own = [a.removeprefix(f"{parent}.") for a in addresses]
        return f"{parent}: {', '.join(own)}", "one product, the weights side by side in memory"

    def _core(self, node: Node, attrs: object, where: str) -> Iterator[Line]:
        match attrs:
            case AlongAttrs("softmax"):
                result = self._attended(node)
                if result is not None:
                    how = f"in the open, because {self._obstacle(node, result)}"
                    how += self._no_kernel(result)
                    yield "attention", self.where(result), how
            case ScanAttrs():
                yield from self._recurrence(node, attrs)
            case IndexAttrs(Gather(fill=None)):
                table = self.flow.nodes[self.flow.reads[node.name][0]]
                if table.op is PARAM:
                    yield "embedding", where, f"F.embedding of {self.where(table)}"

    def _recurrence(self, node: Node, attrs: ScanAttrs) -> Iterator[Line]:
        items = [n for n in self.flow.nodes.values() if self.flow.reads[n.name][:1] == (node.name,)]
        sites = [self.where(n) for n in items if n.site is not None]
        where = ", ".join(sites) or self.where(node)
        count = sum(step.node.op.name not in ("input", "const") for step in attrs.body.steps)
        carries = f"{attrs.carries} carr{'y' if attrs.carries == 1 else 'ies'}"
        way = "backwards " if attrs.reverse else ""
        along = f"{way}along {attrs.axis.name}"
        how = f"{carries}, {count} operations a step"
        found = kernel_for(attrs) if cpp.compiler() else None
        if found is None or isinstance(found, str):
            worth = in_parallel(attrs)
            why = "" if found is None else f"; no kernel: {found}"
            yield "recurrence", where, f"step by step {along}: {how}{why}"
            if worth is not None:
                yield "long", where, str(worth)
        else:
            yield "recurrence", where, f"a kernel {along}: {how}"
        for how in explain_on_gpu.recurrence(attrs):
            yield "on the GPU", where, how
        yield "cost", where, priced(attrs)
        if attrs.carries:
            yield from recurrence(attrs, self.where)

    # ---- attention in the open

    def _no_kernel(self, result: Node) -> str:
        """Why an attention whose inner values nobody reads has no kernel."""
        found = contraction(View(self.flow, frozenset(self.flow.nodes)), result)
        if found is None:
            return ""
        if cpp.compiler() is None:
            return "; no kernel: there is no C++ compiler, or none is wanted"
        reason = contraction_for(found.contraction)
        return f"; no kernel: {reason}" if isinstance(reason, str) else ""

    def _attended(self, pattern: Node) -> Node | None:
        """What a softmax weighs, if it is the pattern of an attention."""
        assert isinstance(pattern.attrs, AlongAttrs)
        waiting = [pattern.name]
        while waiting:
            for user in self.flow.users[waiting.pop()]:
                node = self.flow.nodes.get(user)
                if node is None or isinstance(node.attrs, ItemAttrs):
                    continue
                if isinstance(node.attrs, ContractAttrs):
                    if set(pattern.attrs.axes) & set(node.attrs.axes):
                        return node
                elif (
                    isinstance(node.attrs, MapAttrs) and set(pattern.attrs.axes) <= node.axis_names
                ):
                    waiting.append(user)
        return None

    def _obstacle(self, pattern: Node, result: Node) -> str:
        """What keeps an attention from being one call: from the result down to the scores."""
        name = pattern.name
        if pattern.name not in self.flow.reads[result.name]:
            changed = next(n for n in self.flow.reads[result.name] if n in self.flow.nodes)
            return f"something is done to the pattern: {self.where(self.flow.nodes[changed])}"
        while True:
            node, users = self.flow.nodes[name], self.flow.users[name]
            if len(users) > 1:
                others = [self._reader(user) for user in users if user != result.name]
                return f"{self.where(node)} is read by {' and '.join(dict.fromkeys(others))}"
            read = self.flow.reads[name]
            match node.attrs:
                case ContractAttrs():
                    return "queries, keys and values do not stand as the fused kernel wants them"
                case AlongAttrs("softmax"):
                    name = read[0]
                case MapAttrs("where") if self.flow.numbers.get(read[2]) == -math.inf:
                    name = read[1]
                case MapAttrs("add" | "sub" | "mul" | "div"):
                    inner = [o for o in read if self._is_score(o, pattern)]
                    if not inner:
                        return f"its scores are no product of queries and keys: {self.where(node)}"
                    name = inner[0]
                case _:
                    return f"the scores go through {called(node)}"

    def _is_score(self, name: str, pattern: Node) -> bool:
        """Whether a value is more than a number, a mask or a bias."""
        node = self.flow.nodes[name]
        return (
            name not in self.flow.closed
            and not self.flow.is_number(name)
            and pattern.axis_names <= node.axis_names
        )

    def _reader(self, user: str) -> str:
        return self.where(self.flow.nodes[user]) if user else "the model's results"


# ---- sweeps


def explain_sweeps(study: CheckedStudy, library: Library) -> list[str]:
    """How each sweep of an experiment is run, on the data of the file if it can be read."""
    if not study.sweeps:
        return []
    try:
        given, assumed = library.given(study), False
    except SpecError:
        given, assumed = _supposed(study), True
    scans = [stage for stage in all_stages(study.stages) if isinstance(stage, ScanPlan)]
    steps = {stage.name: scan.name for scan in scans for stage in scan.stages}
    lines = []
    for plan in study.sweeps:
        case = next(iter(plan.cases), plan)
        sweep = Sweep.of(study, case, given.sizes, given.ragged)
        how = (*settled(plan), *sweep.how(sweep.packed(given.inputs, given.sizes)))
        counts = [*map(len, plan.settled.values()), *sweep.counts(given.inputs).values()]
        counted = " x ".join(map(str, counts))
        again = f", at each step of `{steps[plan.name]}`" if plan.name in steps else ""
        lines.append(f"  {plan.name}, {counted or 'no'} members{again}:")
        lines += [f"    {line}" for line in how]
    if assumed:
        lines.append(f"  (the data cannot be read: {ASSUMED} stands for each size that it has)")
    return lines


def _supposed(study: CheckedStudy) -> Given:
    """What sweeps read, where nothing is known of the data."""
    symbols = {
        symbol
        for step in study.body.steps
        for axis in step.node.axes
        for symbol in sizes.symbols(axis.size)
    }
    given = Given({}, {}, dict.fromkeys(symbols, ASSUMED), ())
    for step in needed(study.body, study.body.results).steps:
        source = study.sources.get(step.node.name)
        if isinstance(source, SweepInput):
            values = source.values
            if values is None:
                values = tuple(map(float, range(sizes.evaluate(source.count, given.sizes))))
            given.inputs[address(step.node)] = torch.tensor(values)
    return given
