"""Kernels of contractions shaped like attention: against the oracle, and how they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from tests.runtime.scored import Scored, scored

import neuraxis
from neuraxis.compiler.costs import FEWEST_SCORES, FEWEST_USUAL, is_worth
from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.runtime import attention, kernels, operators
from neuraxis.runtime.program import Program
from neuraxis.testing import assert_close, check_lowering

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cxx

SPEC = """
model alibi[h = 2, k = 8](q[b, h, t, k], key[b, h, t, k], v[b, h, t, k], slope[h]) -> [b, h, t, k]:
    scores = dot[k](q, key[t -> s]) / sqrt(|k|) - slope * (t - s)
    return dot[s](softmax[s](where(s <= t, scores, -inf)), v[t -> s])

model grouped[h = 4, g = 2, k = 5](
    q[b, t, h, k], key[b, t, g, k], v[b, t, g, k], off[h], c[b, h, t]
) -> [b, t, h, k], [b, h, t]:
    shared = dot[k](q[h -> (g, u)], key[t -> s])
    scores = shared[(g, u) -> h] / sqrt(|k|) + c - c[t -> s]
    pattern = softmax[s](where(abs(t - s) < 9, scores, -inf))
    z = dot[s](pattern[h -> (g, u)], v[t -> s])[(g, u) -> h]
    total = logsumexp[s](where(abs(t - s) < 9, scores, -inf))
    return z * sigmoid(c), total - off

model table[k = 4, n = 6](q[t, k], key[s, k], v[s, e], w[n, m], at[t, s]: int) -> [t, e, m]:
    scores = dot[k](q, key) + w[n = at]
    return dot[s](softmax[s](scores), v)

model documents[k = 4](q[t, k], key[t, k], v[t, k], doc[t]: int) -> [t, k]:
    scores = dot[k](q, key[t -> s])
    return dot[s](softmax[s](where(doc == doc[t -> s], scores, -inf)), v[t -> s])

model window[k = 4](q[t, k], key[t, k], v[t, k]) -> [t, k]:
    scores = dot[k](q, key[t -> s])
    return dot[s](softmax[s](where(s <= t and t - s < 8, scores, -inf)), v[t -> s])

model layers[d = 8](x[b, t, d], L = 2) -> [b, t, d]:
    repeat layer * L:
        attn = window_attention[h = 2, k = 4](x, window = 3)
        x = x + attn
    return x

model whole[d = 8](x[b, t, d]) -> [b, t, d]:
    attn = attention[h = 2, k = 4](x)
    return attn

model causal[d = 8](x[b, t, d]) -> [b, t, d]:
    attn = causal_attention[h = 2, k = 4](x)
    return attn

model perceptron[d = 8](x[b, t, d]) -> [b, t, d]:
    y = mlp[m = 16](x)
    return y

intervention heads on layers:
    layer[0].attn.pattern[h = 1] = 0
"""


@pytest.fixture(autouse=True)
def _always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are taken for the smallest of sizes."""
    monkeypatch.setattr(attention, "is_worth", lambda *_: True)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> neuraxis.Program:
    path = tmp_path_factory.mktemp("specs") / "scored.nax"
    path.write_text(SPEC)
    return neuraxis.load(str(path))


def called(model: Any) -> list[str]:
    """The kernels that a model calls."""
    return [call.name for call in model._artifact.kernels]


