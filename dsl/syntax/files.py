"""A whole file."""

from __future__ import annotations

from dataclasses import dataclass

from .blocks import Block, Doc, Intervention, Unbuilt
from .studies import Calibrate, Data, Experiment, Train, Weights
from .tree import Tree


@dataclass(frozen=True, slots=True)
class Used(Tree):
    """`gpt as lm` in a `use`."""

    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class Use(Tree):
    """`use models.gpt2: gpt as lm`."""

    path: tuple[str, ...]
    names: tuple[Used, ...]


Statement = (
    Use | Block | Intervention | Data | Weights | Experiment | Train | Calibrate | Unbuilt | Doc
)


@dataclass(frozen=True, slots=True)
class Spec(Tree):
    """A whole file."""

    statements: tuple[Statement, ...]
