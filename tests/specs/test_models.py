"""The shipped models against transformers and torch, with small sizes and the same weights."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from neuraxis.dsl.elaborate.values import Known
from neuraxis.dsl.ops import ParamAttrs

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

RNG = np.random.default_rng(4)
TOKENS = RNG.integers(0, 50, size=(2, 9))
IMAGES = RNG.normal(size=(2, 3, 32, 32))


def close(found: Any, wanted: torch.Tensor) -> None:
    assert_allclose(found, wanted.detach().numpy(), rtol=1e-7, atol=1e-9)


def prepared(model: torch.nn.Module) -> tuple[torch.nn.Module, dict[str, np.ndarray[Any, Any]]]:
    """The model in float64 with all weights drawn, and its weights by name."""
    stream = torch.Generator().manual_seed(0)
    model = model.double().eval()
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=stream, dtype=torch.float64) / 4)
        for name, value in model.named_buffers():
            if name.endswith("running_var"):
                value.copy_(value.abs() + 0.5)
    return model, {name: value.numpy() for name, value in model.state_dict().items()}


def fill(run: Any, weights: dict[str, np.ndarray[Any, Any]]) -> None:
    """Put weights, by address, in the shapes that the spec gives them; none may be left out."""
    for table in (run.params, run.states):
        for address, old in table.items():
            table[address] = weights[address].reshape(old.shape)
    assert set(weights) == {*run.params, *run.states}


def affine(w: dict[str, Any], name: str) -> dict[str, Any]:
    """A torch Linear as a `linear`: the matrix transposed."""
    found = {"w": w[f"{name}.weight"].T}
    return found | ({"b": w[f"{name}.bias"]} if f"{name}.bias" in w else {})


def norm(w: dict[str, Any], name: str) -> dict[str, Any]:
    found = {"w": w[f"{name}.weight"]}
    return found | ({"b": w[f"{name}.bias"]} if f"{name}.bias" in w else {})


def flat(tree: dict[str, Any]) -> dict[str, Any]:
    """Nested names joined by dots; `layer[0]` and the like are names too."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": array for inner, array in flat(value).items()}
        else:
            found[name] = value
    return found


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gpt2", 124_439_808),
        ("neox", 162_322_944),
        ("llama", 1_100_048_384),
        ("mistral", 7_248_023_552),
        ("mixtral", 46_702_792_704),
        ("qwen2", 494_032_768),
        ("qwen3", 596_049_920),
        ("gemma2", 2_614_341_888),
        ("gemma3", 999_885_952),
        ("bert", 109_482_240),
        ("vit", 86_567_656),
        ("resnet", 11_689_512),
        ("lstm_lm", 4_653_200),
    ],
)
def test_published_numbers_of_parameters(published: Any, name: str, count: int) -> None:
    nodes = [step.node for step in published(name).body.steps]
    params = [node for node in nodes if isinstance(node.attrs, ParamAttrs)]
    assert sum(math.prod(axis.size for axis in node.axes) for node in params) == count


def test_gpt2(shipped: Any) -> None:
    config = transformers.GPT2Config(
        n_embd=12, n_layer=3, n_head=3, vocab_size=50, n_positions=16, attn_implementation="eager"
    )
    model, w = prepared(transformers.GPT2LMHeadModel(config))
    run = shipped("gpt2", sizes={"d": 12, "h": 3, "vocab": 50, "ctx": 16}, values=known(L=3))
    given = {
        "wte": w["transformer.wte.weight"],
        "wpe": w["transformer.wpe.weight"],
        "final": norm(w, "transformer.ln_f"),
    }
    for i in range(3):
        at = f"transformer.h.{i}"
        q, key, v = np.split(w[f"{at}.attn.c_attn.weight"], 3, axis=1)
        bq, bkey, bv = np.split(w[f"{at}.attn.c_attn.bias"], 3)
        given[f"layer[{i}]"] = {
            "layernorm": norm(w, f"{at}.ln_1"),
            "layernorm.2": norm(w, f"{at}.ln_2"),
            "attn.q": {"w": q, "b": bq},
            "attn.key": {"w": key, "b": bkey},
            "attn.v": {"w": v, "b": bv},
            "attn.out": norm(w, f"{at}.attn.c_proj"),
            "ffn.act": norm(w, f"{at}.mlp.c_fc"),
            "ffn.out": norm(w, f"{at}.mlp.c_proj"),
        }
    fill(run, flat(given))
    wanted = model(torch.tensor(TOKENS), output_attentions=True, output_hidden_states=True)
    close(run(TOKENS), wanted.logits)
    close(run.site("layer[1].attn.pattern", TOKENS).arranged("bhts"), wanted.attentions[1])
    close(run.site("layer[1].x", TOKENS).arranged("btd"), wanted.hidden_states[2])
    names = "attn.q attn.key attn.v attn.scores attn.pattern attn.z attn ffn.act ffn mid x"
    wanted_sites = {f"layer[{i}].{name}" for i in range(3) for name in names.split()}
    assert wanted_sites | {"final", "logits"} <= {*run.sites()}


