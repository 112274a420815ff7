"""Mappings that are taken over: from another file, for a folder, for the sizes that its config has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

LM = """
model lm[vocab = 99, d = 64](tokens[b, t of b]: int, L = 9, eps = 0.5) -> [b, t, vocab]:
    param wte[vocab, d] ~ normal(0, 1)
    x = wte[vocab = tokens]
    repeat layer * L:
        x = x + eps * causal_attention[h = 2, k = 2](x, bias = false)
    logits = dot[d](x, wte)
    return logits

weights published of lm[
    vocab = config["vocab"], d = config["sizes.width", "n_embd"]
](L = config["layers"], eps = config["eps", 1.0]) from ".":
    expect config["kind"] == "lm"
    wte = file["*wte"]
    layer[i].causal_attention.q.w = file["h.{i}"] as [(part h k), d][part = 0]
    layer[i].causal_attention.key.w = file["h.{i}"] as [(part h k), d][part = 1]
    layer[i].causal_attention.v.w = file["h.{i}"] as [(part h k), d][part = 2]
    layer[i].causal_attention.out.w = file["h.{i}"][0..4] as [(h k), d]
"""
CONFIG = {"vocab": 16, "n_embd": 4, "layers": 2, "head_dim": None, "kind": "lm"}


def checkpoint(folder: Path, **config: object) -> None:
    """Numbers of the sizes of the config, which may be another."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    generator = torch.Generator().manual_seed(1)
    tensors = {f"h.{i}": torch.randn(12, 4, generator=generator) for i in range(2)}
    save_file({**tensors, "m.wte": torch.randn(16, 4)}, folder / "model.safetensors")


def program(text: str, folder: Path, **given: object) -> Program:
    (folder / "lm.nax").write_text(LM)
    return Program.from_text(text, folder=folder, **given)  # type: ignore[arg-type]  # what a test says


@pytest.mark.parametrize(
    "text",
    [
        'use lm: lm\nweights w of lm from "inner"\n',
        'use lm: published\nweights w of published from "inner"\n',
        'use lm: lm as it, published as p\nweights v of p from "."\nweights w of v from "inner"\n',
    ],
)
def test_a_mapping_is_taken_over_for_a_folder(text: str, tmp_path: Path) -> None:
    checkpoint(tmp_path / "inner")
    model = program(text, tmp_path).trained("w", folder=tmp_path)
    sizes = {site: tuple(w.shape) for site, w in model.parameters_by_site()[0].items()}
    assert sizes["wte"] == (16, 4)
    assert len(sizes) == 1 + 2 * 4
    assert model(torch.zeros(1, 3, dtype=torch.int64)).shape == (1, 3, 16)


def test_a_mapping_that_is_imported_is_used_as_it_stands(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    found = program("use lm: published as w\n", tmp_path)
    assert found.trained("w", folder=tmp_path).parameters_by_site()[0]["wte"].shape == (16, 4)


def test_the_files_of_another_root_are_read(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    checkpoint(tmp_path / "files" / "inner")
    text = 'use lm: lm\nweights w of lm from "inner"\n'
    model = program(text, tmp_path / "specs", root=tmp_path / "files").trained("w", folder=tmp_path)
    assert model.parameters_by_site()[0]["wte"].shape == (16, 4)


STUDY = """
use lm: lm as it

data words = repeats(n = 8, t = 4, vocab = 16)

weights w of it from "inner"

train tuned of it from w on words:
    run before = it with w
    loss = mean[b, t](cross_entropy[vocab](logits[t = 0..-1], tokens[t = 1..]))
    using sgd(lr = 0.0), batch 4, steps 1

experiment e of it with w on words:
    run a = it
    run b = it with tuned
    run c = a with layer[1].causal_attention.z = 0
    run d = it(eps = 1.0)
    run out = decode(prompt = words.tokens, steps = 2)
    same = max[b, t, vocab](abs(a.logits - b.logits))
    shown = max[b, t, vocab](abs(a.logits - d.logits))
    other = max[b, t, vocab](abs(a.logits - c.logits))
    expect same == 0
    expect shown == 0
    expect other > 0
"""


def test_a_model_that_is_named_is_made_as_its_weights_are(tmp_path: Path) -> None:
    checkpoint(tmp_path / "inner")
    outcome = program(STUDY, tmp_path).run("e", folder=tmp_path)
    assert all(found.holds for found in outcome.expectations)


def test_without_a_config_the_model_has_its_own_sizes_and_is_not_read(tmp_path: Path) -> None:
    text = 'use lm: lm\nweights w of lm from "inner"\n'
    found = program(text, tmp_path)
    assert found.checked.weights["w"].lacks_config
    checkpoint(tmp_path / "inner")
    (tmp_path / "inner" / "config.json").unlink()
    with pytest.raises(SpecError, match=r'there is no "config.json"'):
        program(text, tmp_path).trained("w", folder=tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"kind": "other"}, "is for other checkpoints"),
        ({"vocab": None}, "says no `vocab`"),
        ({"vocab": 17}, "`m.wte` in .* is 16 x 4, and `wte` as .vocab, d. is 17 x 4"),
        ({"vocab": -1}, "1 position at least"),
        ({"vocab": 10**30}, "at most"),
        ({"vocab": "16"}, "no size"),
        ({"layers": 3}, "holds no `h.2`"),
        ({"layers": 1}, ""),
        ({"eps": "small"}, "no number"),
    ],
)
def test_a_config_that_does_not_fit_is_said(
    config: dict[str, object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint(tmp_path, **config)
    if message:
        with pytest.raises(SpecError, match=message):
            program("use lm: published as w\n", tmp_path).trained("w", folder=tmp_path)
    else:
        program("use lm: published as w\n", tmp_path).trained("w", folder=tmp_path)
        assert "is read by no line" in capsys.readouterr().out


def test_a_training_of_another_file_is_not_run(tmp_path: Path) -> None:
    body = "    loss = mean[b, d](y)\n    using sgd(lr = 1.0), steps 1\n"
    head = "model m[d = 2](x[b, d]) -> [b, d]:\n    param w[d] = 1\n    y = w * x\n    return y\n"
    data = 'data words = npy("x.npy"): x[d]: float\n'
    (tmp_path / "other.nax").write_text(f"{head}{data}train t of m on words:\n{body}")
    text = f"use other: m, t\n{data}experiment e of m with t on words:\n    run a = m\n    show a.out\n"
    with pytest.raises(SpecError, match="a training of another file is not built yet"):
        program(text, tmp_path)
