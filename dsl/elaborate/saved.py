"""What a study was, to go back to when a way of reading a part of it did not work out."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .scope import Scope
    from .study import Study

TABLES = (list, dict, set)


class Saved:
    """The program of a study so far, and what is known of it. Models that were made are kept."""

    def __init__(self, study: Study, scope: Scope) -> None:
        root = scope.builder.root
        self._count, self._root = len(root.steps), root
        riding = scope.frame.riding
        held = (study.sources, study.stages, study.updates, scope.names, scope.axes, riding)
        shared = [value for value in vars(study.ctx).values() if isinstance(value, TABLES)]
        self._tables: list[tuple[Any, Any]] = [(t, copy(t)) for t in (*held, *shared)]
        self._declared = {label: dict(found) for label, found in study.declared.items()}
        self._study, self._beside, self._model = study, study.beside, study.model

    def back(self) -> None:
        """Make the study what it was."""
        for step in self._root.steps[self._count :]:
            del self._root.place[step.node.name]
        del self._root.steps[self._count :]
        for table, before in self._tables:
            table.clear()
            if isinstance(table, list):
                table.extend(before)
            else:
                table.update(before)
        self._study.declared = self._declared
        self._study.beside, self._study.model = self._beside, self._model
