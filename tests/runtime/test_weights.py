from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import Severity, SpecError
from neuraxis.runtime.parameters import Parameters
from neuraxis.runtime.weights import read_weights, save_weights

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Golden

    from neuraxis.dsl.program import CheckedWeights

MODEL = """
model lm[vocab = 6, d = 4, h = 2, k = 3](tokens[b, t]: int, L = 2) -> [b, t, d]:
    param wte[vocab, d] ~ normal(0, 1)
    param scale = 1
    x = wte[vocab = tokens]
    repeat layer * L:
        q = linear[d -> h, k](x)
        x = x + scale * linear[h, k -> d](q, bias = false)
    return x
"""


def mapped(*lines: str, file: str = "model.safetensors") -> CheckedWeights:
    text = f'{MODEL}\nweights pre of lm from "{file}":\n' + "".join(f"    {x}\n" for x in lines)
    checked = check_text("lm.nax", text)
    wrong = [found for found in checked.diagnostics if found.severity is Severity.ERROR]
    assert not wrong, "\n".join(map(str, wrong))
    return checked.weights["pre"]


def numbers(*shape: int) -> torch.Tensor:
    return torch.arange(float(np.prod(shape, dtype=int))).reshape(shape)


def test_an_array_in_the_written_order_is_taken_as_it_is(tmp_path: Path) -> None:
    save_file({"e": numbers(6, 4), "s": torch.tensor(3.0)}, tmp_path / "model.safetensors")
    found = read_weights(mapped('wte = file["e"]', 'scale = file["s"]'), tmp_path)
    assert found.keys() == {"wte", "scale"}
    assert np.array_equal(found["wte"], numbers(6, 4).numpy())
    assert found["scale"].shape == ()
    assert found["scale"] == 3


def test_axes_are_turned_and_groups_are_split(tmp_path: Path) -> None:
    arrays = {"e": numbers(4, 6), "h.0.q": numbers(6, 4), "h.1.q": -numbers(6, 4)}
    save_file(arrays, tmp_path / "model.safetensors")
    weights = mapped(
        'wte = file["e"] as [d, vocab]', 'layer[i].q.w = file["h.{i}.q"] as [(h k), d]'
    )
    found = read_weights(weights, tmp_path)
    assert np.array_equal(found["wte"], numbers(4, 6).numpy().T)
    (site,) = {s.node.site for s in weights.model.body.steps if s.node.site == "layer[1].q.w"}
    (node,) = (s.node for s in weights.model.body.steps if s.node.site == site)
    written = [axis.name for axis in node.attrs.axes]  # type: ignore[union-attr]  # a parameter
    split = -numbers(6, 4).numpy().reshape(2, 3, 4)
    assert sorted(written) == ["d", "h", "k"]
    order = [["h", "k", "d"].index(name) for name in written]
    assert np.array_equal(found["layer[1].q.w"], split.transpose(order))
    assert found["layer[1].q.w"].flags.c_contiguous


def test_parts_are_cut_out(tmp_path: Path) -> None:
    save_file({"all": numbers(3, 9, 8), "b": numbers(18)}, tmp_path / "model.safetensors")
    weights = mapped(
        'wte = file["all"][1, 3..9, 4..]',
        'scale = file["b"][17]',
        'layer[0].q.w = file["all"][2, ..6, 0..-4] as [(h k), d]',
        'layer[1].q.b = file["b"][-6..] as [(h k)]',
    )
    found = read_weights(weights, tmp_path)
    whole = numbers(3, 9, 8).numpy()
    assert np.array_equal(found["wte"], whole[1, 3:, 4:])
    assert found["scale"] == 17
    own = found["layer[0].q.w"]
    assert sorted(own.ravel()) == sorted(whole[2, :6, :4].ravel())
    assert found["layer[1].q.b"].ravel().tolist() == [12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8])
def test_numbers_of_other_kinds_become_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    save_file({"e": numbers(4, 6).to(dtype)}, tmp_path / "model.safetensors")
    found = read_weights(mapped('wte = file["e"] as [d, vocab]'), tmp_path)
    assert found["wte"].dtype == np.float32
    assert np.array_equal(found["wte"], numbers(4, 6).numpy().T)


