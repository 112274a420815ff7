"""Checkpoints of transformers in our models: the same logits and gradients, in float32.

`bench/parity.py` does the same at full size, and compares time and memory too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from neuraxis.runtime.program import Program
from neuraxis.runtime.weights import read_weights

if TYPE_CHECKING:
    from pathlib import Path

    Pair = tuple[torch.nn.Module, torch.nn.Module, Program]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

TOKENS = torch.randint(0, 90, (2, 11), generator=torch.Generator().manual_seed(1))


def far(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, relative to the largest number wanted."""
    found, wanted = found.detach(), wanted.detach()
    return float((found - wanted).abs().max() / wanted.abs().max().clamp_min(1e-30))


def loss(logits: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), TOKENS[:, 1:].flatten())


def drawn(model: torch.nn.Module) -> torch.nn.Module:
    """All of its parameters drawn, so that no bias is 0 and no scale is 1."""
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in model.named_parameters():
            centre = 1.0 if "ln_" in name or "norm" in name else 0.0
            spread = torch.randn(value.shape, generator=stream)
            value.copy_((centre if name.endswith("weight") else 0.0) + spread * 0.1)
    return model.eval()


def loaded(theirs: torch.nn.Module, name: str, root: Path) -> Pair:
    """A model of transformers, and ours with its weights, by way of a checkpoint."""
    save_file(held(theirs), root / "model.safetensors")
    theirs.config.save_pretrained(root)  # type: ignore[union-attr,operator]  # has one
    text = f'use models.{name}: {name}\nweights pretrained of {name} from "."\n'
    program = Program.from_text(text, root=root)
    return theirs, program.trained("pretrained"), program


def held(model: torch.nn.Module, *, gradients: bool = False) -> dict[str, torch.Tensor]:
    """What a checkpoint holds, or the gradients by the same names; a tied matrix once."""
    named = dict(model.named_parameters())
    return {n: (v.grad if gradients else v.detach()) for n, v in named.items()}  # type: ignore[misc]


@pytest.fixture
def gpt2(tmp_path: Path) -> Pair:
    config = transformers.GPT2Config(
        n_embd=48, n_layer=3, n_head=4, vocab_size=90, n_positions=16, attn_implementation="sdpa",
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return loaded(drawn(transformers.GPT2LMHeadModel(config)), "gpt2", tmp_path)


@pytest.fixture
def llama(tmp_path: Path) -> Pair:
    config = transformers.LlamaConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=40, vocab_size=90, rms_norm_eps=1e-5, attn_implementation="sdpa",
    )  # fmt: skip
    return loaded(drawn(transformers.LlamaForCausalLM(config)), "llama", tmp_path)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_logits_and_gradients_are_those_of_transformers(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    theirs, ours, program = request.getfixturevalue(name)
    wanted, found = theirs(TOKENS, use_cache=False).logits, ours(TOKENS)
    assert far(found, wanted) < 1e-4
    loss(wanted).backward()
    loss(found).backward()
    save_file(held(theirs, gradients=True), tmp_path / "model.safetensors")
    gradients = read_weights(program.checked.weights["pretrained"], tmp_path)
    parameters = ours.parameters_by_site()[0]
    assert gradients.keys() == parameters.keys()
    for address, parameter in parameters.items():
        assert parameter.grad is not None, address
        wanted = torch.as_tensor(gradients[address])
        assert parameter.shape == wanted.shape
        if address.endswith("key.b"):  # moves all scores alike, which softmax does not see
            assert max(parameter.grad.abs().max(), wanted.abs().max()) < 1e-6
        else:
            assert far(parameter.grad, wanted) < 1e-3, address


def test_a_step_of_training_is_the_same_step(gpt2: Pair) -> None:
    theirs, ours, _ = gpt2
    before = theirs(TOKENS).logits
    for model, logits in ((theirs, before), (ours, ours(TOKENS))):
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        loss(logits).backward()
        optimiser.step()
    after = theirs(TOKENS).logits
    assert far(after, before) > 1e-2
    assert far(ours(TOKENS), after) < 1e-4
