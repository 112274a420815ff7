"""The data that a spec names, loaded once each, and what a study reads of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..dsl import sizes
from ..dsl import syntax as s
from ..dsl.core import DType
from ..dsl.diagnostics import Slug, SpecError
from ..dsl.elaborate.datasets import data_options
from ..dsl.program import (
    ArgumentInput,
    DataPart,
    FieldInput,
    MadeInput,
    StatisticInput,
    StatisticsInput,
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
from .lowering import address, needed
from .mistakes import mistake
from .ragged import check_limits, lengths_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from ..dsl.core import Node
    from ..dsl.modules import Module
    from ..dsl.program import CheckedStudy, Source
    from ..dsl.source import Span
    from .data import Tokenizer

TORCH = {DType.FLOAT: torch.float32, DType.INT: torch.int64, DType.BOOL: torch.bool}


@dataclass
class Given:
    """What a study reads: tensors by address (`sources` says where each comes from), the run-time
    sizes by symbol, and the axes along which examples have lengths of their own."""

    inputs: dict[str, torch.Tensor]
    sources: dict[str, Source]
    sizes: dict[str, int]
    ragged: tuple[str, ...]


@dataclass
class Library:
    """The data of one file. `root` is the folder below which files may be read."""

    module: Module
    root: Path
    seed: int = 0
    _loaded: dict[str, Dataset] = field(default_factory=dict)
    statistics: dict[StatisticsInput, NDArray[Any]] = field(default_factory=dict)
    _statistics: dict[StatisticInput, float] = field(default_factory=dict)

    def dataset(self, name: str) -> Dataset:
        """The data set of that name, its held-out part aside. Raises SpecError."""
        if name not in self._loaded:
            tree = self._statement(name)
            fields = tuple(f for f in map(declared_field, tree.fields) if f is not None)
            tokenizers = {used: self.tokenizer(used) for used in _tokenizers(tree)}
            try:
                self._loaded[name] = load_data(
                    _source(tree),
                    data_options(tree),
                    self.root,
                    self.seed,
                    fields=fields,
                    tokenizers=tokenizers,
                )
            except DataError as error:
                raise _said(error, tree.span) from None
        return self._loaded[name]

    def part(self, part: DataPart) -> Dataset:
        """The examples that a study reads: held out ones, if the data has them."""
        whole = self.dataset(part.name)
        held = whole.held if whole.held is not None and len(whole.held) else whole
        return held.pick(slice(part.start, part.stop))

    def lessons(self, part: DataPart) -> Dataset:
        """The examples that a training learns from; what is held back is whole beside them."""
        whole = self.dataset(part.name)
        return Dataset(whole.pick(slice(part.start, part.stop)).columns, whole.held)

    def tokenizer(self, name: str) -> Tokenizer:
        """The tokeniser of that name."""
        tree = self._statement(name)
        if _source(tree) != TOKENIZER.name:
            return ByteTokenizer()
        path = data_options(tree).get("#0") or data_options(tree).get("path")
        try:
            return load_tokenizer(str(path), self.root)
        except DataError as error:
            raise _said(error, tree.span) from None

    def _statement(self, name: str) -> s.Data:
        found = self.module.find(name)
        assert found is not None, name
        assert isinstance(found[0], s.Data), name
        return found[0]

    # ---- inputs of studies

    def given(self, study: CheckedStudy, device: torch.device | str = "cpu") -> Given:
        """Everything that an experiment reads, but for what it makes itself."""
        read = read_by(study)
        own = study.data
        parts = {
            source.data: self.part(
                own if own is not None and own.name == source.data else DataPart(source.data)
            )
            for _, source in read
            if isinstance(source, FieldInput)
        }
        sizes_ = {axis: size for part in parts.values() for axis, size in sizes_of(part).items()}
        lengths = lengths_of(read, parts)
        check_limits(study.limits, sizes_, lengths)
        found = Given({}, {}, sizes_, tuple(lengths))
        for node, source in read:
            found.sources[address(node)] = source
            if isinstance(source, FieldInput):
                found.inputs[address(node)] = _tensor(_field(node, source, parts), node, device)
            elif not isinstance(source, MadeInput):
                found.inputs[address(node)] = self.tensor(node, source, sizes_, device)
        for axis, counts in lengths.items():
            found.inputs[f"lengths.{axis}"] = torch.as_tensor(counts).to(device)
        return found

    def tensor(
        self,
        node: Node,
        source: Source,
        known: Mapping[str, int],
        device: torch.device | str = "cpu",
    ) -> torch.Tensor:
        """The value of an input that is no field of the data. `known` are run-time sizes."""
        array: ArrayLike
        match source:
            case SweepInput(_, _, values, count):
                array = np.arange(sizes.evaluate(count, known)) if values is None else values
            case TextInput(text, name):
                array = self._token(text, name, node)
            case StatisticsInput():
                array = self.statistics[source]
            case StatisticInput():
                array = self._statistic(source)
            case ArgumentInput(name, default):
                if default is None:
                    message = f"`{name}` is given no value"
                    raise mistake(Slug.WRONG_ARGUMENTS, message, node.span)
                array = default
            case _:
                raise TypeError(source)
        return _tensor(np.asarray(array), node, device)

    def reader(self, data: str) -> Tokenizer:
        """What turns the text of a data set into tokens and back: its tokeniser, or bytes; bytes
        without data."""
        if not data:
            return ByteTokenizer()
        tokenizers = _tokenizers(self._statement(data))
        return self.tokenizer(tokenizers[0]) if tokenizers else ByteTokenizer()

    def _token(self, text: str, name: str, node: Node) -> int:
        try:
            return single_token(self.reader(name), text)
        except DataError as error:
            raise _said(error, node.span) from None

    def _statistic(self, source: StatisticInput) -> float:
        if source not in self._statistics:
            whole = self.dataset(source.data)
            held = whole.held if whole.held is not None else whole
            n = int(dict(source.options)["n"])
            self._statistics[source] = ngram_bits(
                whole["tokens"].values, held["tokens"].values, n=n
            )
        return self._statistics[source]


def read_by(study: CheckedStudy) -> list[tuple[Node, Source]]:
    """The inputs that the results of a study need, and what it decodes from."""
    read = [name for plan in study.decodes for name in plan.reads]
    nodes = [step.node for step in needed(study.body, (*study.body.results, *read)).steps]
    return [(node, study.sources[node.name]) for node in nodes if node.name in study.sources]


def _source(tree: s.Data) -> str:
    """The source that a data statement calls."""
    assert isinstance(tree.value, s.Call)
    assert isinstance(tree.value.target, s.Name)
    return tree.value.target.id


def _tokenizers(tree: s.Data) -> list[str]:
    """The tokenisers that a data statement names, in fields or as an option."""
    named = [f.tokenizer for f in map(declared_field, tree.fields) if f is not None]
    signature = SIGNATURES.get(_source(tree))
    kinds = {o.name: o.kind for o in signature.options} if signature is not None else {}
    options = data_options(tree)
    named += [str(value) for key, value in options.items() if kinds.get(key) == "tokenizer"]
    return list(dict.fromkeys(name for name in named if name is not None))


def _field(node: Node, source: FieldInput, parts: Mapping[str, Dataset]) -> NDArray[np.generic]:
    column = parts[source.data][source.field]
    return column.values.transpose([column.axes.index(axis.name) for axis in node.axes])


def _tensor(array: NDArray[np.generic], node: Node, device: torch.device | str) -> torch.Tensor:
    """An input's value, its axes in the node's order."""
    found = torch.as_tensor(np.require(array, requirements="C"))
    return found.to(device=device, dtype=TORCH[node.dtype])


def _said(error: DataError, span: Span) -> SpecError:
    return mistake(error.slug, error.message, span, hint=error.hint)
