"""Memory of kernels: what nobody holds is given out again, what somebody holds never is."""

from __future__ import annotations

import torch

from neuraxis.runtime import memory

SHAPE = (3, 1 << 19)


def empty(shape, dtype):
    return memory.maker(torch.Size(shape), dtype)()


def test_what_is_held_is_never_given_out():
    held = [empty(SHAPE, torch.float32) for _ in range(3)]
    assert len({one.data_ptr() for one in held}) == 3
    view = held[0][1]
    where = held[0].data_ptr()
    del held[0]
    assert empty(SHAPE, torch.float32).data_ptr() != where
    assert view.data_ptr() != where


def test_what_was_used_last_is_given_out_first():
    first, second = (empty(SHAPE, torch.float64) for _ in range(2))
    last = second.data_ptr()
    del first, second
    assert empty(SHAPE, torch.float64).data_ptr() == last


def test_no_more_is_remembered_than_is_said(monkeypatch):
    monkeypatch.setattr(memory, "MOST", 8 << 20)
    for size in range(1, 8):
        empty((size << 18,), torch.float32).fill_(1)
    assert sum(one.size for one in memory._remembered) <= 8 << 20


def test_small_memory_is_not_remembered():
    before = len(memory._remembered)
    empty((4, 4), torch.float32)
    assert len(memory._remembered) == before


def test_memory_has_another_shape_when_it_is_given_out_again():
    first = empty(SHAPE, torch.float32)
    where = first.data_ptr()
    del first
    second = empty((1 << 19, 3), torch.int32)
    assert (second.data_ptr(), second.shape, second.dtype) == (where, (1 << 19, 3), torch.int32)
    second.add_(1)
    assert second._version == 1


def test_memory_of_inference_mode_is_of_use_outside_of_it():
    shape = (5, 1 << 18)
    with torch.inference_mode():
        first = empty(shape, torch.float32)
    where = first.data_ptr()
    del first
    assert not empty(shape, torch.float32).fill_(1).is_inference()
    assert empty(shape, torch.float32).data_ptr() == where