def inputs(model: Any, sizes: dict[str, int], seed: int = 0) -> list[torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    found = []
    for argument in model._artifact.arguments:
        shape = [sizes.get(a.name, a.size) for a in argument.axes]
        if argument.decl.dtype == "float":
            found.append(torch.randn(shape, generator=stream, dtype=torch.float64))
        elif argument.decl.dtype == "int":
            found.append(torch.randint(0, 4, shape, generator=stream).sort(-1)[0])
        else:
            found.append(torch.rand(shape, generator=stream) < 0.6)
    return found


def oracle(model: Any, given_: list[torch.Tensor], sizes: dict[str, int]) -> list[Any]:
    named = {
        a.decl.name: NamedArray(tuple(x.name for x in a.axes), np.asarray(value.detach()))
        for a, value in zip(model._artifact.arguments, given_, strict=True)
    }
    found = evaluate(model.checked.body, named, {}, sizes=sizes)
    return [x.arranged(d.order) for x, d in zip(found, model.checked.results, strict=True)]


def gradients(model: Any, given_: list[torch.Tensor]) -> list[Any]:
    leaves = [x.clone().requires_grad_(x.is_floating_point()) for x in given_]
    results = model(*leaves)
    results = results if isinstance(results, tuple) else (results,)
    loss = sum((x * (1 + torch.arange(x.numel()).view(x.shape)).cos()).sum() for x in results)
    floats = [x for x in leaves if x.requires_grad]
    found = torch.autograd.grad(loss, floats, allow_unused=True)
    return [
        np.zeros(x.shape) if g is None else g.numpy() for x, g in zip(floats, found, strict=True)
    ]


@settings(
    max_examples=12,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    deadline=None,
)
@given(drawn=scored())
def test_drawn_scores(drawn: Scored) -> None:
    """Values are those of the oracle, gradients those of PyTorch without kernels."""
    program = Program.from_text(drawn.text)
    model = program.model("drawn").double()
    assert called(model) or "F.scaled_dot_product" in model._artifact.source, drawn.text
    given_ = inputs(model, dict(drawn.sizes), drawn.seed)
    found = model(*given_)
    (wanted,) = oracle(model, given_, dict(drawn.sizes))
    assert_close(found, wanted, what=drawn.text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NEURAXIS_CXX", "none")
        plain = program.model("drawn").double()
        assert not called(plain)
        there = gradients(plain, given_)
    ours = gradients(model, given_)  # a gradient may vanish: a softmax does not see some changes
    assert_close(ours, there, tolerance=1e-9, met=1.0, what=drawn.text)


@pytest.mark.parametrize("name", ["alibi", "grouped", "table"])
def test_a_kernel_is_the_oracle(program: neuraxis.Program, name: str) -> None:
    assert called(program.model(name))
    check_lowering(program, name, dtype="float64")
    check_lowering(program, name, dtype="float32")


@pytest.mark.parametrize("width", [1, 31, 100, 256])
def test_any_number_of_features(width: int) -> None:
    text = SPEC.partition("model grouped")[0].replace("k = 8", f"k = {width}")
    model = Program.from_text(text).model("alibi")
    sizes = {"b": 1, "t": 40}
    given_ = inputs(model, sizes)
    (wanted,) = oracle(model, given_, sizes)
    found = model.float()(*(x.float() for x in given_))
    assert_close(found, wanted, "float32", tolerance=1e-5)


def test_what_a_mask_leaves_out_is_not_visited(program: neuraxis.Program) -> None:
    """No number is made of values that no query of a block sees: 0 times nan would be nan."""
    model = program.model("window").double()
    given_ = inputs(model, {"t": 300})
    given_[2][:100] = torch.nan
    found = model(*given_)
    assert torch.isfinite(found[160:]).all()
    documents = program.model("documents").double()
    doc = torch.arange(300) // 150
    found = documents(*given_, doc)
    assert torch.isfinite(found[192:]).all()
    pulled = gradients(model, given_)
    assert np.isfinite(pulled[0][160:]).all()


def test_threads_change_nothing(program: neuraxis.Program) -> None:
    model = program.model("alibi").double()
    given_ = inputs(model, {"b": 1, "t": 200})
    one = [model(*given_).numpy(), *gradients(model, given_)]
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        several = [model(*given_).numpy(), *gradients(model, given_)]
    finally:
        torch.set_num_threads(threads)
    for a, b in zip(one, several, strict=True):
        assert np.array_equal(a, b)


def test_pytorch_takes_it_as_its_own(program: neuraxis.Program) -> None:
    (call,) = program.model("grouped")._artifact.kernels
    sizes = {"l0": 2, "l1": 2, "l2": 2, "t": 6, "s": 6, "k": 5, "v": 5}
    operands = tuple(
        torch.rand([sizes[axis] for axis in order], dtype=torch.float64, requires_grad=True)
        for order in call.orders
    )
    torch.library.opcheck(getattr(torch.ops.neuraxis, call.name).default, operands)


def test_it_compiles_whole(program: neuraxis.Program) -> None:
    model = program.model("grouped").double()
    given_ = [x.requires_grad_() for x in inputs(model, {"b": 2, "t": 20})]
    whole = torch.compile(model, fullgraph=True, backend="aot_eager")
    found, wanted = whole(*given_), model(*given_)
    assert_close(found, [x.detach().numpy() for x in wanted])
    ours = torch.autograd.grad(sum(x.square().sum() for x in found), given_)
    theirs = torch.autograd.grad(sum(x.square().sum() for x in wanted), given_)
    assert_close(ours, [x.numpy() for x in theirs])


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_transforms(program: neuraxis.Program) -> None:
    """Second derivatives, tangents and `vmap` are right."""
    model = program.model("grouped").double()
    given_ = inputs(model, {"b": 1, "t": 3})

    def first(x: torch.Tensor) -> torch.Tensor:
        z, total = model(x, *given_[1:])
        return z.sin().sum(2).sum(-1) + total.sum(1)

    x = given_[0].clone().requires_grad_()
    assert torch.autograd.gradcheck(first, (x,))
    assert torch.autograd.gradgradcheck(first, (x,), fast_mode=True)
    direction = torch.rand_like(given_[0])
    _, forward = torch.func.jvp(first, (given_[0],), (direction,))
    _, pull = torch.func.vjp(first, given_[0])
    weight = torch.rand_like(forward)
    wanted = (pull(weight)[0] * direction).sum()
    assert_close((forward * weight).sum().detach(), wanted.detach().numpy())
    several = torch.stack([given_[0], 2 * given_[0]])
    batched = torch.func.vmap(first)(several)
    assert_close(batched[1], first(several[1]).detach().numpy())


def test_only_the_layer_that_is_looked_into_is_unfused(program: neuraxis.Program) -> None:
    model = program.model("layers").double()
    given_ = inputs(model, {"b": 2, "t": 12})
    assert len(called(model)) == 1  # both turns are one function
    wanted = model(*given_)
    trace = model.trace(*given_, sites=["layer[1].attn.pattern"])
    assert sorted(trace["layer[1].attn.pattern"].tensor.shape) == [2, 2, 12, 12]
    changed = model.under("heads").double()
    source = changed._artifact.source
    assert source.count(" = attention_") == 1
    assert "softmax" in source
    plain = model(*given_)
    assert_close(plain, wanted.detach().numpy())


def test_what_is_no_attention(program: neuraxis.Program) -> None:
    assert not called(program.model("perceptron"))


def test_plain_causal_attention(program: neuraxis.Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a kernel where that is faster than the call of PyTorch, which runs it elsewhere."""
    model = program.model("causal").double()
    (call,) = model._artifact.kernels
    assert call.is_usual
    assert not is_worth(FEWEST_USUAL - 1, FEWEST_SCORES, is_usual=True)
    assert is_worth(FEWEST_USUAL, FEWEST_SCORES, is_usual=True)
    given_ = inputs(model, {"b": 2, "t": 70})
    found, back = model(*given_), gradients(model, given_)
    monkeypatch.setattr(attention, "is_worth", is_worth)
    assert_close(found, model(*given_).detach().numpy())
    assert_close(back, gradients(model, given_))


GROUPED = """
model m[g = {g}, n = 3, k = 4](
    q[b, t, g, n, k], key[b, t, g, n, k], v[b, t, g, n, k]
) -> [b, t, g, n, k]:
    scores = dot[k](q, key[t -> s])
    return dot[s](softmax[s](where(s <= t, scores, -inf)), v[t -> s])
"""


@pytest.mark.parametrize("g", [2, 3])
def test_what_pytorch_runs_is_of_its_own_sizes(g: int) -> None:
    """One kernel runs any number of groups; what is run in its place is written for one."""
    model = Program.from_text(GROUPED.format(g=g)).model("m").double()
    given_ = inputs(model, {"b": 2, "t": 5})
    assert model(*given_).shape == (2, 5, g, 3, 4)


def test_second_derivatives_of_small_attention(program: neuraxis.Program) -> None:
    """PyTorch's own call, which runs it, has none on the CPU."""
    model = program.model("causal").double()
    given_ = [value.requires_grad_() for value in inputs(model, {"b": 2, "t": 5})]
    (slope,) = torch.autograd.grad((model(*given_) ** 2).sum(), given_[:1], create_graph=True)
    assert torch.autograd.grad((slope**2).sum(), given_[0])[0].abs().max() > 0


def test_attention_without_a_mask_is_left_to_pytorch(program: neuraxis.Program) -> None:
    model = program.model("whole")
    assert not called(model)
    assert "F.scaled_dot_product_attention" in model._artifact.source


def test_positions_outside_of_a_table(program: neuraxis.Program) -> None:
    model = program.model("table").double()
    given_ = inputs(model, {"t": 3, "s": 4, "e": 2, "m": 2})
    given_[-1][1, 2] = 6
    with pytest.raises((IndexError, neuraxis.SpecError)):
        model(*given_)


def test_whole_numbers_that_are_too_large(program: neuraxis.Program) -> None:
    """Ids that differ only beyond what a vector holds: PyTorch runs it."""
    model = program.model("documents").double()
    given_ = inputs(model, {"t": 40})
    given_[-1] = (torch.arange(40) // 20) * 2**33
    (wanted,) = oracle(model, given_, {"t": 40})
    assert_close(model(*given_), wanted)
    assert np.isfinite(gradients(model, given_)[0]).all()


def test_what_is_small_is_run_by_pytorch(
    program: neuraxis.Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(attention.ContractionOperator, "__call__", None)
    model = program.model("alibi").double()
    given_ = inputs(model, {"b": 1, "t": 8})
    (wanted,) = oracle(model, given_, {"b": 1, "t": 8})
    assert_close(model(*given_), wanted)


def test_what_has_no_kernel_is_run_by_pytorch(
    program: neuraxis.Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = program.model("alibi")
    given_ = inputs(model, {"b": 1, "t": 12})
    wanted = model.double()(*given_)
    half = model.bfloat16()(*(x.bfloat16() for x in given_))
    assert half.dtype is torch.bfloat16
    assert_close(half, wanted.numpy(), tolerance=0.05)
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setenv("NEURAXIS_CXX", "no-such-compiler")
    assert not called(program.model("alibi"))
    assert not called(program.model("window"))
    assert [record.message for record in caplog.records] == [
        "no C++ compiler: attention is run by PyTorch alone"
    ]


def test_a_compiler_that_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: Any
) -> None:
    monkeypatch.setattr(kernels, "_known", {})
    monkeypatch.setattr(operators, "_said", set())
    monkeypatch.setenv("NEURAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NEURAXIS_CXXFLAGS", "--no-such-flag")
    text = SPEC.partition("model grouped")[0].replace("(t - s)", "tanh(t - s)")
    model = Program.from_text(text).model("alibi").double()
    given_ = inputs(model, {"b": 1, "t": 9})
    (wanted,) = oracle(model, given_, {"b": 1, "t": 9})
    assert_close(model(*given_), wanted)
    assert all(np.isfinite(x).all() for x in gradients(model, given_))
    assert "no-such-flag" in caplog.text
