from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import torch
from tests.runtime.small import READER, program, tokens, write

import neuraxis
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.program import Program

if TYPE_CHECKING:
    from pathlib import Path

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path, "reader.nax", READER)
    loaded = neuraxis.load(path)
    assert loaded.models == ["reader"]
    assert loaded.root == tmp_path
    assert loaded.model()(tokens(1, 2)).shape == (1, 2, 6)


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "bad.nax", "model m(x[b]) -> [b]:\n    y = z\n    return w\n")
    with pytest.raises(SpecError) as error:
        Program.load(path)
    assert len(error.value.diagnostics) == 2
    assert str(path) in str(error.value)
    with pytest.raises(SpecError, match="cannot read"):
        Program.load(tmp_path / "none.nax")
    with pytest.raises(SpecError, match="no block or model is called `rider`"):
        Program.load(write(tmp_path, "reader.nax", READER), settings=["rider.d=2"])


def test_sizes_values_and_blocks_from_outside() -> None:
    model = program().model("reader", d=2, L=3, mixer="near")
    assert tuple(model.wte.shape) == (6, 2)
    assert model.sites("layer[2].attn")[0].axes == ("b", "t", "d")
    fixed = program().model("reader", t=4)
    assert "t=4" in str(fixed.sites("tokens")[0])
    set_ = program(settings=("reader.d=2",)).model("reader")
    assert tuple(set_.wte.shape) == (6, 2)


def test_settings_end_with_their_program() -> None:
    text = """
    block twice(x[t, d]) -> [t, d]:
        return mlp(mlp(x))

    model m[d = 4](x[b, t, d]) -> [b, t, d]:
        return twice(x)
    """

    def widths(loaded: Program) -> set[int]:
        return {
            axis.size
            for site in loaded.model("m").sites()
            for axis in site.node.axes
            if axis.name == "m"
        }

    before = widths(program(text))
    assert widths(program(text, settings=("mlp.m=3",))) == {3}
    assert before != {3}
    assert widths(program(text, seed=1)) == before
    assert widths(program(text.replace("twice", "twofold"))) == before


def test_seeds() -> None:
    one, same, other = (program().model("reader", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.wte, same.wte)
    assert not torch.equal(one.wte, other.wte)
    assert torch.equal(program(seed=1).model("reader").wte, other.wte)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("rider", {}, "no model is called `rider`"),
        ("near", {}, "no model is called `near`"),
        ("reader", {"layers": 3}, "`reader` has no size or value `layers`"),
        ("reader", {"mixer": "nera"}, "no block is called `nera`"),
        ("reader", {"d": 0}, "size"),
    ],
)
def test_wrong_requests(name: str, given: dict[str, int | str], said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        program().model(name, **given)


def test_one_of_several_models_is_named() -> None:
    two = program("model m(x[b]) -> [b]:\n    return x\n\nmodel n(x[b]) -> [b]:\n    return -x\n")
    with pytest.raises(SpecError, match=r"which model\? this file has m, n"):
        two.model()
    assert two.model("n")([1.0]).tolist() == [-1]
    imported = program("use models.bert: bert\n")
    assert imported.models == ["bert"]


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(SpecError, match="the device `toaster` cannot be used"):
        Program.from_text(READER, device="toaster")


def test_what_is_not_there_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no experiment is called `look`"):
        program().run("look", folder=tmp_path)
    with pytest.raises(SpecError, match="no training and no weights `base`"):
        program().trained("base", folder=tmp_path)


def test_warnings_are_kept() -> None:
    loaded = program("model m(x[b], y[c]) -> [b, c]:\n    return x + y\n")
    assert [d.slug for d in loaded.diagnostics] == ["shared-no-axis"]
