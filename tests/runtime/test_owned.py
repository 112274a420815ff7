"""What interventions own: one set of parameters, trained alone, used later by name."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.program import Program
from neuraxis.runtime.session import Session

if TYPE_CHECKING:
    from pathlib import Path

# of four features the model reads one direction, in a hidden layer that turns them
MODEL = """
model reader[d = 4](x[b, d]) -> [b]:
    param turn[d', d] ~ orthogonal(1)
    param v[d] ~ normal(0, 1)
    h = x
    repeat layer * 2:
        h = dot[d'](turn, h[d -> d'])
    return dot[d](v, h)

data points = npz("points.npz"): x[d]: float, other[d]: float

intervention aligned(l, n, source: run) on reader:
    share r = rotation[d -> f]
    layer[l].h = it + dot[f](r.w, where(f < n, r(source.layer[l].h) - r(it), 0))

train base of reader on points:
    loss = mean[b]((out - sum[d](x)) ^ 2)
    using sgd(lr = 0.01), batch 8, steps 2

train das of reader with base, aligned(l = 1, n = 1, source = swapped) on points:
    run swapped = reader(x = points.other)
    loss = mean[b]((out - swapped.out) ^ 2)
    size = sum[d, f](aligned.r.w ^ 2)
    using adam(lr = 0.1), batch 64, steps 150
    expect loss < 1e-4
"""
LOOK = """
experiment look of reader with das on points:
    run clean = reader
    run other = reader(x = points.other)
    run turned = clean with aligned(l = 1, n = 1, source = other)
    run same = clean with aligned(l = 1, n = 0, source = other)
    w = turned.aligned.r.w
    seen = turned.aligned.r
    sweep moved over k in [0, 1, 4]:
        run part = clean with aligned(l = 1, n = k, source = other)
        mean[b]((part.out - clean.out) ^ 2)
    expect all[b](same.out == clean.out)
    expect mean[b]((turned.out - other.out) ^ 2) < 1e-4
"""


def session(path: Path, rest: str = "") -> Session:
    stream = np.random.default_rng(0)
    x, other = stream.standard_normal((2, 64, 4)).astype(np.float32)
    np.savez(path / "points.npz", x=x, other=other)
    program = Program.from_text(MODEL + rest, folder=path)
    return Session(program, path / "out", console=Console(file=io.StringIO()))


def test_it_is_trained_alone_and_used_later(tmp_path: Path) -> None:
    run = session(tmp_path, LOOK)
    outcome = run.experiment("look")
    assert all(found.holds for found in (*run.expectations, *outcome.expectations))
    before, after = (dict(run.models[name].named_parameters()) for name in ("base", "das"))
    assert set(after) - set(before) == {"aligned.r.v"}
    for name, value in before.items():
        assert torch.equal(value, after[name])
    file = load_file(tmp_path / "out" / "das" / "aligned.safetensors")
    assert torch.equal(file["aligned.r.v"], after["aligned.r.v"])
    # the direction that it found is the one that the model reads
    w = outcome.values["w"].transpose("d", "f").values
    v = before["v"].detach().numpy()
    assert abs(w[:, 0] @ v) / np.linalg.norm(v) > 0.999
    moved = outcome.values["moved"].values
    assert moved[0] == 0
    assert moved[1] == pytest.approx(moved[2], rel=1e-2)


def test_from_python_it_has_the_parameters_that_were_fitted(tmp_path: Path) -> None:
    rest = """
intervention push on reader:
    share m = linear[d -> d]
    layer[*].h += m(it)

train fit of reader with push on points:
    loss = mean[b](out ^ 2)
    using sgd(lr = 0.01), batch 8, steps 1
"""
    run = session(tmp_path, rest)
    model = run.program.trained("fit", folder=tmp_path / "out")
    under = model.under("push")
    assert under.get_parameter("push.m.w") is model.get_parameter("push.m.w")
    x = torch.randn(3, 4)
    w, b = model.get_parameter("push.m.w"), model.get_parameter("push.m.b")
    h = x
    for _ in range(2):
        h = h @ model.turn
        h = h + h @ w + b
    torch.testing.assert_close(under(x), h @ model.v)


TURNS = """
intervention push on reader:
    share layer[*].m = linear[d -> d]
    layer[*].h += m(it)
    layer[0].h *= 2

train fit of reader with push on points:
    loss = mean[b](out ^ 2)
    extra = mean[b, d](push.layer[0].m ^ 2)
    using sgd(lr = 0.01), batch 8, steps 1

train half of reader with push on points:
    loss = mean[b](out ^ 2)
    using sgd(lr = 0.01), batch 8, steps 1
    only push.layer[1].m.*, v

train on of reader from fit with push on points:
    loss = mean[b](out ^ 2)
    using sgd(lr = 0), batch 8, steps 1

train off of reader from fit on points:
    loss = mean[b](out ^ 2)
    using sgd(lr = 0), batch 8, steps 1

experiment look of reader with base on points:
    run a = reader with push
    run c = reader with fit, push
    w = c.push.layer[*].m.w
    gap = mean[b](abs(a.out - c.out))
