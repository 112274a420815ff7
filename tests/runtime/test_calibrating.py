"""Statistics that are made batch by batch, against NumPy over all examples at once."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from safetensors.numpy import load_file

from neuraxis.dsl.check import check_text
from neuraxis.dsl.core import Axis
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.dsl.program import Fold
from neuraxis.runtime import calibrating, clusters
from neuraxis.runtime.program import Program
from neuraxis.runtime.rows import Batch
from neuraxis.runtime.session import Session
from neuraxis.runtime.statistics import (
    ERROR,
    ended,
    joined,
    kept,
    packed,
    passes,
    results,
    unpacked,
)

if TYPE_CHECKING:
    from pathlib import Path

    Array = np.ndarray[Any, np.dtype[Any]]

B, T, D, E = 23, 3, 4, 2
STREAM = np.random.default_rng(0)
X = (3 + STREAM.standard_normal((T, B, D)) * [1, 10, 0.01, 1e4]).astype(np.float32)
Y = STREAM.standard_normal((B, E, T)).astype(np.float32)
KEY = STREAM.integers(0, 5, (B, T))
XA, YA, KA = ("t", "b", "d"), ("b", "e", "t"), ("b", "t")
ROWS = X.transpose(1, 0, 2).reshape(-1, D).astype(np.float64)
TARGETS = Y.transpose(0, 2, 1).reshape(-1, E).astype(np.float64)


def fold(statistic: str, *results: tuple[str, ...], **how: Any) -> Fold:
    sizes = {"d": D, "d'": D, "e": E, "key": 5, "bin": 6, "j": 3}
    named = tuple(
        (f"r{at}", tuple(Axis(axis, sizes[axis]) for axis in axes))
        for at, axes in enumerate(results)
    )
    return Fold(statistic, (), ("b", "t"), how.get("keys", ()), how.get("numbers", ()), named)


def table() -> Array:
    found = np.zeros((5, D))
    for key in range(5):
        if (KEY.reshape(-1) == key).any():
            found[key] = ROWS[KEY.reshape(-1) == key].mean(0)
    return found


def line() -> tuple[Array, Array]:
    both = np.concatenate([ROWS, np.ones((len(ROWS), 1))], 1)
    found = np.linalg.lstsq(both, TARGETS, rcond=None)[0]
    return found[:-1], found[-1]


CASES: dict[str, tuple[Fold, list[Any], list[tuple[str, ...]], list[Array]]] = {
    "mean": (fold("mean", ("d",)), [X], [XA], [ROWS.mean(0)]),
    "var": (fold("var", ("d",)), [X], [XA], [ROWS.var(0)]),
    "covariance": (
        fold("covariance", ("d'", "d"), keys=("d'",)), [X], [XA], [np.cov(ROWS.T, bias=True)],
    ),
    "gram": (
        fold("gram", ("d", "d'"), keys=("d'",)), [X], [XA], [ROWS.T @ ROWS / len(ROWS)],
    ),
    "mean_by": (fold("mean_by", ("key", "d"), keys=("key",)), [X, KEY], [XA, KA], [table()]),
    "histogram": (
        fold("histogram", ("bin", "d"), keys=("bin",), numbers=(0.0, 6.0)), [X], [XA],
        [np.stack([np.histogram(ROWS[:, d], 6, (0, 6))[0] for d in range(D)], 1)],
    ),
    "least_squares": (
        fold("least_squares", ("d", "e"), ("e",)), [X, Y], [XA, YA], list(line()),
    ),
    "through the origin": (
        fold("least_squares", ("e", "d")), [X, Y], [XA, YA],
        [np.linalg.lstsq(ROWS, TARGETS, rcond=None)[0].T],
    ),
}  # fmt: skip


def cut(cuts: list[int], which: Fold, values: list[Array], axes: list[tuple[str, ...]]) -> Any:
    """The statistic of examples that come in these batches."""
    ends = sorted({0, B, *cuts})
    state: Any = None
    for low, high in pairwise(ends):
        part = [
            value.take(range(low, high), own.index("b"))
            for value, own in zip(values, axes, strict=True)
        ]
        new = kept(which, Batch(part, axes, low))
        state = new if state is None else joined(which, state, new)
        (state,) = unpacked(packed({0: state})).values()  # as it stands in a file
    return results(which, state, axes)


CUTS = st.lists(st.integers(1, B - 1), max_size=6)


@pytest.mark.parametrize("name", CASES)
@given(cuts=CUTS)
def test_how_examples_are_cut_does_not_matter(name: str, cuts: list[int]) -> None:
    which, values, axes, wanted = CASES[name]
    found = cut(cuts, which, values, axes)
    for (key, _), value in zip(which.results, wanted, strict=True):
        scale = np.abs(value).max()
        np.testing.assert_allclose(found[key], value, rtol=1e-9, atol=1e-10 * scale)


@given(cuts=CUTS, level=st.floats(0, 1))
def test_a_quantile_is_as_near_as_it_says(cuts: list[int], level: float) -> None:
    which = fold("quantile", ("d",), numbers=(level,))
    values = np.concatenate([X, -X[:, :, ::-1], 0 * X[:1]])
    found = cut(cuts, which, [values], [XA])["r0"]
    rows = values.transpose(1, 0, 2).reshape(-1, D).astype(np.float64)
    wanted = np.quantile(rows, level, axis=0, method="lower")
    np.testing.assert_allclose(found, wanted, rtol=ERROR * 1.001)
    assert (found == cut([], which, [values], [XA])["r0"]).all()


@given(cuts=CUTS)
def test_the_largest_and_where_they_are(cuts: list[int]) -> None:
    which = Fold("topk", (), ("b",), ("j",), (), (("v", (Axis("j", 3),)), ("at", (Axis("j", 3),))))
    scores = np.round(Y[:, 0, 0], 1)  # some are equal
    found = cut(cuts, which, [scores], [("b",)])
    order = np.argsort(-scores, kind="stable")[:3]
    assert found["at"].tolist() == order.tolist()
    np.testing.assert_array_equal(found["v"], scores[order].astype(np.float64))


@given(cuts=CUTS)
def test_the_largest_of_all_places_are_of_their_example(cuts: list[int]) -> None:
    which = Fold(
        "topk", (), ("b", "t"), ("j",), (), (("v", (Axis("j", 3),)), ("at", (Axis("j", 3),)))
    )
    found = cut(cuts, which, [Y[:, 0]], [("b", "t")])
    order = np.argsort(-Y[:, 0].reshape(-1), kind="stable")[:3]
    assert found["at"].tolist() == (order // T).tolist()
    np.testing.assert_array_equal(found["v"], Y[:, 0].reshape(-1)[order].astype(np.float64))


# ---- clusters

MEANS = Fold(
    "kmeans", (), ("b", "t"), ("key",), (9.0,),
    (("centre", (Axis("d", D), Axis("key", 5))), ("n", (Axis("key", 5),))),
)  # fmt: skip


def clustered(cuts: list[int], lengths: Array | None = None, seed: int = 0) -> Any:
    """All passes over the examples, which come in other batches in each."""
    before: Any = None
    for turn in range(passes(MEANS) + 1):
        ends = sorted({0, B, *(cuts if turn % 2 else cuts[:1])})
        state: Any = None
        for low, high in pairwise(ends):
            own = {} if lengths is None else {"t": lengths[low:high]}
            new = kept(MEANS, Batch([X[:, low:high]], [XA], low, own), seed, before)
            state = new if state is None else joined(MEANS, state, new)
            (state,) = unpacked(packed({0: state})).values()
        if turn == passes(MEANS):
            return results(MEANS, state, [XA])
        before = ended(MEANS, state, seed)
    raise AssertionError


def lloyd(rows: Array, centre: Array, turns: int) -> tuple[Array, Array]:
    for _ in range(turns):
        near = ((rows[:, None] - centre) ** 2).sum(2).argmin(1)
        centre = np.stack(
            [rows[near == k].mean(0) if (near == k).any() else centre[k] for k in range(5)]
        )
    return centre, np.bincount(near, minlength=5)


@given(cuts=CUTS)
def test_clusters_are_those_of_all_examples_at_once(cuts: list[int]) -> None:
    found = clustered(cuts)
    sample = {"rows": ROWS, "lots": Batch([X], [XA]).lots(("b", "t"), 0)}
    begin = clusters.begun(sample, 5, 0)
    centre, n = lloyd(ROWS, begin, 9)
    np.testing.assert_allclose(found["centre"].T, centre, rtol=1e-9)
    assert found["n"].tolist() == n.tolist()


def test_clusters_depend_on_the_seed_and_on_what_examples_have() -> None:
    assert len({clustered([], seed=seed)["centre"].tobytes() for seed in range(6)}) > 1
    lengths = np.arange(B) % T + 1
    there = (np.arange(T) < lengths[:, None]).reshape(-1)
    found, rows = clustered([4, 9], lengths), ROWS[there]
    assert found["n"].sum() == len(rows)
    near = ((rows[:, None] - found["centre"].T) ** 2).sum(2).argmin(1)
    np.testing.assert_allclose(found["centre"].T[0], rows[near == 0].mean(0), rtol=1e-9)


def test_a_sample_is_the_same_however_examples_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "SAMPLE", 10)
    monkeypatch.setattr(clusters, "EACH", 1)
    one, other = (
        kept(MEANS, Batch([X[:, low:high]], [XA], low), 3) for low, high in [(0, 9), (9, B)]
    )
    whole = kept(MEANS, Batch([X], [XA]), 3)
    assert one
    assert other
    assert whole
    assert len(whole["rows"]) == 10
    for name, value in joined(MEANS, one, other).items():
        np.testing.assert_array_equal(value, whole[name])


# ---- in a spec

SPEC = """
model reader[d = 4, vocab = 6](tokens[b, t]: int) -> [b, t, d]:
    x = embed[vocab -> d](tokens)
    y = x * x
    return y

