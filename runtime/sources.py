"""The data that a spec names, loaded once each, and the tensors that a study's inputs are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..dsl import sizes
from ..dsl import syntax as s
from ..dsl.core import DType
from ..dsl.diagnostics import Diagnostic, Slug, SpecError
from ..dsl.elaborate.study import data_options
from ..dsl.program import (
    ArgumentInput,
    DataPart,
    FieldInput,
    Source,
    StatisticInput,
    SweepInput,
    TextInput,
)
from ..dsl.signatures import declared_field
from ..dsl.sources import SIGNATURES, TOKENIZER
from .data import (
    ByteTokenizer,
    DataError,
    Dataset,
    load_data,
    load_tokenizer,
    ngram_bits,
    single_token,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ..dsl.core import Node
    from ..dsl.modules import Module
    from ..dsl.source import Span
    from .data import Tokenizer

TORCH = {DType.FLOAT: torch.float32, DType.INT: torch.int64, DType.BOOL: torch.bool}


@dataclass
class Library:
    """The data of one file. `root` is the folder below which files may be read."""

    module: Module
    root: Path
    seed: int = 0
    _loaded: dict[str, Dataset] = field(default_factory=dict)
    _statistics: dict[StatisticInput, float] = field(default_factory=dict)

    def dataset(self, name: str) -> Dataset:
        """The data set of that name, its held-out part aside. Raises SpecError."""
        if name not in self._loaded:
            tree = self._statement(name)
            fields = tuple(f for f in map(declared_field, tree.fields) if f is not None)
            tokenizers = {
                f.tokenizer: self.tokenizer(f.tokenizer) for f in fields if f.tokenizer is not None
            }
            assert isinstance(tree.value, s.Call) and isinstance(tree.value.target, s.Name)
            options = data_options(tree)
            for key, value in options.items():
                kind = {o.name: o.kind for o in SIGNATURES[tree.value.target.id].options}.get(key)
                if kind == "tokenizer" and isinstance(value, str):
                    tokenizers[value] = self.tokenizer(value)
            try:
                self._loaded[name] = load_data(
                    tree.value.target.id,
                    options,
                    self.root,
                    self.seed,
                    fields=fields,
                    tokenizers=tokenizers,
                )
            except DataError as error:
                raise self._said(error, tree.span) from None
        return self._loaded[name]

    def part(self, part: DataPart) -> Dataset:
        """The examples that a study reads: held out ones, if the data has them."""
        whole = self.dataset(part.name)
        held = whole.held if whole.held is not None and len(whole.held) else whole
        return held.pick(slice(part.start, part.stop))

    def tokenizer(self, name: str) -> Tokenizer:
        """The tokeniser of that name."""
        tree = self._statement(name)
        if (
            not isinstance(tree.value, s.Call)
            or not isinstance(tree.value.target, s.Name)
            or tree.value.target.id != TOKENIZER.name
        ):
            return ByteTokenizer()
        path = data_options(tree).get("#0") or data_options(tree).get("path")
        try:
            return load_tokenizer(str(path), self.root)
        except DataError as error:
            raise self._said(error, tree.span) from None

    def _statement(self, name: str) -> s.Data:
        found = self.module.find(name)
        assert found is not None and isinstance(found[0], s.Data), name
        return found[0]

    @staticmethod
    def _said(error: DataError, span: Span) -> SpecError:
        return SpecError([Diagnostic(error.slug, error.message, span, hint=error.hint)])

    # ---- inputs of studies

    def tensor(
        self, node: Node, source: Source, data: Dataset | None, device: str = "cpu"
    ) -> torch.Tensor:
        """The value of an input node, its axes in the node's order."""
        array = self._array(node, source, data)
        return torch.as_tensor(np.require(array, requirements="C")).to(
            device=device, dtype=TORCH[node.dtype]
        )

    def _array(self, node: Node, source: Source, data: Dataset | None) -> np.ndarray:  # type: ignore[type-arg]
        match source:
            case FieldInput(_, name):
                assert data is not None
                column = data[name]
                return column.values.transpose([column.axes.index(axis.name) for axis in node.axes])
            case SweepInput(_, _, values, count):
                if values is not None:
                    return np.asarray(values)
                return np.arange(sizes.evaluate(count, lengths(data)))
            case TextInput(text, name):
                return np.asarray(self._token(text, name, node))
            case StatisticInput():
                return np.asarray(self._statistic(source))
            case ArgumentInput(name, default):
                if default is None:
                    raise SpecError(
                        [Diagnostic(Slug.WRONG_ARGUMENTS, f"`{name}` is given no value", node.span)]
                    )
                return np.asarray(default)
        raise TypeError(source)

    def _token(self, text: str, name: str, node: Node) -> int:
        try:
            tokenizers = [
                f.tokenizer
                for f in map(declared_field, self._statement(name).fields)
                if f and f.tokenizer
            ]
            return single_token(
                self.tokenizer(tokenizers[0]) if tokenizers else ByteTokenizer(), text
            )
        except DataError as error:
            raise self._said(error, node.span) from None

    def _statistic(self, source: StatisticInput) -> float:
        if source not in self._statistics:
            whole = self.dataset(source.data)
            held = whole.held if whole.held is not None else whole
            n = int(dict(source.options)["n"])
            self._statistics[source] = ngram_bits(
                whole["tokens"].values, held["tokens"].values, n=n
            )
        return self._statistics[source]


def lengths(data: Dataset | None) -> dict[str, int]:
    """The sizes of a data set's axes, under the symbols that stand for them."""
    known: dict[str, int] = {}
    if data is not None:
        for name in data.columns:
            column = data[name]
            known.update(zip(column.axes, column.values.shape, strict=True))
    return known


def given(inputs: Mapping[str, Source], name: str) -> Source:
    """Where an input's value comes from."""
    return inputs[name]