"""


def test_one_set_for_each_turn(tmp_path: Path) -> None:
    run = session(tmp_path, TURNS)
    own = ["push.layer.0.m.w", "push.layer.0.m.b", "push.layer.1.m.w", "push.layer.1.m.b"]
    fit = dict(run.weights("fit").named_parameters())
    assert sorted(set(fit) - {"turn", "v"}) == sorted(own)
    drawn = dict(run.program.model("reader").named_parameters())
    assert torch.equal(fit["v"], drawn["v"])
    half = dict(run.weights("half").named_parameters())
    assert not torch.equal(half["v"], drawn["v"])
    assert torch.equal(half["turn"], drawn["turn"])
    on, off = (dict(run.weights(name).named_parameters()) for name in ("on", "off"))
    assert all(torch.equal(on[name], fit[name]) for name in own)
    assert not set(own) & set(off)
    outcome = run.experiment("look")
    w = torch.tensor(outcome.values["w"].transpose("layer", "d'", "d").values)
    assert torch.equal(w, torch.stack([fit[own[0]], fit[own[2]]]))
    assert outcome.values["gap"] > 0


def test_a_set_of_another_size_is_told(tmp_path: Path) -> None:
    rest = """
intervention wide(width) on reader:
    share up = linear[d -> m = width]
    share down = linear[m -> d]
    layer[0].h = down(up(it))

train fit of reader with wide(width = 6) on points:
    loss = mean[b](out ^ 2)
    using sgd(lr = 0.01), batch 8, steps 1

experiment look of reader with fit on points:
    run a = reader with wide(width = 5)
    out = a.out
"""
    run = session(tmp_path, rest)
    with pytest.raises(SpecError, match="is 4 x 5 here, and was fitted as 4 x 6"):
        run.experiment("look")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("share m = linear\n    layer[0].h = m[d -> d](it)", None),
        ("share m = batchnorm[b -> d]\n    layer[0].h = m(it)", "a `state` in an intervention"),
        ("share row[*].m = linear\n    layer[0].h = m(it)", "one `m` for each turn of `row`"),
        ("share m = 3\n    layer[0].h = m(it)", "`share NAME =` wants a block"),
    ],
)
def test_what_cannot_be_owned(body: str, message: str | None) -> None:
    text = f"""{MODEL}
intervention push on reader:
    {body}

train fit of reader with push on points:
    loss = mean[b](out ^ 2)
    using sgd(lr = 0.01), batch 8, steps 1
"""
    found = [diagnostic.message for diagnostic in check_text("x.nax", text).diagnostics]
    assert [message] if message else not found
    assert any(message in said for said in found) if message else True


def test_a_model_has_no_part_of_that_name() -> None:
    text = MODEL.replace("aligned", "layer")
    found = check_text("x.nax", text).diagnostics
    assert any("`reader` has a part `layer`" in diagnostic.message for diagnostic in found)


CALLED = """
intervention coded on reader:
    share s = sae[d -> f = 6]
    share layer[*].p = linear_probe[d -> c = 2]

train fit of reader with base, coded on points:
    found = coded.s(layer[1].h)
    score = coded.layer[0].p(layer[0].h)
    wanted = int(x[d = 0] > 0)
    loss = mean[b](sum[d](coded.s.error ^ 2)) + mean[b](cross_entropy[c](score, wanted))
    few = mean[b](sum[f](coded.s.code))
    using adam(lr = 0.02), batch 64, steps 60
    expect loss < 1

experiment look of reader with fit on points:
    run clean = reader with coded
    found = clean.coded.s(clean.layer[1].h)
    same = all[b, d](found == clean.layer[1].h)
    error = clean.coded.s.error
    sweep right over l in [0, 1]:
        run part = reader with coded
        score = part.coded.layer[0].p(part.layer[l].h)
        mean[b](argmax[c](score) == int(points.x[d = 0] > 0))
    expect same
"""


def test_a_map_reads_a_site_that_nothing_writes(tmp_path: Path) -> None:
    run = session(tmp_path, CALLED)
    outcome = run.experiment("look")
    assert all(found.holds for found in (*run.expectations, *outcome.expectations))
    fit, base = (dict(run.models[name].named_parameters()) for name in ("fit", "base"))
    own = {name for name in fit if name.startswith("coded.")}
    assert {name for name in own if name.endswith("w")} == {
        "coded.s.pre.w", "coded.s.decode.w", "coded.layer.0.p.out.w",
    }  # fmt: skip
    assert all(torch.equal(fit[name], value) for name, value in base.items())
    h = torch.tensor(outcome.values["found"].transpose("b", "d").values)
    code = torch.relu((h - fit["coded.s.center"]) @ fit["coded.s.pre.w"] + fit["coded.s.pre.b"])
    error = h - code @ fit["coded.s.decode.w"] - fit["coded.s.center"]
    found = torch.tensor(outcome.values["error"].transpose("b", "d").values)
    torch.testing.assert_close(found, error, rtol=1e-4, atol=1e-5)


def test_what_its_parameters_decide_is_known_in_a_recurrence(tmp_path: Path) -> None:
    text = """
model m[d = 4](x[b, t, d]) -> [b, t, d]:
    scan t:
        carry s[d] = 0
        s = 0.5 * s + x
    return s

intervention turned on m:
    share r = rotation[d -> f]
    s = it - dot[f](r.w, r(it))
"""
    model = Program.from_text(text, folder=tmp_path).model().under("turned")
    assert model(torch.randn(2, 3, 4)).abs().max() < 1e-5  # a rotation there and back is all of it