data words = npz("words.npz"): tokens[t]: int

calibrate stats of reader on words for 3 batches:
    h = 2 * y
    center[d] = mean[b, t](h)
    table[vocab, d] = mean[b, t](h, by = tokens)
    low[d] = quantile[b, t](h, 0.25)
    best[j = 2], at[j] = topk[b](mean[t](h[d = 0]))

calibrate more of reader with ablated on words for 40 examples:
    center = mean[b, t](y)

intervention ablated on reader:
    y = stats.center

intervention by_name on reader with stats:
    y = where(it > low, table[vocab = tokens], center)

train fit of reader with ablated on words:
    loss = mean[b, t, d]((out - stats.center) ^ 2) + 0 * mean[vocab, d](x.w)
    using sgd(lr = 0.1), batch 8, steps 1

experiment look of reader on words:
    run cut = reader with ablated
    run named = reader with by_name
    out = cut.out
    gap = mean[b, t, d](abs(named.out - cut.out))
    same = more.center
    where_best = stats.at
    expect mean[d](abs(more.center - stats.center)) < 1e-6
"""


def session(path: Path, *, resume: bool = False) -> Session:
    tokens = np.random.default_rng(1).integers(0, 6, (90, 5))
    np.savez(path / "words.npz", tokens=tokens)
    program = Program.from_text(SPEC, folder=path)
    console = Console(file=io.StringIO())
    return Session(program, path / "out", resume=resume, console=console)


def test_statistics_are_used_by_name(tmp_path: Path) -> None:
    run = session(tmp_path)
    outcome = run.experiment("look")
    assert all(found.holds for found in outcome.expectations)
    weights = run.program.model("reader").state_dict()["x.w"].numpy().astype(np.float64)
    tokens = np.load(tmp_path / "words.npz")["tokens"]
    h = 2 * weights[tokens] ** 2  # all of them: three batches are more than there are
    found = load_file(tmp_path / "out" / "stats" / "stats.safetensors")
    np.testing.assert_allclose(found["center"], h.reshape(-1, 4).mean(0), rtol=1e-6)
    np.testing.assert_allclose(found["table"], 2 * weights**2, rtol=1e-6)
    score = h[:, :, 0].mean(1)
    assert found["at"].tolist() == np.argsort(-score, kind="stable")[:2].tolist()
    assert outcome.values["where_best"].values.tolist() == found["at"].tolist()
    cut = outcome.values["out"].transpose("b", "t", "d").values
    np.testing.assert_allclose(cut[3, 2], found["center"], rtol=1e-6)
    assert outcome.values["gap"] > 0
    run.weights("fit")
    assert run.weights("fit") is not None


def interrupted(monkeypatch: pytest.MonkeyPatch, batch: int) -> list[int]:
    """Interrupt at that batch, everything being kept at once; how long the batches were so far."""
    monkeypatch.setattr(calibrating, "AUTOSAVE", 0.0)
    lower, seen = calibrating.lower, list[int]()

    def counted(*args: Any, **named: Any) -> Any:
        made = lower(*args, **named)

        def call(inputs: Any) -> Any:
            seen.append(len(next(iter(inputs.values()))))
            if len(seen) == batch:
                raise KeyboardInterrupt
            return made(inputs)

        return call

    monkeypatch.setattr(calibrating, "lower", counted)
    return seen


def test_it_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = session(tmp_path).calibrate("stats")
    seen = interrupted(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        session(tmp_path).calibrate("stats")
    assert seen == [32, 32, 26]
    again = session(tmp_path, resume=True).calibrate("stats")
    assert seen == [32, 32, 26, 26]  # the last batch alone
    for name, value in whole.items():
        np.testing.assert_array_equal(again[name], value)
    session(tmp_path, resume=True).calibrate("stats")
    assert len(seen) == 4  # all of it stood in the file


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a = median[b, t](y)", "no statistic over examples is called `median`"),
        ("a = quantile[b, t](y)", "`quantile` is of 1 value and takes 1 number"),
        ("a = covariance[b, t](y)", "`covariance` gives what is left of its values"),
        ("a = mean[b](y)", "`t` has another size for other examples"),
        ("a[q] = mean[b, t](y)", "no axis is called `q` here"),
        ("a[vocab, d] = mean[b, t](y, by = y)", "a key is a whole number"),
        ("a = mean[b, t](y)\n    a = var[b, t](y)", "`a` already has a value"),
        ("a, c = mean[b, t](y)", "`mean` gives 1 values"),
        ("run y = reader\n    a = mean[b, t](y.y)\n    y = 3", "`y` already has a value"),
        ("run a = decode(prompt = words.tokens, steps = 2)", "statistics are of runs that read"),
        ("a[k = 2, d] = kmeans[b, t](y, 0)", "the examples are read again at least once"),
        ("a[d] = kmeans[b, t](y, 3)", "`kmeans` gives what is left of its values, [d], one more"),
        ("a[k = 2, d], n[d] = kmeans[b, t](y, 3)", "`kmeans` gives what is left"),
    ],
)
def test_what_is_no_statistic_is_said(line: str, message: str) -> None:
    head = SPEC[: SPEC.index("calibrate stats")]
    text = f"{head}calibrate stats of reader on words for 1 batches:\n    {line}\n"
    said = [diagnostic.message for diagnostic in check_text("x.nax", text).diagnostics]
    assert any(message in one for one in said), said


def test_a_calibration_that_needs_itself(tmp_path: Path) -> None:
    text = SPEC.replace("    h = 2 * y\n", "    h = 2 * y * more.center\n")
    with pytest.raises(SpecError):
        Program.from_text(text, folder=tmp_path)


# ---- clusters and lengths in a spec

PLANTED = """
model given[d = 8](x[b, d]) -> [b, d]:
    y = 2 * x
    return y