def known(**values: Any) -> dict[str, Any]:
    return {name: Known(value) for name, value in values.items()}


@pytest.mark.parametrize("tied", [False, True])
def test_llama(shipped: Any, tied: bool) -> None:
    config = transformers.LlamaConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=20, vocab_size=50, rms_norm_eps=1e-6, tie_word_embeddings=tied,
        rope_theta=500.0,
    )  # fmt: skip
    model, w = prepared(transformers.LlamaForCausalLM(config))
    angles = {"model.rotary_emb.inv_freq": 500.0 ** -(torch.arange(2).double() / 2)}
    for name, value in model.named_buffers():
        if name in angles:
            value.copy_(angles[name])
    run = shipped(
        "llama", sizes={"d": 16, "h": 4, "g": 2, "vocab": 50, "m": 20},
        values=known(L=2, eps=1e-6, base=500.0, tied=tied),
    )  # fmt: skip
    given = {"wte": w["model.embed_tokens.weight"], "final": norm(w, "model.norm")}
    if not tied:
        given["logits"] = affine(w, "lm_head")
    for i in range(2):
        at = f"model.layers.{i}"
        given[f"layer[{i}]"] = {
            "rmsnorm": norm(w, f"{at}.input_layernorm"),
            "rmsnorm.2": norm(w, f"{at}.post_attention_layernorm"),
            "attn.q": affine(w, f"{at}.self_attn.q_proj"),
            "attn.key": affine(w, f"{at}.self_attn.k_proj"),
            "attn.v": affine(w, f"{at}.self_attn.v_proj"),
            "attn.out": affine(w, f"{at}.self_attn.o_proj"),
            "ffn.act": affine(w, f"{at}.mlp.gate_proj"),
            "ffn.up": affine(w, f"{at}.mlp.up_proj"),
            "ffn.out": affine(w, f"{at}.mlp.down_proj"),
        }
    fill(run, flat(given))
    found, wanted = run(TOKENS), model(torch.tensor(TOKENS)).logits.detach().numpy()
    assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)  # transformers rotates in float32


@pytest.mark.parametrize("kinds", [False, True])
def test_bert(shipped: Any, kinds: bool) -> None:
    config = transformers.BertConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, vocab_size=50,
        intermediate_size=20, max_position_embeddings=16,
    )  # fmt: skip
    model, w = prepared(transformers.BertModel(config))
    run = shipped(
        "bert", sizes={"d": 12, "h": 3, "vocab": 50, "ctx": 16, "m": 20}, values=known(L=2),
        inputs=frozenset({"kind"}) if kinds else frozenset(),
    )  # fmt: skip
    given = {
        "wte": w["embeddings.word_embeddings.weight"],
        "wpe": w["embeddings.position_embeddings.weight"],
        "wke": w["embeddings.token_type_embeddings.weight"],
        "x": norm(w, "embeddings.LayerNorm"),
        "pooled": affine(w, "pooler.dense"),
    }
    for i in range(2):
        at = f"encoder.layer.{i}"
        given[f"layer[{i}]"] = {
            "attn.q": affine(w, f"{at}.attention.self.query"),
            "attn.key": affine(w, f"{at}.attention.self.key"),
            "attn.v": affine(w, f"{at}.attention.self.value"),
            "attn.out": affine(w, f"{at}.attention.output.dense"),
            "mid": norm(w, f"{at}.attention.output.LayerNorm"),
            "ffn.act": affine(w, f"{at}.intermediate.dense"),
            "ffn.out": affine(w, f"{at}.output.dense"),
            "x": norm(w, f"{at}.output.LayerNorm"),
        }
    fill(run, flat(given))
    kind = RNG.integers(0, 2, size=TOKENS.shape)
    wanted = model(torch.tensor(TOKENS), token_type_ids=torch.tensor(kind) if kinds else None)
    hidden, pooled, sentence = run(TOKENS, kind) if kinds else run(TOKENS)
    close(hidden, wanted.last_hidden_state)
    close(pooled, wanted.pooler_output)
    mean = wanted.last_hidden_state.mean(1)
    assert_allclose(sentence, torch.nn.functional.normalize(mean, dim=-1).detach(), rtol=1e-5)


