from __future__ import annotations

import json
import weakref
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import Collector, Severity, SpecError, render
from neuraxis.runtime import arrays
from neuraxis.runtime.parameters import Parameters
from neuraxis.runtime.weights import load_weights, read_weights, save_weights

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


COUNTS = """
model lm[h = 2](x[b, h]) -> [b, h]:
    fixed order[h] = h
    state count[h] = 0
    return x * order + count
"""


def mapped(*lines: str, file: str = "model.safetensors", model: str = MODEL) -> CheckedWeights:
    text = f'{model}\nweights pre of lm from "{file}":\n' + "".join(f"    {x}\n" for x in lines)
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
        ("missing", 'wte = file["embed", "*embedding"]'),
        ("ambiguous", 'wte = file["wte*"]'),
        ("picked", 'wte = file["attn"] as [(part vocab), d][part = 1]'),
        ("place", 'wte = file["attn"] as [(part d), vocab][part = 2]'),
        ("unlike", 'layer[0].q.w = file["head.{h}"] as [k, d]'),
    ],
)
def test_what_does_not_fit_is_said(name: str, line: str, tmp_path: Path, golden: Golden) -> None:
    arrays = {
        "wte.weight": numbers(4, 6),
        "attn": numbers(8, 4),
        "waves": torch.zeros((), dtype=torch.complex64),
        "wte.bias": numbers(4),
        "head.0": numbers(3, 4),
        "head.1": numbers(3, 5),
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


def test_an_axis_that_the_parameter_lacks_is_picked(tmp_path: Path) -> None:
    fused = {"qkv": numbers(2 * 3 * 3, 4), "per_head": numbers(3 * 2 * 3, 4), "e": numbers(6, 12)}
    save_file(fused, tmp_path / "model.safetensors")
    weights = mapped(
        'layer[0].q.w = file["qkv"] as [(part h k), d][part = 1]',
        'layer[1].q.w = file["per_head"] as [(h part k), d][part = 2]',
        'wte = file["e"] as [vocab, (d part)][part = 0]',
    )
    found = read_weights(weights, tmp_path)
    qkv = numbers(3, 2, 3, 4).numpy()
    assert np.array_equal(found["layer[0].q.w"], qkv[1].transpose(2, 0, 1))
    per_head = numbers(2, 3, 3, 4).numpy()
    assert np.array_equal(found["layer[1].q.w"], per_head[:, 2].transpose(2, 0, 1))
    assert np.array_equal(found["wte"], numbers(6, 4, 3).numpy()[:, :, 0])


def test_arrays_stand_side_by_side_along_an_axis(tmp_path: Path) -> None:
    heads = {f"h.{i}.{h}": numbers(3, 4) + 100 * h + i for i in range(2) for h in range(2)}
    save_file(heads, tmp_path / "model.safetensors")
    found = read_weights(mapped('layer[i].q.w = file["h.{i}.{h}"] as [k, d]'), tmp_path)
    for i in range(2):
        wanted = np.stack([heads[f"h.{i}.{h}"].numpy() for h in range(2)])
        assert np.array_equal(found[f"layer[{i}].q.w"], wanted.transpose(2, 0, 1))


def test_parts_may_speak_of_sizes_and_values(tmp_path: Path) -> None:
    save_file({"all": numbers(12, 4)}, tmp_path / "model.safetensors")
    lines = ('layer[0].q.w = file["all"][|h| * |k| * (L - 1).., :] as [(h k), d]', "if L > 2:")
    weights = mapped(*lines, '    wte = file["gone"]', "else:", '    wte = file["all"][..|vocab|]')
    found = read_weights(weights, tmp_path)
    assert np.array_equal(found["wte"], numbers(6, 4).numpy())
    assert found["layer[0].q.w"].min() == 24


def test_the_first_name_that_is_there_is_taken(tmp_path: Path) -> None:
    save_file({"a.norm.gamma": numbers(6, 4), "s": numbers(1)[0]}, tmp_path / "model.safetensors")
    found = read_weights(
        mapped('wte = file["*norm.weight", "*norm.gamma"]', 'scale = 1 + 2 * file["s"] - 4'),
        tmp_path,
    )
    assert np.array_equal(found["wte"], numbers(6, 4).numpy())
    assert found["scale"] == -3


def test_states_and_fixed_numbers_are_read(tmp_path: Path) -> None:
    arrays_ = {"c": torch.tensor([5.0, 6.0]), "o": torch.tensor([3, 4], dtype=torch.int32)}
    save_file(arrays_, tmp_path / "model.safetensors")
    weights = mapped('count = file["c"]', 'order = file["o"]', model=COUNTS)
    own = Parameters.of(weights.model.body, seed=3)
    load_weights(weights, tmp_path, own.state())
    assert own["count"].tolist() == [5, 6]
    assert own["order"].tolist() == [3, 4]


def sharded(folder: Path) -> None:
    save_file({"e": numbers(6, 4)}, folder / "model-00001-of-00002.safetensors")
    save_file({"s": torch.tensor(2.0)}, folder / "model-00002-of-00002.safetensors")
    table = {"e": "model-00001-of-00002.safetensors", "s": "model-00002-of-00002.safetensors"}
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": table}))


@pytest.mark.parametrize("place", [".", "inner"])
def test_a_folder_is_a_checkpoint(place: str, tmp_path: Path) -> None:
    folder = tmp_path / place
    folder.mkdir(exist_ok=True)
    weights = mapped('wte = file["e"]', 'scale = file["s"]', file=place)
    sharded(folder)
    assert read_weights(weights, tmp_path).keys() == {"wte", "scale"}
    (folder / "model.safetensors.index.json").unlink()
    save_file({"e": numbers(6, 4), "s": torch.tensor(2.0)}, folder / "model.safetensors")
    assert read_weights(weights, tmp_path).keys() == {"wte", "scale"}


def test_a_shard_that_is_not_there_is_said(tmp_path: Path) -> None:
    sharded(tmp_path)
    weights = mapped('wte = file["e"]', file=".")
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(SpecError, match="model-00002-of-00002"):
        read_weights(weights, tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    for wrong in ("[]", "{}", '{"weight_map": {"e": 3}}', '{"weight_map": 3}', "{"):
        index.write_text(wrong)
        with pytest.raises(SpecError, match="does not say in which file"):
            read_weights(weights, tmp_path)
    index.write_text(json.dumps({"weight_map": {"e": "../out.safetensors"}}))
    with pytest.raises(SpecError, match="leads out of the folder"):
        read_weights(weights, tmp_path)


def test_arrays_that_no_line_reads_are_counted(tmp_path: Path, golden: Golden) -> None:
    others = {f"h.{i}.attn.{kind}": numbers(2) for i in range(3) for kind in ("bias", "mask")}
    save_file({"e": numbers(6, 4), **others}, tmp_path / "model.safetensors")
    weights = mapped('wte = file["e"]', 'skip file["*.mask"]')
    own, collector = Parameters.of(weights.model.body, seed=3), Collector()
    load_weights(weights, tmp_path, own.state(), collector)
    golden("golden/weights/unread.txt", f"{render(collector.diagnostics)}\n")
    collector = Collector()
    quiet = mapped('wte = file["e"]', 'skip file["*.mask", "h.*"]')
    load_weights(quiet, tmp_path, own.state(), collector)
    assert not collector.diagnostics


def test_no_more_than_one_array_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = {f"h.{i}.{h}": numbers(3, 4) for i in range(2) for h in range(2)}
    save_file({**heads, "e": numbers(6, 4)}, tmp_path / "model.safetensors")
    alive: list[weakref.ref[torch.Tensor]] = []
    most = []
    plain = arrays.Stored.read

    def watched(array: arrays.Stored, picks: tuple[arrays.Pick, ...]) -> torch.Tensor:
        found = plain(array, picks)
        alive.append(weakref.ref(found))
        most.append(sum(ref() is not None for ref in alive))
        return found

    monkeypatch.setattr(arrays.Stored, "read", watched)
    weights = mapped('layer[i].q.w = file["h.{i}.{h}"] as [k, d]', 'wte = file["e"]')
    load_weights(weights, tmp_path, Parameters.of(weights.model.body, seed=3).state())
    assert len(most) == 5
    assert max(most) <= 2  # one is taken while the name of the one before still stands


def test_nothing_is_changed_if_something_does_not_fit(tmp_path: Path) -> None:
    save_file({"e": numbers(6, 4), "s": numbers(2)}, tmp_path / "model.safetensors")
    weights = mapped('wte = file["e"]', 'scale = file["s"]')
    own, before = (Parameters.of(weights.model.body, seed=3) for _ in range(2))
    with pytest.raises(SpecError):
        load_weights(weights, tmp_path, own.state())
    assert torch.equal(own["wte"], before["wte"])


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
