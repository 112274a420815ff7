"""Parts of a sweep on the workers of a Ray cluster, or of this machine.

Each worker gets the study, its inputs and its weights once, and makes its own code of them. A
worker that dies is started again, and what it was doing is done again: parts have no memory.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ...dsl.diagnostics import Slug
from ..mistakes import mistake
from .work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .members import Box
    from .sweep import Sweep

AHEAD = 2  # parts that wait at each worker, so that none waits for us


def on_ray(work: Work, boxes: Sequence[Box]) -> Iterator[tuple[Box, torch.Tensor]]:
    """The parts as they are done. Raises SpecError where Ray is not installed."""
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        hint = "pip install neuraxis[ray]"
        raise mistake(Slug.UNKNOWN_OPTION, "Ray is not installed here", hint=hint) from None
    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False, logging_level="error")
    waiting = list(reversed(boxes))
    under_way: dict[Any, tuple[Box, Any]] = {}
    sent = ray.put(Task.of(work))  # held here, for workers that are started again
    for member in crew(ray, sent, len(boxes)) * AHEAD:
        if waiting:
            box = waiting.pop()
            under_way[member.part.remote(box)] = box, member
    while under_way:
        done, _ = ray.wait(list(under_way), num_returns=1)
        box, member = under_way.pop(done[0])
        if waiting:
            following = waiting.pop()
            under_way[member.part.remote(following)] = following, member
        yield box, torch.from_numpy(ray.get(done[0]).copy())


def crew(ray: Any, sent: Any, most: int) -> list[Any]:
    """A worker for each processor of the cluster, but no more than so many, for a task that was
    sent."""
    worker = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=-1)(Worker)
    count = max(int(ray.cluster_resources().get("CPU", 1)), 1)
    return [worker.remote(sent) for _ in range(min(most, count))]


class Task:
    """A sweep with all that it reads, as it is sent: `boxes` are its parts."""

    def __init__(
        self,
        sweep: Sweep,
        inputs: Mapping[str, Any],
        known: Mapping[str, int],
        weights: Mapping[str, Any],
        options: Mapping[str, int],
        boxes: tuple[Box, ...],
    ) -> None:
        self.sweep, self.inputs, self.known, self.weights = sweep, inputs, known, weights
        self.options, self.boxes = options, boxes

    @classmethod
    def of(cls, work: Work) -> Task:
        """What a worker needs to do parts of this."""
        return cls(
            work.sweep,
            {name: tensor.cpu().numpy() for name, tensor in work.inputs.items()},
            dict(work.known),
            {name: tensor.detach().cpu().numpy() for name, tensor in work.weights()},
            {"seed": work.seed, "memory": work.memory},
            work.boxes,
        )

    def work(self) -> Work:
        """The same sweep, made ready here."""
        made = Work(
            self.sweep,
            {name: torch.tensor(array) for name, array in self.inputs.items()},
            self.known,
            _module({name: torch.tensor(array) for name, array in self.weights.items()}),
            seed=self.options["seed"],
            memory=self.options["memory"],
        )
        made.boxes = self.boxes
        return made


class Worker:
    """What runs on a worker: made once, asked for part after part."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(1)
        self.work = task.work()

    def process(self) -> int:
        """The number of its process."""
        return os.getpid()

    def part(self, box: Box) -> Any:
        """The values of a part."""
        return self.work.part(box).contiguous().numpy()


def _module(weights: Mapping[str, torch.Tensor]) -> nn.Module:
    """Parameters by the names under which modules hold them."""
    top = nn.Module()
    for name, tensor in weights.items():
        *path, last = name.split(".")
        at = top
        for part in path:
            if part not in at._modules:
                at._modules[part] = nn.Module()
            at = at._modules[part]  # type: ignore[assignment]  # none is None
        at._parameters[last] = nn.Parameter(tensor, requires_grad=False)
    return top
