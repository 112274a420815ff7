"""Checkpoints: all that a training needs to go on as if it had never stopped, as safetensors.

Random numbers are keyed by seed, address and call, and a call is a step: no generator is kept.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open

from ...dsl.diagnostics import Diagnostic, Note, Slug, SpecError
from ..data import Cursor
from ..weights import save_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ...dsl.source import Span

FORMAT: Final = 2
KEY: Final = "neuraxis"
LAST: Final = "last.safetensors"
KEPT: Final = "step-*.safetensors"
BEFORE: Final = "before"  # the folder for what an earlier training left

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A training after `step` steps. `optimiser` is by address, `history` as `History` gives it;
    `phase` is the number of the phase that it is in, and the step with which that began."""

    step: int
    phase: tuple[int, int]
    cursor: Cursor
    fingerprint: Mapping[str, str]
    parameters: Tensors
    optimiser: dict[str, Any]
    history: Tensors


@dataclass(frozen=True, slots=True)
class Folder:
    """The checkpoints of one training: the last, and those kept; `span` is for messages."""

    path: Path
    span: Span

    def save(self, checkpoint: Checkpoint, *, keep: bool = False) -> None:
        """Write a checkpoint: as the last, or as one that is kept."""
        tensors: Tensors = {}
        about = {
            "format": FORMAT,
            "step": checkpoint.step,
            "phase": checkpoint.phase,
            "cursor": [checkpoint.cursor.epoch, checkpoint.cursor.batch],
            "fingerprint": dict(checkpoint.fingerprint),
            "optimiser": _packed(checkpoint.optimiser, "optimiser", tensors),
        }
        for part, held in (("parameters", checkpoint.parameters), ("history", checkpoint.history)):
            tensors |= {f"{part}/{name}": tensor for name, tensor in held.items()}
        name = kept_as(checkpoint.step) if keep else LAST
        save_weights(self.path / name, tensors, about={KEY: json.dumps(about)})

    def latest(self, fingerprint: Mapping[str, str]) -> Checkpoint | None:
        """The one with most steps, if there is one; SpecError if it is of another training."""
        files = [*self.path.glob(LAST), *self.path.glob(KEPT)]
        if not files:
            return None
        newest = max(files, key=lambda file: int(self._described(file)["step"]))
        about = self._described(newest)
        differ = [
            part for part in fingerprint if about["fingerprint"].get(part) != fingerprint[part]
        ]
        if differ:
            raise self._other(newest, differ)
        return self._read(newest, about)

    def set_aside(self) -> None:
        """Move what an earlier training left into a folder of its own, where one such is kept."""
        found = [*self.path.glob(KEPT), *self.path.glob(LAST)]
        aside = self.path / BEFORE
        for old in aside.glob("*.safetensors") if found else ():
            old.unlink()
        for file in found:
            aside.mkdir(exist_ok=True)
            file.replace(aside / file.name)

    def _described(self, file: Path) -> dict[str, Any]:
        try:
            return _about(file)
        except ValueError as error:
            hint = "without `--resume` the training starts anew"
            message = f'the checkpoint "{file.name}" cannot be read: {error}'
            found = Diagnostic(Slug.BAD_FILE, message, self.span, hint=hint)
            raise SpecError([found]) from None

    def _read(self, file: Path, about: Mapping[str, Any]) -> Checkpoint:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118  # no dict
        return Checkpoint(
            int(about["step"]),
            (int(about["phase"][0]), int(about["phase"][1])),
            Cursor(*about["cursor"]),
            about["fingerprint"],
            _part("parameters", tensors),
            _unpacked(about["optimiser"], tensors),
            _part("history", tensors),
        )

    def _other(self, file: Path, differ: list[str]) -> SpecError:
        names = {"spec": "another spec", "data": "other data", "seed": "another seed"}
        names["weights"] = "other weights of its runs"
        what = " and ".join(names.get(part, part) for part in differ)
        message = f'the checkpoint "{file.name}" was written with {what}'
        notes = (Note("only the very same training can be taken up where it was left"),)
        hint = "without `--resume` the training starts anew"
        found = Diagnostic(Slug.BAD_FILE, message, self.span, notes=notes, hint=hint)
        return SpecError([found])


def kept_as(step: int) -> str:
    """The name of the file of a checkpoint that is kept."""
    return KEPT.replace("*", f"{step:06}")


def read_parameters(file: Path) -> Tensors:
    """The parameters and states of a checkpoint by address; ValueError if it is none."""
    _about(file)
    with safe_open(file, framework="pt") as opened:
        names = [name for name in opened.keys() if name.startswith("parameters/")]  # noqa: SIM118  # no dict
        return {name.removeprefix("parameters/"): opened.get_tensor(name) for name in names}


def _about(file: Path) -> dict[str, Any]:
    try:
        with safe_open(file, framework="pt") as opened:
            text = (opened.metadata() or {}).get(KEY)
    except (SafetensorError, OSError) as error:
        raise ValueError(str(error)) from None
    about = json.loads(text) if text is not None else None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError("it is none of this version's checkpoints")
    return about


def _part(part: str, tensors: Tensors) -> Tensors:
    start = f"{part}/"
    return {n.removeprefix(start): t for n, t in tensors.items() if n.startswith(start)}


def _packed(value: object, name: str, tensors: Tensors) -> object:
    """Something nested as JSON, its tensors put aside by name."""
    match value:
        case torch.Tensor():
            tensors[name] = value.detach()
            return {"tensor": name}
        case dict():
            items = [
                (str(key), _packed(item, f"{name}/{key}", tensors)) for key, item in value.items()
            ]
            return {"items": dict(items)}
        case list() | tuple():
            return [_packed(item, f"{name}/{at}", tensors) for at, item in enumerate(value)]
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"{name} is a {type(value).__name__}")


def _unpacked(value: Any, tensors: Tensors) -> Any:
    match value:
        case {"tensor": str(name)}:
            return tensors[name]
        case {"items": dict(items)}:
            return {key: _unpacked(item, tensors) for key, item in items.items()}
        case list():
            return [_unpacked(item, tensors) for item in value]
    return value
