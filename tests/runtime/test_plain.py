"""Recurrences as PyTorch runs them where there is no kernel: by steps, or in parallel if that pays."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
import torch

from neuraxis.compiler.artifact import KernelCall
from neuraxis.compiler.costs import in_parallel
from neuraxis.runtime import kernels, loops, operators
from neuraxis.runtime.explain import explain_model
from neuraxis.runtime.module import build
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close

CELLS = """
model corrected[k = 4, v = 3](
    q[b, t, k], key[b, t, k], val[b, t, v], beta[b, t], a[b, t]
) -> [b, t, v], [b, k, v]:
    scan t:
        carry S[k, v] = 0
        kept = a * S
        S = kept + 0.2 * beta * key * (val - dot[k](key, kept))
        o = dot[k](q, S)
    return o, S[t = -1]

model turned[d = 3](x[b, t, d], a[b, t, d]) -> [b, t, d], [b, d]:
    scan t reversed:
        carry re[d], im[d] = 0
        re = 0.6 * a * re - 0.6 * a * im + x
        im = 0.6 * a * prev(re) + 0.6 * a * im
    return re, im[t = 0]

model mixed[d = 3](x[b, t, d]) -> [b, t, d], [b, d]:
    scan t:
        carry y[d], S[d] = 0
        y = tanh(y + x)
        S = sigmoid(y) * S + prev(y)
    return S, y[t = -1]

model bounded[d = 3](x[b, t, d]) -> [b, t, d], [b, d]:
    scan t:
        carry y[d] = 0
        y = tanh(y + x)
    return y, y[t = -1]
"""
NAMES = ["corrected", "turned"]


@pytest.fixture(scope="module")
def program() -> Program:
    return Program.from_text(CELLS)


def inputs(model: Any, length: int, batch: int = 2) -> list[torch.Tensor]:
    known = {"b": batch, "t": length}
    stream = torch.Generator().manual_seed(0)
    return [
        torch.rand([known.get(a.name, a.size) for a in x.axes], generator=stream).double()  # type: ignore[arg-type]
        for x in model._artifact.arguments
    ]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The forms in which recurrences were run."""
    found: list[str] = []
    own = loops.Plain._pays

    def told(self: loops.Plain, operands: Any) -> bool:
        pays = own(self, operands)
        found.append("parallel" if pays else "steps")
        return pays

    monkeypatch.setattr(loops.Plain, "_pays", told)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_long_ones_are_run_in_parallel(program: Program, name: str, taken: list[str]) -> None:
    """With the results and gradients of the steps, and short ones by steps."""
    model = program.model(name).double()
    loop = build(model._graph, model.checked, shared=model, kernels=False)
    for length, form in ((5, "steps"), (70, "parallel")):
        given = [x.requires_grad_() for x in inputs(model, length)]
        found, wanted = model(*given), loop(*given)
        assert taken.pop() == form
        assert_close(found, [x.detach().numpy() for x in wanted], tolerance=1e-12)
        both = [
            torch.autograd.grad(sum(r.square().sum() for r in one), given)
            for one in (found, wanted)
        ]
        assert_close(both[0], [x.numpy() for x in both[1]], tolerance=1e-12)


def test_large_ones_are_not(program: Program, taken: list[str]) -> None:
    """An associative scan goes through memory more often than the loop; products do only there."""
    for name, learns, form in (
        ("turned", True, "steps"),
        ("corrected", True, "parallel"),
        ("corrected", False, "steps"),
    ):
        model = program.model(name).double()
        given = [x.requires_grad_(learns) for x in inputs(model, 40, 6000)]
        model(*given)
        assert taken.pop() == form, (name, learns)


def test_what_has_a_loop_anyway_is_that(program: Program) -> None:
    assert not program.model("mixed")._artifact.kernels
    assert not program.model("bounded")._artifact.kernels


def test_what_carries_nothing_has_no_form() -> None:
    """Its steps may be as many as something that none of them reads."""
    text = """
    model m[d = 2](x[b, d]) -> [a, d]:
        scan a * 2:
            v = d + 0.0
        return v
    """
    model = Program.from_text(textwrap.dedent(text).lstrip()).model()
    assert not model._artifact.kernels
    assert model(torch.zeros(1, 2)).tolist() == [[0.0, 1.0]] * 2


def test_explain_says_so(program: Program) -> None:
    def said(name: str) -> str:
        model = program.model(name)
        return "\n".join(explain_model(model.checked, model._graph))

    (call,) = program.model("turned")._artifact.kernels
    assert isinstance(call, KernelCall)
    worth = in_parallel(call.scan)
    assert str(worth) == "in parallel from 32 steps on, of at most 64 numbers"
    assert str(worth) in said("turned")
    assert "from 16 steps on, of at most 65536 numbers or with gradients" in said("corrected")
    assert "in parallel from" not in said("bounded")


def test_there_is_one_notice(
    program: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setattr(kernels, "_known", {})
    monkeypatch.setenv("NEURAXIS_CXX", "no-such-compiler")
    for name in (*NAMES, "mixed"):
        model = program.model(name).double()
        model(*inputs(model, 40))
    assert [record.message for record in caplog.records] == [
        "no C++ compiler: recurrences are run by PyTorch"
    ]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_it_can_be_traced_and_transformed(program: Program) -> None:
    """`torch.export` takes a length of the form that it saw; `vmap` and tangents see through."""
    model = program.model("corrected").double()
    given = inputs(model, 20)
    wanted = model(*given)
    exported = torch.export.export(model, tuple(given))
    assert_close(exported.module()(*given), [x.numpy() for x in wanted])
    batched = torch.func.vmap(model, (0, None, None, None, None))(
        torch.stack([given[0], 2 * given[0]]), *given[1:]
    )
    assert_close(batched[0][1], 2 * wanted[0].numpy())
    _, tangent = torch.func.jvp(lambda q: model(q, *given[1:])[0], (given[0],), (given[0],))
    assert_close(tangent, wanted[0].numpy())
