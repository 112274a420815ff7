"""Calls like one before: whatever changes between two calls, the numbers are those of PyTorch."""

from __future__ import annotations

import itertools

import pytest
import torch

from neuraxis.runtime import straight
from neuraxis.runtime.program import Program

pytestmark = pytest.mark.cxx

SPEC = """
model cell[d = 5](a[b, t, d], x[b, t, d]) -> [b, t, d], [b, t, d]:
    scan t:
        carry s[d] = 0
        s = a * s + x
        twice = 2 * s * x
    return s, twice
"""


@pytest.fixture(scope="module")
def cell():
    return Program.from_text(SPEC).model("cell")


def by_loop(a, x):
    s, found = torch.zeros_like(x[:, 0]), []
    for t in range(x.shape[1]):
        s = a[:, t] * s + x[:, t]
        found.append(s)
    found = torch.stack(found, 1)
    return found, 2 * found * x


def drawn(b=2, t=7):
    stream = torch.Generator().manual_seed(b * 100 + t)
    return [torch.randn(b, t, 5, generator=stream, dtype=torch.float64) for _ in range(2)]


def same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other)


def check(cell, given, learns, read, weigh=lambda y: y.sin().sum()):
    """Values, and gradients of what `learns` from the results that are `read`."""
    sides = []
    for function in (cell, by_loop):
        own = [x.detach().requires_grad_(need) for x, need in zip(given, learns, strict=True)]
        found = function(*own)
        loss = sum(weigh(found[at]) for at in read)
        wanted = [x for x in own if x.requires_grad]
        sides.append([*found, *(torch.autograd.grad(loss, wanted) if wanted else ())])
    same(*sides)


def test_calls_of_all_kinds_in_turn(cell):
    kinds = itertools.product(
        [(2, 7), (3, 4)], [(1, 1), (0, 1), (1, 0), (0, 0)], [(0,), (1,), (0, 1)]
    )
    for size, learns, read in [*kinds] * 2:
        check(cell, drawn(*size), [bool(one) for one in learns], read)


def test_gradients_that_lie_otherwise(cell):
    ways = [lambda y: y.sum(), lambda y: y.sin().sum(), lambda y: (y.mT * y.mT).sum()]
    for weigh in ways * 2:
        check(cell, drawn(), (True, True), (0, 1), weigh)


def test_operands_that_lie_otherwise(cell):
    a, x = drawn()
    for _ in range(2):
        check(cell, (a, x), (True, True), (0, 1))
        check(cell, (a.mT.contiguous().mT, x), (True, True), (0, 1))
        check(cell, (a[:1].expand(2, 7, 5), x), (False, True), (0, 1))


def test_some_gradients_of_a_call_then_others(cell):
    own = [x.requires_grad_() for x in drawn()]
    for _ in range(2):
        for wanted in (own, own[:1], own[1:]):
            sides = []
            for function in (cell, by_loop):
                loss = function(*own)[0].sin().sum()
                sides.append(torch.autograd.grad(loss, wanted, retain_graph=True))
                sides[-1] += torch.autograd.grad(loss, wanted)
            same(*sides)


def test_a_second_derivative_after_a_first(cell):
    own = [x.requires_grad_() for x in drawn()]
    for _ in range(2):
        check(cell, drawn(), (True, True), (0, 1))
        sides = []
        for function in (cell, by_loop):
            first = torch.autograd.grad(function(*own)[1].sin().sum(), own, create_graph=True)
            sides.append(torch.autograd.grad(sum(one.sin().sum() for one in first), own))
        same(*sides)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_modes_and_transforms_after_plain_calls(cell):
    given = drawn()
    wanted = by_loop(*given)
    for _ in range(2):
        check(cell, given, (True, True), (0, 1))
        with torch.no_grad():
            same(cell(*given), wanted)
        with torch.inference_mode():
            same(cell(*given), wanted)
        both = [torch.stack([x, 2 * x]) for x in given]
        same(torch.vmap(cell)(*both), torch.vmap(by_loop)(*both))
        along = tuple(given)
        same(torch.func.jvp(cell, along, along)[1], torch.func.jvp(by_loop, along, along)[1])


def test_what_is_saved_may_come_back_otherwise(cell):
    def otherwise(x):
        return x.mT.contiguous().mT if x.dim() > 1 else x

    for _ in range(2):
        check(cell, drawn(), (True, True), (0, 1))
        with torch.autograd.graph.saved_tensors_hooks(lambda x: x, otherwise):
            check(cell, drawn(), (True, True), (0, 1))


def test_more_kinds_than_are_remembered(cell):
    for t in [*range(1, straight.MOST + 3)] * 2:
        check(cell, drawn(t=t), (True, True), (0, 1))


def test_gradients_lie_in_memory_as_operands_do(cell):
    own = [x.requires_grad_() for x in drawn()]
    found = torch.autograd.grad(cell(*own)[0].sum(), own)
    assert [one.stride() for one in found] == [x.stride() for x in own]


def test_results_are_changed_in_place_as_others_are(cell):
    own = [x.requires_grad_() for x in drawn()]
    sides = []
    for function in (cell, by_loop):
        found = function(*own)[1]
        found = found.mul_(3) if function is cell else found * 3
        sides.append(torch.autograd.grad(found.sin().sum(), own))
    same(*sides)
    first = cell(*own)[0]
    first.mul_(2)  # it is read on the way back
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        first.sum().backward()