def test_what_is_read_does_not_hang_on_the_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"e": numbers(6, 4)}, file)
    found = read_weights(mapped('wte = file["e"]'), tmp_path)
    with file.open("r+b") as opened:
        opened.write(b"\0" * file.stat().st_size)
    assert np.array_equal(found["wte"], numbers(6, 4).numpy())
    found["wte"][0, 0] = 5


def test_a_checkpoint_may_be_several_files(tmp_path: Path) -> None:
    save_file({"e": numbers(6, 4)}, tmp_path / "model-1.safetensors")
    save_file({"s": torch.tensor(2.0)}, tmp_path / "model-2.safetensors")
    weights = mapped('wte = file["e"]', 'scale = file["s"]', file="model-*.safetensors")
    assert read_weights(weights, tmp_path).keys() == {"wte", "scale"}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("unknown", 'wte = file["wte.wheight"]'),
        ("turned", 'wte = file["wte.weight"]'),
        ("part", 'layer[i].q.w = file["attn"][0..5, :] as [(h k), d]'),
        ("outside", 'wte = file["attn"][0..9]'),
        ("complex", 'scale = file["waves"]'),
    ],
)
def test_what_does_not_fit_is_said(name: str, line: str, tmp_path: Path, golden: Golden) -> None:
    arrays = {
        "wte.weight": numbers(4, 6),
        "attn": numbers(8, 4),
        "waves": torch.zeros((), dtype=torch.complex64),
    }
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(SpecError) as caught:
        read_weights(mapped(line), tmp_path)
    golden(f"golden/weights/{name}.txt", f"{caught.value}\n")


@pytest.mark.parametrize("part", ["[8, :]", "[0, 0, 0]", "[:, 5..5]", "[:, 3..2]", "[-9..]"])
def test_a_part_that_is_not_there_is_said(part: str, tmp_path: Path) -> None:
    save_file({"a": numbers(8, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(SpecError, match="has no such part"):
        read_weights(mapped(f'wte = file["a"]{part}'), tmp_path)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    save_file({"a": numbers(8, 4)}, tmp_path / "model.safetensors")
    weights = mapped('wte = file["a"]', 'scale = file["a"]', 'layer[i].q.b = file["b.{i}"]')
    with pytest.raises(SpecError) as caught:
        read_weights(weights, tmp_path)
    assert [str(found.span) for found in caught.value.diagnostics] == [
        "lm.nax:12:5",
        "lm.nax:13:5",
        "lm.nax:14:5",
    ]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gone.safetensors", 'is called "gone.safetensors"'),
        ("../out.safetensors", "leads out of the folder"),
        ("model.bin", '"model.bin" cannot be read'),
        ("folder", 'the folder "folder" has no "model.safetensors"'),
    ],
)
def test_a_file_that_cannot_be_read_is_said(file: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "spec" / "folder").mkdir(parents=True)
    save_file({"e": numbers(6, 4)}, tmp_path / "out.safetensors")
    (tmp_path / "spec" / "model.bin").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(SpecError) as caught:
        read_weights(mapped('wte = file["e"]', file=file), tmp_path / "spec")
    (found,) = caught.value.diagnostics
    assert message in found.message
    assert found.span.line == 11


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    weights = mapped('wte = file["wte"]', 'scale = file["scale"]')
    own = Parameters.of(weights.model.body, seed=3)
    save_weights(tmp_path / "new" / "model.safetensors", own)
    found = read_weights(weights, tmp_path / "new")
    other = Parameters.of(weights.model.body, seed=4)
    other.load(found, partial=True)
    assert torch.equal(other["wte"], own["wte"])


def test_views_and_shared_memory_are_saved(tmp_path: Path) -> None:
    base = numbers(4, 6)
    arrays = {"a": base, "b": base.T, "c": base[1:3], "d": base, "e": base.numpy()[:, ::2]}
    save_weights(tmp_path / "x.safetensors", arrays, about={"by": "a test"})
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert torch.equal(found[name], torch.as_tensor(array))
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]
