"""The shipped mappings: checkpoints that transformers saves give the numbers that it gives."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.runtime.model import SpecModel

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

CLOSE = 1e-4
TOKENS = torch.tensor(np.random.default_rng(0).integers(0, 50, size=(2, 11)))
IMAGES = torch.tensor(np.random.default_rng(0).normal(size=(2, 3, 32, 32)), dtype=torch.float32)
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": 50,
}
GROUPED = {**SMALL, "num_key_value_heads": 2}
WINDOWED = {**GROUPED, "sliding_window": 4, "head_dim": 8, "query_pre_attn_scalar": 12}
IMAGE = {"image_size": 32, "num_labels": 7}

FAR = {
    "rope_type": "llama3",
    "rope_theta": 50.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}

# by the name of our model: theirs, its config, and what that is given
CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "gpt2": [("GPT2LMHead", {"n_embd": 12, "n_layer": 3, "n_head": 3, "vocab_size": 50, "n_positions": 16})],
    "neox": [
        ("GPTNeoXForCausalLM", {**SMALL, "hidden_size": 64}),
        ("GPTNeoXForCausalLM", {**SMALL, "hidden_size": 64, "use_parallel_residual": False}),
    ],
    "llama": [
        ("LlamaForCausalLM", GROUPED),
        ("LlamaForCausalLM", {**GROUPED, "head_dim": 6, "tie_word_embeddings": True}),
        ("LlamaForCausalLM", {**GROUPED, "head_dim": 16, "rope_parameters": FAR}),
    ],
    "mistral": [
        ("MistralForCausalLM", {**GROUPED, "sliding_window": 4}),
        ("MistralForCausalLM", {**GROUPED, "sliding_window": None}),
    ],
    "qwen2": [("Qwen2ForCausalLM", {**GROUPED, "tie_word_embeddings": True})],
    "qwen3": [("Qwen3ForCausalLM", {**GROUPED, "head_dim": 8})],
    "gemma2": [("Gemma2ForCausalLM", {**WINDOWED, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0})],
    "gemma3": [("Gemma3ForCausalLM", {**WINDOWED, "num_hidden_layers": 7})],
    "mixtral": [("MixtralForCausalLM", {**GROUPED, "num_local_experts": 4})],
    "bert": [("BertModel", SMALL)],
    "vit": [("ViTForImageClassification", {**SMALL, **IMAGE, "patch_size": 8})],
    "resnet": [
        (
            "ResNetForImageClassification",
            {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [2, 2], "num_labels": 7, "layer_type": "basic"},
        )
    ],
}  # fmt: skip


def theirs(name: str, config: dict[str, Any]) -> torch.nn.Module:
    """Theirs, drawn so that no bias is 0, no norm does nothing and scores are not small."""
    made = getattr(transformers, {"GPT2LMHead": "GPT2LMHeadModel"}.get(name, name))
    kind = made.config_class
    if name == "Gemma3ForCausalLM":
        kind = transformers.Gemma3TextConfig
    torch.manual_seed(0)
    model = made(kind(**config, attn_implementation="eager")).eval()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point() and tensor.requires_grad:
                tensor.add_(torch.randn_like(tensor) * 0.3)
        for address, tensor in model.named_buffers():
            if address.endswith("running_var"):
                tensor.add_(0.5)
    return model  # type: ignore[no-any-return]  # transformers has no types


def ours(name: str, folder: Path) -> SpecModel:
    program = Program.from_text(
        f'use models.{name}: {name}\nweights w of {name} from "."\n', root=folder
    )
    return program.trained("w", folder=folder / "results")


@pytest.mark.parametrize(
    ("name", "made", "config"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
@torch.no_grad()
def test_what_transformers_saves_gives_its_numbers(
    name: str, made: str, config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = theirs(made, config)
    other.save_pretrained(tmp_path)
    given = IMAGES if name in ("vit", "resnet") else TOKENS
    wanted, found = other(given)[0], ours(name, tmp_path)(given)
    found = found[0] if isinstance(found, tuple) else found
    assert float(wanted.abs().max()) > 0.1
    assert (found - wanted).abs().max() < CLOSE
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_shards_of_halves_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    other = theirs("MixtralForCausalLM", {**GROUPED, "num_local_experts": 3}).to(dtype)
    other.save_pretrained(tmp_path, max_shard_size="8KB")
    assert len([*tmp_path.glob("model-*.safetensors")]) > 2
    wanted = other.float()(TOKENS).logits
    assert (ours("mixtral", tmp_path)(TOKENS) - wanted).abs().max() < CLOSE


def test_older_configs_are_read(tmp_path: Path) -> None:
    """As they were before positions had a table of their own, and experts a name."""
    other = theirs("LlamaForCausalLM", {**GROUPED, "rope_parameters": {**FAR, "rope_theta": 77.0}})
    other.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    scaling = config.pop("rope_parameters")
    config |= {"rope_theta": scaling.pop("rope_theta"), "rope_scaling": scaling}
    del config["head_dim"], config["tie_word_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with torch.no_grad():
        assert (ours("llama", tmp_path)(TOKENS) - other(TOKENS).logits).abs().max() < CLOSE


@pytest.mark.parametrize(
    ("name", "made", "change"),
    [
        ("llama", "LlamaForCausalLM", {"hidden_act": "gelu"}),
        ("llama", "LlamaForCausalLM", {"attention_bias": True}),
        ("llama", "LlamaForCausalLM", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
        ("mistral", "MistralForCausalLM", {"rope_scaling": {"type": "yarn"}}),
        ("qwen2", "Qwen2ForCausalLM", {"use_sliding_window": True}),
    ],
)
def test_what_a_mapping_is_not_for_is_said(
    name: str, made: str, change: dict[str, Any], tmp_path: Path
) -> None:
    theirs(made, GROUPED).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(SpecError, match="for other checkpoints than this one"):
        ours(name, tmp_path)


def test_a_tokeniser_stands_beside_its_checkpoint(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    theirs("LlamaForCausalLM", GROUPED).save_pretrained(tmp_path / "small")
    words = {word: at for at, word in enumerate(["one", "two", "three", "?"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="?"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "small" / "tokenizer.json"))
    (tmp_path / "texts.jsonl").write_text('{"tokens": "one two three"}\n{"tokens": "three"}\n')
    program = Program.from_text(READS, root=tmp_path)
    outcome = program.run("look", folder=tmp_path / "results")
    assert all(found.holds for found in outcome.expectations)


READS = """
use models.llama: llama

data tok = tokenizer("small")
data texts = jsonl("texts.jsonl"): tokens[t of b]: text(tok)

weights pretrained of llama from "small"

experiment look of llama with pretrained on texts:
    run whole = llama
    run cut = whole with layer[1].attn.z[h = 0] = 0
    last = max[b, t](texts.tokens)
    effect = max[b, vocab](abs(whole.logits[t = -1] - cut.logits[t = -1]))
    expect last == 2
    expect effect > 0
"""
