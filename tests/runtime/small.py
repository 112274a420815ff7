"""Small specs, and their models against the oracle."""

from __future__ import annotations

import textwrap
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neuraxis.compiler.reference import NamedArray, evaluate_nodes
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.compiler.graph import Graph
    from neuraxis.runtime.model import SpecModel

READER = """
model reader[d = 4, vocab = 6, ctx = 8](tokens[b, t of b]: int, L = 2, mixer: block = causal_attention[h = 2, k = 2]) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    param wpe[ctx, d] ~ normal(0, 1)
    x = wte[vocab = tokens] + wpe[ctx = t]
    repeat layer * L:
        attn = mixer(rmsnorm[d](x))
        mid = x + attn
        ffn = mlp[m = 6](mid)
        x = mid + ffn
    logits = dot[d](x, wte)
    return logits

block both_ways(x[t, d]) -> [t, d]:
    return attention[h = 2, k = 2](x)

block near(x[t, d]) -> [t, d]:
    return window_attention[h = 2, k = 2](x, window = 2)

block memory(x[t, d]) -> [t, d]:
    scan t:
        carry y[d] = 0
        inner = tanh(linear[d -> d](y) + x)
        y = 0.5 * y + inner
    return y + mean[t](y)

intervention nothing on reader:
    layer[1].attn = it

intervention damp(by = 0.5) on reader:
    layer[*].attn *= by

intervention add(l, v[d]) on reader:
    layer[l].x[t = -1] += v
"""


@cache
def program(text: str = READER, **options: Any) -> Program:
    """A spec, loaded."""
    return Program.from_text(textwrap.dedent(text), **options)


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    """Numbers below 6."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 6, shape))


def oracle(model: SpecModel, graph: Graph, **inputs: torch.Tensor) -> dict[str, NamedArray]:
    """The value of every node, for the parameters that the model has."""
    weights, states = model.parameters_by_site()
    orders = {decl.name: decl.order for decl in model.checked.inputs}
    given = {name: NamedArray(orders[name], value.numpy()) for name, value in inputs.items()}
    arrays = {site: value.detach().double().numpy() for site, value in weights.items()}
    kept = {site: value.double().numpy() for site, value in states.items()}
    return evaluate_nodes(graph, given, arrays, states=kept)


def same(found: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Equal up to rounding in float32."""
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def write(folder: Path, name: str, text: str) -> Path:
    """A spec in a file."""
    path = folder / name
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return path
