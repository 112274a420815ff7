"""Models of transformers with drawn weights, and ours with the same, by way of a checkpoint."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from neuraxis.runtime.model import SpecModel
    from neuraxis.runtime.program import Program


@dataclass(frozen=True)
class Config:
    """Sizes by the names of our spec, and a model of transformers with these sizes."""

    name: str
    sizes: dict[str, int]

    def config(self) -> Any:
        """Their config of these sizes."""
        import transformers

        n = self.sizes
        if self.name == "gpt2":
            return transformers.GPT2Config(
                n_embd=n["d"], n_layer=n["L"], n_head=n["h"], vocab_size=n["vocab"],
                n_positions=n["ctx"], resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
                bos_token_id=0, eos_token_id=0, attn_implementation="sdpa",
            )  # fmt: skip
        return transformers.LlamaConfig(
            hidden_size=n["d"], num_hidden_layers=n["L"], num_attention_heads=n["h"],
            num_key_value_heads=n["g"], intermediate_size=n["m"], vocab_size=n["vocab"],
            rms_norm_eps=1e-5, attn_implementation="sdpa",
        )  # fmt: skip

    def theirs(self) -> Any:
        """Theirs, with weights drawn so that no bias is 0 and no scale is 1."""
        import torch
        import transformers

        made = {"gpt2": transformers.GPT2LMHeadModel, "llama": transformers.LlamaForCausalLM}
        torch.manual_seed(0)
        model = made[self.name](self.config())
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.02)
        return model.eval()

    @property
    def settings(self) -> list[str]:
        """The sizes as `--set` takes them."""
        return [f"{self.name}.{size}={value}" for size, value in self.sizes.items()]

    @property
    def text(self) -> str:
        """The spec that maps such a checkpoint."""
        return f'use models.{self.name}: {self.name}\nweights pretrained of {self.name} from "."\n'


GPT2 = Config("gpt2", {"d": 768, "vocab": 50257, "ctx": 1024, "h": 12, "L": 12})
GPT2_TINY = Config("gpt2", {"d": 128, "vocab": 1000, "ctx": 128, "h": 4, "L": 4})
LLAMA = Config("llama", {"d": 512, "vocab": 32000, "h": 8, "g": 2, "m": 1408, "L": 8})


def same(config: Config, tensors: dict[str, torch.Tensor]) -> tuple[SpecModel, Program]:
    """Our model with these weights, which are named as in a checkpoint."""
    from neuraxis.runtime.program import Program

    with tempfile.TemporaryDirectory() as folder:
        save(tensors, Path(folder))
        config.config().save_pretrained(folder)
        program = Program.from_text(config.text, root=folder)
        return program.trained("pretrained"), program


def by_address(program: Program, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Tensors named as in a checkpoint, as arrays by the address of our parameter."""
    from neuraxis.runtime.weights import read_weights

    with tempfile.TemporaryDirectory() as folder:
        save(tensors, Path(folder))
        return dict(read_weights(program.checked.weights["pretrained"], Path(folder)))


def save(tensors: dict[str, torch.Tensor], folder: Path) -> None:
    from safetensors.torch import save_file

    kept = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(kept, folder / "model.safetensors")