def test_vit(shipped: Any) -> None:
    config = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20,
        image_size=32, patch_size=8, num_labels=7,
    )  # fmt: skip
    model, w = prepared(transformers.ViTForImageClassification(config))
    run = shipped(
        "vit", sizes={"i": 32, "j": 32, "d": 12, "h": 3, "m": 20, "classes": 7},
        values=known(L=2, patch=8),
    )  # fmt: skip
    given = {
        "cls": w["vit.embeddings.cls_token"],
        "wpe": w["vit.embeddings.position_embeddings"],
        "patches": norm(w, "vit.embeddings.patch_embeddings.projection"),
        "final": norm(w, "vit.layernorm"),
        "logits": affine(w, "classifier"),
    }
    for i in range(2):
        at = f"vit.layers.{i}"
        given[f"layer[{i}]"] = {
            "layernorm": norm(w, f"{at}.layernorm_before"),
            "layernorm.2": norm(w, f"{at}.layernorm_after"),
            "attn.q": affine(w, f"{at}.attention.q_proj"),
            "attn.key": affine(w, f"{at}.attention.k_proj"),
            "attn.v": affine(w, f"{at}.attention.v_proj"),
            "attn.out": affine(w, f"{at}.attention.o_proj"),
            "ffn.act": affine(w, f"{at}.mlp.fc1"),
            "ffn.out": affine(w, f"{at}.mlp.fc2"),
        }
    fill(run, flat(given))
    close(run(IMAGES), model(torch.tensor(IMAGES)).logits)


def test_resnet(shipped: Any) -> None:
    config = transformers.ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8, 16], depths=[2, 2, 2], layer_type="basic",
        num_labels=7,
    )  # fmt: skip
    model, w = prepared(transformers.ResNetForImageClassification(config))
    run = shipped("resnet", sizes={"o": 4, "classes": 7}, values=known(stages=3))
    given: dict[str, Any] = {"logits": affine(w, "classifier.1")}

    def convolved(at: str, conv: str, norm_at: str) -> dict[str, Any]:
        return {
            f"{conv}.w": w[f"{at}.convolution.weight"],
            f"{norm_at}.w": w[f"{at}.normalization.weight"],
            f"{norm_at}.b": w[f"{at}.normalization.bias"],
            f"{norm_at}.center": w[f"{at}.normalization.running_mean"],
            f"{norm_at}.spread": w[f"{at}.normalization.running_var"],
        }

    given |= convolved("resnet.embedder.embedder", "conv1", "act")
    for stage in range(3):
        for i in range(2):
            at, here = (
                f"resnet.encoder.stages.{stage}.layers.{i}",
                f"stage[{stage}].layer[{i}].made",
            )
            given |= convolved(f"{at}.layer.0", f"{here}.conv1", f"{here}.act")
            given |= convolved(f"{at}.layer.1", f"{here}.conv2", f"{here}.norm")
            if f"{at}.shortcut.convolution.weight" in w:
                given |= convolved(f"{at}.shortcut", f"{here}.conv3", f"{here}.short")
    fill(run, flat(given))
    close(run(IMAGES), model(torch.tensor(IMAGES)).logits)


def test_lstm_lm(shipped: Any) -> None:
    run = shipped("lstm_lm", sizes={"d": 6, "vocab": 50})
    w = {address: torch.tensor(array) for address, array in run.params.items()}
    model = torch.nn.LSTM(6, 6, 2, batch_first=True).double()
    for i in range(2):
        at = f"layer[{i}].rnn"
        given = {
            f"weight_ih_l{i}": w[f"{at}.seen.w"].flatten(1).T,
            f"weight_hh_l{i}": w[f"{at}.kept.w"].flatten(1).T,
            f"bias_ih_l{i}": w[f"{at}.seen.b"].flatten(),
            f"bias_hh_l{i}": w[f"{at}.kept.b"].flatten(),
        }
        model.load_state_dict(given, strict=False)
    hidden = model(w["seen.w"][torch.tensor(TOKENS)])[0]
    close(run(TOKENS), hidden @ w["logits.w"] + w["logits.b"])
