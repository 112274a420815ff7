"""What an experiment runs before the rest is computed: sweeps, runs that decode, and scans, whose
steps run what is in them again."""

from __future__ import annotations

from dataclasses import replace
from shutil import rmtree
from typing import TYPE_CHECKING

import torch

from ..dsl import sizes
from ..dsl.core import names
from ..dsl.program import ScanInput, ScanOutput, SweepOutput
from ..dsl.stages import DecodePlan, SweepPlan
from .decoding.runs import decode_run
from .lowering import address, lower
from .scanning import Steps, ordered
from .sources import TORCH
from .sweeps import Members, Running, Sweep, Work, run_work, settled

if TYPE_CHECKING:
    from pathlib import Path

    import xarray
    from torch import nn

    from ..dsl.core import Node
    from ..dsl.program import CheckedStudy, Source
    from ..dsl.stages import ScanPlan, Stage
    from .sources import Given, Library


class Stages:
    """Runs stages of a study on what is `given`, to which what they make is added. What was made
    ready for one in a scan is kept, for it runs again. `lines` say how sweeps were run."""

    def __init__(
        self,
        study: CheckedStudy,
        given: Given,
        shared: nn.Module,
        library: Library,
        *,
        seed: int,
        how: Running,
    ) -> None:
        self.study, self.given, self.shared, self.library = study, given, shared, library
        self.seed, self.how = seed, how
        self.lines: dict[str, tuple[str, ...]] = {}
        nodes = {step.node.name: step.node for step in study.body.steps}
        self._nodes = nodes
        self._inputs = {s: nodes[n] for n, s in study.sources.items() if n in nodes}
        self._works: dict[str, Work] = {}
        self._turning = False  # whether what is run at present is run again
        self._steps: dict[tuple[str, ...], Steps] = {}  # by what a step gives
        self._begun: set[Path] = set()  # the folders of steps

    def input(self, source: Source) -> Node | None:
        """The input of the study that something comes in by, if it is read."""
        return self._inputs.get(source)

    def sweep(self, plan: SweepPlan) -> Members:
        """Run a sweep."""
        found = self._cases(plan) if plan.cases else self._members(plan)
        self.lines[plan.name] = found.how
        self._put(SweepOutput(plan.name), found.values, found.axes)
        return found

    def _cases(self, plan: SweepPlan) -> Members:
        """What each case of a sweep gives, side by side along the variables that are settled."""
        outer, found = self.how, list[Members]()
        for chosen, case in zip(plan.choices, plan.cases, strict=True):
            places = [f"{axis}={plan.settled[axis].index(chosen[axis])}" for axis in chosen]
            folder = outer.folder and outer.folder / ",".join(places)
            self.how = replace(outer, folder=folder)
            found.append(self._members(case))
        self.how = outer
        counts = [len(values) for values in plan.settled.values()]
        values = torch.stack([members.values for members in found])
        axes = (*plan.settled, *found[0].axes)
        order = (*plan.variables, *(axis for axis in axes if axis not in plan.variables))
        values = ordered(values.reshape(*counts, *values.shape[1:]), axes, order)
        return Members(order, values, (*settled(plan), *found[0].how))

    def _members(self, plan: SweepPlan) -> Members:
        given = self.given
        if plan.result not in self._works:
            sweep = Sweep.of(self.study, plan, given.sizes, given.ragged)
            self._works[plan.result] = Work(
                sweep,
                given.inputs,
                given.sizes,
                self.shared,
                seed=self.seed,
                memory=self.how.memory,
            )
        found = run_work(self._works[plan.result].on(given.inputs), self.how)
        if not self._turning:  # its code, and the parameters that were drawn for it, go
            del self._works[plan.result]
        return found

    def decode(self, plan: DecodePlan) -> tuple[Node, dict[str, xarray.DataArray]]:
        """Run what decodes: the node of its tokens, and the tokens and their text."""
        how = (self.study, self.given, self.shared, self.library)
        return decode_run(plan, *how, seed=self.seed, how=self.how)

    def scan(self, plan: ScanPlan) -> None:
        """Run the steps of a scan, one after another."""
        carries = self._begin(plan)
        if plan.results not in self._steps:
            steps = Steps(self.study, plan, self.given, self.shared, self.seed)
            self._steps[plan.results] = steps
        steps = self._steps[plan.results].begun(self.given.inputs)
        found: dict[str, list[torch.Tensor]] = {name: [] for name, _ in plan.made}
        outer, turning = self.how, self._turning
        self._turning = True
        self._clear(plan)
        for at in range(sizes.evaluate(plan.count, self.given.sizes)):
            self._put(ScanInput(plan.name, plan.name), torch.tensor(at), ())
            for node, value in carries.items():
                self.given.inputs[address(self._nodes[node])] = value
            folder = outer.folder and outer.folder / f"{plan.name}={at}"
            self.how = replace(outer, folder=folder)
            for stage in plan.stages:
                self._stage(stage)
            values = steps(self.given.inputs)
            carries = {node: values[new] for node, _, new in plan.carries}
            for name, node in plan.made:
                found[name].append(values[node])
        self.how, self._turning = outer, turning
        for name, node in plan.made:
            axes = (plan.name, *names(self._nodes[node].axes))
            self._put(ScanOutput(plan.name, name), torch.stack(found[name]), axes)

    def _clear(self, plan: ScanPlan) -> None:
        """Remove what steps of another time kept of their sweeps, unless they are gone on from."""
        folder = self.how.folder
        if folder is None or self.how.resume or folder / plan.name in self._begun:
            return
        self._begun.add(folder / plan.name)
        for old in folder.glob(f"{plan.name}=*"):
            rmtree(old)

    def _begin(self, plan: ScanPlan) -> dict[str, torch.Tensor]:
        """What is carried into the first step, by the node that it comes in by."""
        wanted = tuple(dict.fromkeys(begin for _, begin, _ in plan.carries))
        if not wanted:
            return {}
        lowered = lower(self.study, wanted, self.shared, ragged=self.given.ragged, seed=self.seed)
        with torch.no_grad():
            values = dict(zip(wanted, lowered(self.given.inputs), strict=True))
        axes = dict(zip(wanted, (names(node.axes) for node in lowered.results), strict=True))
        return {
            node: ordered(values[begin], axes[begin], names(self._nodes[node].axes))
            for node, begin, _ in plan.carries
        }

    def _stage(self, stage: Stage) -> None:
        match stage:
            case SweepPlan():
                self.sweep(stage)
            case DecodePlan():
                self.decode(stage)
            case _:
                self.scan(stage)

    def _put(self, source: Source, value: torch.Tensor, axes: tuple[str, ...]) -> None:
        """Give the study what was made."""
        node = self._inputs.get(source)
        if node is None:
            return
        device = next((part.device for part in self.shared.parameters()), torch.device("cpu"))
        placed = ordered(value, axes, names(node.axes)).to(device, TORCH[node.dtype])
        self.given.inputs[address(node)] = placed
