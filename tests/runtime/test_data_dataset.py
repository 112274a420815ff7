from __future__ import annotations

from itertools import chain, islice

import numpy as np
import pytest

from neuraxis.runtime.data import Column, Cursor, Dataset, generator
from neuraxis.runtime.data.dataset import aligned, full, stack


def numbers(count: int) -> Dataset:
    return Dataset(
        {"x": full(np.arange(count)), "y": full(np.arange(count * 2).reshape(-1, 2), "c")}
    )


def joined(parts: list[list[int]]) -> list[int]:
    return list(chain.from_iterable(parts))


def test_generators_differ_by_seed_and_by_key_only() -> None:
    def first(*key: str | int) -> int:
        return int(generator(*key).integers(2**60))  # type: ignore[arg-type]

    assert first(0, "a") == first(0, "a")
    assert len({first(0, "a"), first(1, "a"), first(0, "b"), first(0, "a", 1)}) == 4
    assert first(-1, "a") != first(1, "a")
    assert first(0, "a") == 123551884740425017  # the same on every machine


def test_a_column_has_one_axis_for_each_dimension() -> None:
    with pytest.raises(ValueError, match="axes"):
        Column(("b",), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="axes"):
        Column(("t", "b"), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="lengths of t"):
        Column(("b", "t"), np.zeros((2, 3)), {"t": np.array([1, 4])})


def test_an_axis_has_one_size_in_a_data_set() -> None:
    with pytest.raises(ValueError, match="axis b has size 3 in y, 2 elsewhere"):
        Dataset({"x": full(np.zeros(2)), "y": full(np.zeros(3))})
    with pytest.raises(ValueError, match="at least one field"):
        Dataset({})


def test_stack_pads_ragged_axes_and_keeps_lengths() -> None:
    column = stack([np.ones((2, 3)), np.ones((1, 3))], ["t", "d"], {"t"})
    assert column.axes == ("b", "t", "d")
    assert column.values.sum(axis=(1, 2)).tolist() == [6, 3]
    assert column.lengths["t"].tolist() == [2, 1]
    with pytest.raises(ValueError, match="axis d has size 3 in example 0, 4 in 1"):
        stack([np.ones((2, 3)), np.ones((2, 4))], ["t", "d"], {"t"})


def test_fields_that_share_a_ragged_axis_are_aligned() -> None:
    short, long = ([np.arange(n)] for n in (2, 5))
    columns = aligned({"a": stack(short, ["t"], {"t"}), "b": stack(long, ["t"], {"t"})})
    assert {name: column.values.shape for name, column in columns.items()} == {
        "a": (1, 5),
        "b": (1, 5),
    }
    assert columns["a"].lengths["t"].tolist() == [2]


def test_take_and_pick_keep_fields_together() -> None:
    data = numbers(5)
    assert len(data.take(3)) == 3
    assert len(data.take(9)) == 5
    assert len(data.take(-1)) == 0
    picked = data.pick(np.array([4, 0]))
    assert picked["x"].values.tolist() == [4, 0]
    assert picked["y"].values.tolist() == [[8, 9], [0, 1]]
    assert "x" in picked
    assert "z" not in picked


def test_a_split_is_disjoint_covers_all_and_follows_the_seed() -> None:
    train, held = numbers(50).split(0.2, seed=3)
    assert (len(train), len(held)) == (40, 10)
    assert sorted([*train["x"].values, *held["x"].values]) == list(range(50))
    assert numbers(50).split(0.2, seed=3)[1]["x"].values.tolist() == held["x"].values.tolist()
    assert numbers(50).split(0.2, seed=4)[1]["x"].values.tolist() != held["x"].values.tolist()


def test_nothing_is_held_back_of_too_little() -> None:
    assert numbers(3).with_held(0.1, seed=0).held is None
    assert numbers(1).with_held(0.9, seed=0).held is None
    held = numbers(30).with_held(0.1, seed=0).held
    assert held is not None
    assert len(held) == 3


def test_an_epoch_reads_everything_once() -> None:
    sizes = [len(batch) for batch in numbers(10).batches(4)]
    assert sizes == [4, 4, 2]
    read = [batch["x"].values.tolist() for batch in numbers(10).batches(4)]
    assert joined(read) == list(range(10))
    shuffled = [b["x"].values.tolist() for b in numbers(10).batches(4, seed=1, shuffle=True)]
    assert sorted(joined(shuffled)) == list(range(10))
    assert joined(shuffled) != list(range(10))
    other = [b["x"].values.tolist() for b in numbers(10).batches(4, seed=1, epoch=1, shuffle=True)]
    assert other != shuffled


def test_an_epoch_can_be_taken_up_in_the_middle() -> None:
    whole = list(numbers(10).batches(3, seed=1, shuffle=True))
    rest = list(numbers(10).batches(3, seed=1, shuffle=True, start=2))
    assert [b["x"].values.tolist() for b in rest] == [b["x"].values.tolist() for b in whole[2:]]


def test_a_stream_goes_on_from_any_cursor() -> None:
    data = numbers(10)
    batches = list(islice(data.stream(4, seed=5), 7))
    assert {len(batch) for batch, _ in batches} == {4}
    assert batches[1][1] == Cursor(0, 2)
    assert batches[2][1] == Cursor(1, 1)
    for done in range(6):
        _, at = batches[done]
        following, _ = next(data.stream(4, seed=5, start=at))
        assert following["x"].values.tolist() == batches[done + 1][0]["x"].values.tolist()


def test_a_stream_of_less_than_a_batch_gives_all_there_is() -> None:
    batches = list(islice(numbers(3).stream(8, seed=0), 2))
    assert [sorted(batch["x"].values.tolist()) for batch, _ in batches] == [[0, 1, 2]] * 2
    with pytest.raises(ValueError, match="empty"):
        next(numbers(0).stream(8, seed=0))
