"""The emitted forward of a small GPT-2 against the fastest that PyTorch can be written by hand.

The bound is one flat function over stacked weights: no modules, no hooks, queries, keys and values
in one product. What is measured is therefore what our module costs beside its kernels.

python bench/bound.py --threads 1 --pairs 400
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from paired import machine, pairs, use_threads

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

SIZES = {"d": 128, "L": 4, "h": 4, "k": 32, "m": 512, "vocab": 1000, "ctx": 128}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--shape", default="1x16")
    args = parser.parse_args()
    use_threads(args.threads)
    import torch

    from neuraxis import specs
    from neuraxis.runtime.program import Program

    model = Program.from_text(specs.read("models/gpt2")).model("gpt2", **SIZES)
    batch, length = map(int, args.shape.split("x"))
    tokens = torch.randint(0, SIZES["vocab"], (batch, length))
    bound = by_hand(model)
    print(f"{machine()}, {args.threads} threads, batch {args.shape}")
    with torch.no_grad():
        far = (model(tokens) - bound(tokens)).abs().max()
        print(f"they differ by {float(far):.1e}")
        for _ in range(20):
            model(tokens), bound(tokens)
        pairs(lambda: model(tokens), lambda: bound(tokens), args.pairs).show("emitted / bound")


def by_hand(model: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """The same model as one flat function, its weights as it wants them."""
    import torch
    from torch.nn.functional import embedding, gelu, layer_norm, linear
    from torch.nn.functional import scaled_dot_product_attention as attend

    own = {name: value.detach() for name, value in model.state_dict().items()}
    width, heads = SIZES["d"], SIZES["h"]

    def matrix(name: str, inputs: int) -> torch.Tensor:
        return own[name].reshape(inputs, -1).t().contiguous()

    layers = []
    for n in range(SIZES["L"]):
        at = f"layer.{n}"
        parts = [f"{at}.attn.{name}" for name in ("q", "key", "v")]
        layers.append(
            (
                own[f"{at}.layernorm.w"],
                own[f"{at}.layernorm.b"],
                torch.cat([matrix(f"{part}.w", width) for part in parts]),
                torch.cat([own[f"{part}.b"].flatten() for part in parts]),
                matrix(f"{at}.attn.out.w", width),
                own[f"{at}.attn.out.b"],
                own[f"{at}.layernorm.2.w"],
                own[f"{at}.layernorm.2.b"],
                matrix(f"{at}.ffn.act.w", width),
                own[f"{at}.ffn.act.b"],
                matrix(f"{at}.ffn.out.w", SIZES["m"]),
                own[f"{at}.ffn.out.b"],
            )
        )

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (heads, width // heads)).transpose(-3, -2)

    def forward(tokens: torch.Tensor) -> torch.Tensor:
        x = embedding(tokens, own["wte"]) + own["wpe"][: tokens.shape[-1]]
        for w1, b1, qkv_w, qkv_b, out_w, out_b, w2, b2, up_w, up_b, down_w, down_b in layers:
            y = linear(layer_norm(x, (width,), w1, b1, 1e-5), qkv_w, qkv_b)
            q, k, v = map(split, y.chunk(3, -1))
            z = attend(q, k, v, is_causal=True).transpose(-3, -2).flatten(-2)
            x = x + linear(z, out_w, out_b)
            y = linear(layer_norm(x, (width,), w2, b2, 1e-5), up_w, up_b)
            x = x + linear(gelu(y, approximate="tanh"), down_w, down_b)
        x = layer_norm(x, (width,), own["final.w"], own["final.b"], 1e-5)
        return linear(x, own["wte"])

    return forward


if __name__ == "__main__":
    main()
