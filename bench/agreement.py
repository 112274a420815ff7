"""The same numbers as other tools: patching, ablation, attribution, steered generation on GPT-2.

    python bench/agreement.py PEERS DUMP.npz ... [--stride 4]

PEERS is a folder with `_common.py`, which makes the model (GPT-2 small, random numbers) and its
inputs; each DUMP holds what one tool made of them: `logits`, `c` (layers x positions patched), `d`
(heads mean-ablated), `e` (attribution of heads), `f` (tokens generated while steered). Of `c` and
`d` it may hold every `stride`th column alone. Prints by how much ours differ, as a part of the
largest number.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from neuraxis.runtime.program import Program

SPEC = """
use models.gpt2: gpt2

weights pretrained of gpt2 from "."

data prompts = npz("prompts.npz"): clean[t]: int, corrupt[t]: int, others[u, t]: int

intervention steer(v[d]) on gpt2:
    layer[6].in.x += v

experiment agreement of gpt2 with pretrained on prompts:
    run clean = gpt2(tokens = prompts.clean)
    run corrupt = gpt2(tokens = prompts.corrupt)
    run others = gpt2(tokens = prompts.others)
    measure lead(r) = sum[b](r.logits[t = @last, vocab = 11] - r.logits[t = @last, vocab = 23])
    logits = clean.logits[t = @last]
    sweep c over l in layer, p in t:
        run patched = corrupt with layer[l].in.x[t = p] from clean
        lead(patched) - lead(corrupt)
    sweep d over l in layer, n in h:
        run cut = clean with layer[l].attn.z[h = n] = mean[b, u, t](others.layer[l].attn.z[h = n])
        lead(cut) - lead(clean)
    attribute e over l in layer, n in h:
        moved = clean.layer[l].attn.z[h = n] - corrupt.layer[l].attn.z[h = n]
        sum[b, t, k](moved * grad(lead(corrupt), layer[l].attn.z[h = n]))
"""


def ours(peers: Path) -> dict[str, np.ndarray]:
    """What neuraxis makes of the model and its inputs."""
    sys.path.insert(0, str(peers))
    import _common

    sizes = SimpleNamespace(size="gpt2s", threads=2)
    given = _common.inputs(sizes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _common.hf_gpt2(sizes).save_pretrained(folder)
        tokens = {
            "clean": given["clean"],
            "corrupt": given["corrupt"],
            "others": given["ref"][None],
        }
        np.savez(folder / "prompts.npz", **{key: value.numpy() for key, value in tokens.items()})
        program = Program.from_text(SPEC, folder=folder)
        found = program.run("agreement", folder=folder).values
        arrays = {key: found[key].values for key in ("c", "d", "e")}
        arrays["logits"] = found["logits"].values[0]
        with torch.no_grad():
            steered = program.trained("pretrained").under("steer", v=given["vec"])
            new = steered.decode(given["clean"], steps=32)
        arrays["f"] = torch.cat([given["clean"], new.tokens.cpu()], 1).numpy()
    return arrays


def main() -> None:
    """Ours beside each dump."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", type=Path)
    parser.add_argument("dumps", nargs="+")
    parser.add_argument("--stride", type=int, default=1)
    given = parser.parse_args()
    mine = ours(given.peers)
    for name in given.dumps:
        theirs = np.load(name)
        far = {}
        for key in sorted(set(mine) & set(theirs)):
            one, other = theirs[key], mine[key]
            if key in ("c", "d"):
                other = other[:, :: given.stride]
                one = one if one.shape == other.shape else one[:, :: given.stride]
            far[key] = float(np.abs(one - other).max() / np.abs(one).max())
        shown = "  ".join(f"{key} {value:.1e}" for key, value in far.items())
        print(f"{Path(name).stem:16} {shown}")


if __name__ == "__main__":
    main()