data points = npz("points.npz"): x[d]: float

calibrate found of given on points for 400 examples:
    centre[k = 2, d], n[k] = kmeans[b](y, 20)
    mid = mean[b](y)

experiment written of given on points:
    run near = given with y = found.centre[k = argmin[k](sum[d]((it - found.centre) ^ 2))]
    y = near.y
"""


def planted(path: Path, *, resume: bool = False) -> tuple[Session, Array, Array]:
    stream = np.random.default_rng(2)
    directions = stream.standard_normal((2, 8))
    which = stream.integers(0, 2, 400)
    points = directions[which] + 0.2 * stream.standard_normal((400, 8))
    np.savez(path / "points.npz", x=points.astype(np.float32))
    program = Program.from_text(PLANTED, folder=path)
    run = Session(program, path / "out", resume=resume, console=Console(file=io.StringIO()))
    return run, directions, which


def test_planted_clusters_are_found_and_written(tmp_path: Path) -> None:
    run, directions, which = planted(tmp_path)
    found = run.calibrate("found")
    unit = found["centre"] / np.linalg.norm(found["centre"], axis=1, keepdims=True)
    cosines = unit @ (directions / np.linalg.norm(directions, axis=1, keepdims=True)).T
    assert (cosines.max(1) > 0.99).all()
    order = cosines.argmax(1)
    assert sorted(order) == [0, 1]
    assert found["n"].tolist() == np.bincount(which)[order].tolist()
    y = run.experiment("written").values["y"].transpose("b", "d").values
    wanted = found["centre"][np.argsort(order)][which]
    np.testing.assert_allclose(y, wanted, rtol=1e-5)


def test_a_pass_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = planted(tmp_path)[0].calibrate("found")
    (tmp_path / "out" / "found" / "found.safetensors").unlink()
    seen = interrupted(monkeypatch, 17)
    with pytest.raises(KeyboardInterrupt):
        planted(tmp_path)[0].calibrate("found")
    again = planted(tmp_path, resume=True)[0].calibrate("found")
    assert len(seen) - 17 < 13 * 3  # it was in the second pass, and settles soon
    for name, value in whole.items():
        np.testing.assert_array_equal(again[name], value)


RAGGED = """
model reader[d = 4, vocab = 256](tokens[b, t of b]: int) -> [b, t, d]:
    x = embed[vocab -> d](tokens)
    seen = cumsum[t](x)
    return seen

data words = jsonl("words.jsonl"): tokens[t of b]: text, label: int

calibrate stats of reader on words for 60 examples:
    center = mean[b, t](seen)
    wide[d, d'] = covariance[b, t](seen)
    table[vocab, d] = mean[b, t](seen, by = tokens)
    middle = quantile[b, t](seen, 0.5)
    bins[bin = 4, d] = histogram[b, t](x, -0.04, 0.04)
    best[j = 3, d], at[j, d] = topk[b, t](seen)
    w[d, e], c[e] = least_squares[b, t](x, seen[d -> e])
    last = mean[b](seen[t = -1])
    next = mean[b, t](seen[t = 1..] - seen[t = 0..-1])
    centre[k = 2, d], n[k] = kmeans[b, t](x, 3)
"""


def test_what_stands_behind_an_end_does_not_count(tmp_path: Path) -> None:
    texts = ["abc" * n for n in (1, 3, 2, 5, 1)] * 10
    lines = "".join(f'{{"tokens": "{text}", "label": 0}}\n' for text in texts)
    (tmp_path / "words.jsonl").write_text(lines, encoding="utf-8")
    program = Program.from_text(RAGGED, folder=tmp_path)
    run = Session(program, tmp_path / "out", console=Console(file=io.StringIO()))
    found = run.calibrate("stats")
    weights = program.model("reader").state_dict()["x.w"].numpy().astype(np.float64)
    tokens = [np.frombuffer(text.encode(), np.uint8) for text in texts]
    x = [weights[own] for own in tokens]
    seen = [own.cumsum(0) for own in x]
    rows, all_x, keys = np.concatenate(seen), np.concatenate(x), np.concatenate(tokens)
    close = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(found["center"], rows.mean(0), **close)
    np.testing.assert_allclose(found["wide"], np.cov(rows.T, bias=True), **close)
    np.testing.assert_allclose(found["table"][97], rows[keys == 97].mean(0), **close)
    middle = np.quantile(rows, 0.5, axis=0, method="lower")
    np.testing.assert_allclose(found["middle"], middle, rtol=ERROR * 1.01)
    for d in range(4):
        bins = np.histogram(all_x[:, d].astype(np.float32), 4, (-0.04, 0.04))[0]
        assert found["bins"][:, d].tolist() == bins.tolist()
    owner = np.concatenate([np.full(len(own), at) for at, own in enumerate(tokens)])
    order = np.argsort(-rows.astype(np.float32), axis=0, kind="stable")[:3]
    np.testing.assert_allclose(found["best"], np.take_along_axis(rows, order, 0), **close)
    assert (owner[order] % 5 == found["at"] % 5).all()
    both = np.concatenate([all_x, np.ones((len(all_x), 1))], 1)
    line = both @ np.linalg.lstsq(both, rows, rcond=None)[0]
    np.testing.assert_allclose(all_x @ found["w"] + found["c"], line, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found["last"], np.stack([s[-1] for s in seen]).mean(0), **close)
    steps = np.concatenate([np.diff(own, axis=0) for own in seen])
    np.testing.assert_allclose(found["next"], steps.mean(0), **close)
    assert found["n"].sum() == len(rows)


# ---- several runs; interventions that read what was found, where no experiment is

TWO = """
model reader[d = 4, vocab = 6](tokens[b, t]: int, L = 2) -> [b, t, vocab]:
    x = embed[vocab -> d](tokens)
    repeat layer * L:
        x = x + tanh(linear[d -> d](x))
    return linear[d -> vocab](x)

data words = npz("words.npz"): tokens[t]: int

intervention half on reader:
    layer[*].x = 0.5 * it

calibrate two of reader on words for 40 examples:
    run other = reader(tokens = (words.tokens + 1) % 6)
    run cut = other with half
    shift = mean[b, t](other.layer[1].x - layer[1].x)
    halved[layer, d] = mean[b, t](cut.layer[*].x)

intervention centred on reader:
    layer[1].x += two.shift

intervention held on reader with two:
    layer[*].x = halved

experiment spoken of reader on words:
    run cut = decode(prompt = words.tokens, steps = 3) with centred
    run named = decode(prompt = words.tokens, steps = 3) with held
    a = cut.tokens
    c = named.tokens
"""


def two(path: Path) -> Program:
    tokens = np.random.default_rng(1).integers(0, 6, (40, 5))
    np.savez(path / "words.npz", tokens=tokens)
    return Program.from_text(TWO, folder=path)


def test_several_runs_read_the_same_examples(tmp_path: Path) -> None:
    program = two(tmp_path)
    found = program.calibrated("two", folder=tmp_path / "out")
    assert found["halved"].dims == ("layer", "d")
    tokens = torch.from_numpy(np.load(tmp_path / "words.npz")["tokens"])
    model = program.model("reader")

    def mean(of: Any, tokens: torch.Tensor, layer: int) -> Array:
        site = f"layer[{layer}].x"
        value = of.trace(tokens, sites=[site])[site]
        return (
            value.tensor.detach().double().mean([value.axes.index(axis) for axis in "bt"]).numpy()
        )

    other = (tokens + 1) % 6
    shift = mean(model, other, 1) - mean(model, tokens, 1)
    np.testing.assert_allclose(found["shift"], shift, atol=1e-6)
    cut = model.under("half")
    wanted = np.stack([mean(cut, other, layer) for layer in range(2)])
    np.testing.assert_allclose(found["halved"], wanted, atol=1e-6)


def test_what_was_found_is_given_to_a_model(tmp_path: Path) -> None:
    program = two(tmp_path)
    found = program.calibrated("two", folder=tmp_path / "out")
    tokens = torch.from_numpy(np.load(tmp_path / "words.npz")["tokens"])
    model = program.model("reader")
    plain = model.trace(tokens, sites=["layer[1].x"])["layer[1].x"].to_xarray()
    cut = model.under("centred", two=found)
    moved = cut.trace(tokens, sites=["layer[1].x"])["layer[1].x"].to_xarray()
    np.testing.assert_allclose((moved - plain).mean(["b", "t"]), found["shift"], atol=1e-6)
    both = cut.under("held")  # it has them already
    traced = both.trace(tokens, sites=["layer[0].x"])["layer[0].x"].to_xarray()
    np.testing.assert_allclose(traced[{"b": 0, "t": 0}], found["halved"][0], atol=1e-6)
    outcome = program.run("spoken", folder=tmp_path / "out")
    for name, label in (("centred", "a"), ("held", "c")):
        under = model.under(name, two=found)
        assert (under.decode(tokens, steps=3).tokens.numpy() == outcome.values[label].values).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "`centred` reads `two.shift`, which is not given"),
        ({"two": {}}, "`centred` reads `two.shift`, which is not given"),
        ({"tow": {}}, "`centred` has no input `tow`"),
    ],
)
def test_what_a_model_is_not_given_is_said(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model = two(tmp_path).model("reader")
    with pytest.raises(SpecError, match=message):
        model.under("centred", **arguments)


def test_a_calibration_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no calibration is called `tow`"):
        two(tmp_path).calibrated("tow")


def test_statistics_of_a_model_that_is_given(tmp_path: Path) -> None:
    run = session(tmp_path)
    program, stats = run.program, run.calibrate("stats")
    found = program.calibrated("stats", folder=tmp_path / "a")
    model = program.model("reader")
    own = program.calibrated("stats", of=model, folder=tmp_path / "b")
    for name, value in stats.items():
        np.testing.assert_array_equal(own[name].values, value)
    cut = model.under("ablated", stats=found)
    again = program.calibrated("stats", of=cut, folder=tmp_path / "c")
    np.testing.assert_allclose(again["center"], 2 * found["center"], rtol=1e-6)  # of 2 * y
    np.testing.assert_allclose(run.calibrate("more")["center"], found["center"], rtol=1e-6)
    assert again["center"].dims == ("d",)
    other = program.calibrated("stats", of=program.model("reader", seed=5), folder=tmp_path / "b")
    assert (other["center"] != own["center"]).any()


def test_several_runs_of_a_model_that_is_given(tmp_path: Path) -> None:
    program = two(tmp_path)
    found = program.calibrated("two", folder=tmp_path / "a")
    model = program.model("reader")
    own = program.calibrated("two", of=model, folder=tmp_path / "b")
    for name, value in found.items():
        np.testing.assert_allclose(own[name], value, atol=1e-6)
    cut = program.calibrated("two", of=model.under("half"), folder=tmp_path / "c")
    assert np.abs(cut["shift"] - found["shift"]).max() > 0.1 * np.abs(found["shift"]).max()
    text = TWO.replace("run cut = other with half", "run cut = reader with base")
    assert text != TWO
    text += """
train base of reader on words:
    loss = mean[b, t](cross_entropy[vocab](out, tokens))
    using sgd(lr = 0.1), steps 1
"""
    with pytest.raises(SpecError, match="runs of other models or weights beside"):
        Program.from_text(text, folder=tmp_path).calibrated("two", of=model, folder=tmp_path)


def test_what_a_given_model_lacks_is_said(tmp_path: Path) -> None:
    text = """
model more(tokens[b, t]: int, y[b]) -> [b]:
    out = y + mean[t](tokens)
    return out
"""
    other = Program.from_text(text)
    program = two(tmp_path)
    with pytest.raises(SpecError, match="`more` takes `y`, which the data do not have"):
        program.calibrated("two", of=other.model("more"), folder=tmp_path)
