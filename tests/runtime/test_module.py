"""Emitted source as a module: parameters by address, the border, sharing, casting, copying."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from tests.compiler.emitted import compiled, model_of

from neuraxis.compiler.draws import initial
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.dsl.ops import PARAM
from neuraxis.runtime.module import Model, build

GPT = """
    model gpt[d = 16, vocab = 11, ctx = 7](tokens[b, t]: int) -> [b, t, vocab]:
        param wte[vocab, d] ~ normal(0, 0.02)
        param wpe[ctx, d] ~ normal(0, 0.02)
        x = wte[vocab = tokens] + wpe[ctx = t]
        repeat layer * 2:
            attn = causal_attention[h = 2, k = 8](layernorm[d](x))
            mid = x + attn
            ffn = mlp[m = 16](layernorm[d](mid))
            x = mid + ffn
        final = layernorm[d](x)
        return dot[d](final, wte)
"""
TOKENS = torch.tensor([[1, 2, 3], [4, 5, 6]])


def made(text: str = GPT, **options: Any) -> Any:
    """The model of a spec."""
    model = model_of(text)
    return build(compiled(model), model, **options)


@pytest.fixture
def gpt() -> Any:
    """A small transformer whose queries, keys and values lie side by side."""
    return made()


def test_a_model_is_a_module_with_parameters_by_address(gpt: Any) -> None:
    assert isinstance(gpt, Model)
    keys = list(gpt.state_dict())
    assert keys[:3] == ["wte", "wpe", "layer.0.layernorm.w"]
    assert "layer.1.attn.q.w" in keys
    assert "layer.0.layernorm.2.b" in keys
    assert [name for name, _ in gpt.named_parameters()] == keys
    assert gpt.get_parameter("layer.1.attn.q.w").shape == (16, 2, 8)


def test_initial_values_are_drawn_by_seed_and_address() -> None:
    for seed in (0, 7):
        gpt = made(seed=seed)
        for stored in gpt._artifact.stored:
            value = gpt.state_dict()[stored.key]
            assert np.array_equal(value.numpy(), initial(stored.node, seed).astype(np.float32))
    assert not torch.equal(made(seed=1).wte, made(seed=2).wte)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_may_be_cast(gpt: Any, dtype: torch.dtype) -> None:
    wanted = gpt(TOKENS)
    cast = copy.deepcopy(gpt).to(dtype)
    assert cast(TOKENS).dtype == dtype
    tolerance = 1e-6 if dtype == torch.float64 else 0.05
    assert torch.allclose(cast(TOKENS).float(), wanted, atol=tolerance)
    assert all(p.dtype == dtype for p in cast.parameters())


def test_a_shift_may_be_longer_than_its_axis() -> None:
    both = made("model both(x[t]) -> [t], [t]:\n    return shift[t](x, 3), shift[t](x, -3)\n")
    for length in (1, 2, 3, 4, 5):
        x = torch.arange(1.0, length + 1)
        later, sooner = both(x)
        assert later.tolist() == [0.0, 0.0, 0.0, *x.tolist()][:length]
        assert sooner.tolist() == [*x.tolist(), 0.0, 0.0, 0.0][3 : 3 + length]
    small = made("model small[n = 2](x[n]) -> [n]:\n    return shift[n](x, 3) + x\n")
    assert small(torch.ones(2)).tolist() == [1, 1]


def test_a_function_of_a_size_is_computed_in_the_floats_around_it() -> None:
    model = made("model m(x[b, t]) -> [b, t]:\n    return x - log(|t|)\n").double()
    found = model(torch.zeros(1, 5, dtype=torch.float64))
    assert abs(found[0, 0].item() + np.log(5)) < 1e-15


def test_a_quantile_is_computed_of_any_floats() -> None:
    middle = made(
        "model middle(x[t]) -> []:\n    quantile_of = quantile[t](x, 0.25)\n    return quantile_of\n"
    )
    x = torch.tensor([4.0, 1.0, 3.0, 2.0])
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        found = middle.to(dtype)(x.to(dtype))
        assert found.dtype == dtype
        assert found.item() == 1.75


def test_tables_of_positions_are_exact_in_half_precision() -> None:
    text = "model m[d = 2](x[t, d]) -> [t, d]:\n    return x * cos(t / 3)\n"
    x = torch.ones(600, 2, dtype=torch.bfloat16)
    wanted = torch.cos(torch.arange(600) / 3).bfloat16()
    assert torch.equal(made(text)(x)[:, 0], wanted)


def test_parameters_side_by_side_are_trained_each_for_itself(gpt: Any) -> None:
    layer = gpt.layer[0]
    q, key, v = layer.attn.q.w, layer.attn.key.w, layer.attn.v.w
    whole = layer._attn_beside.wholes[0]
    assert q.data_ptr() == whole.data_ptr()
    assert key.data_ptr() == whole[16:].data_ptr()
    key.requires_grad_(False)
    before = [p.detach().clone() for p in (q, key, v)]
    optimiser = torch.optim.AdamW([p for p in gpt.parameters() if p.requires_grad], 0.1)
    gpt(TOKENS).square().sum().backward()
    assert key.grad is None
    optimiser.step()
    after = [p.detach() for p in (q, key, v)]
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [False, True, False]
    assert q.data_ptr() == whole.data_ptr()


def test_gradients_are_the_same_side_by_side_and_apart(gpt: Any) -> None:
    def gradients() -> dict[str, torch.Tensor]:
        gpt.zero_grad()
        gpt(TOKENS).square().sum().backward()
        return {name: p.grad.clone() for name, p in gpt.named_parameters()}

    wanted = gradients()
    for layer in gpt.layer:
        layer._attn_beside.at = []  # as if somebody had moved them
    for name, gradient in gradients().items():
        assert torch.allclose(gradient, wanted[name], atol=1e-6)


def test_moved_parameters_are_still_seen(gpt: Any) -> None:
    apart = copy.deepcopy(gpt)
    for layer in apart.layer:
        key = layer.attn.key.w
        key.data = torch.zeros_like(key).contiguous()
    for layer in gpt.layer:
        with torch.no_grad():
            layer.attn.key.w.zero_()
    assert torch.allclose(apart(TOKENS), gpt(TOKENS), atol=1e-6)


def test_a_copy_is_apart_from_its_original(gpt: Any) -> None:
    other = copy.deepcopy(gpt)
    wanted = gpt(TOKENS)
    assert torch.equal(other(TOKENS), wanted)
    with torch.no_grad():
        other.layer[0].attn.q.w.fill_(1)
        other.wte.fill_(1)
    assert torch.equal(gpt(TOKENS), wanted)
    assert not torch.equal(other(TOKENS), wanted)
    first = other.layer[0]
    assert first._attn_beside.wholes[0].data_ptr() == first.attn.q.w.data_ptr()


@pytest.mark.parametrize("assign", [False, True])
def test_a_state_dict_can_be_loaded(gpt: Any, assign: bool) -> None:
    file = io.BytesIO()
    torch.save(gpt.state_dict(), file)
    file.seek(0)
    other = made(seed=3)
    other.load_state_dict(torch.load(file), assign=assign)
    assert torch.allclose(other(TOKENS), gpt(TOKENS), atol=1e-6)


def test_models_may_share_parameters(gpt: Any) -> None:
    wanted = gpt(TOKENS)
    other = made(GPT.replace("mid + ffn", "mid + 2 * ffn"), shared=gpt)
    assert torch.equal(gpt(TOKENS), wanted)
    assert other.wte is gpt.wte
    assert other.layer[0].attn.q.w is gpt.layer[0].attn.q.w
    whole = other.layer[0]._attn_beside.wholes[0].data_ptr()
    assert whole == gpt.layer[0]._attn_beside.wholes[0].data_ptr()
    with torch.no_grad():
        gpt.wte.mul_(2)
    assert torch.equal(other.wte, gpt.wte)


def test_what_is_not_shared_is_drawn(gpt: Any) -> None:
    more = GPT.replace("final = ", "extra = linear[d -> d'](x)\n        final = ")
    more = more.replace("dot[d](final, wte)", "dot[d](final, wte) + sum[d'](extra)")
    wanted = gpt.wte.detach().clone()
    other = made(more, shared=gpt)
    assert torch.equal(gpt.wte, wanted)
    assert other.extra.w.shape == (16, 16)
    assert other(TOKENS).isfinite().all()


def test_axes_in_front_ride_along(gpt: Any) -> None:
    tokens = torch.stack([TOKENS, TOKENS + 1, TOKENS + 2])
    found = gpt(tokens)
    assert found.shape == (3, 2, 3, 11)
    for index in range(3):
        assert torch.allclose(found[index], gpt(tokens[index]), atol=1e-6)
    with torch.no_grad():
        gpt.wte.mul_(2)
    assert torch.allclose(gpt(tokens)[1], gpt(tokens[1]), atol=1e-6)


def test_axes_in_front_of_an_input_that_nothing_reads() -> None:
    part = made("model part(x[t], y[t]) -> [t]:\n    return 2 * x\n")
    x, y = torch.randn(3), torch.randn(2, 3)
    assert torch.equal(part(x, y), 2 * x)
    assert torch.equal(part(y, torch.stack([y, y])), 2 * y)


def test_axes_in_front_of_one_input_meet_the_other() -> None:
    model = made("model m(x[b, t], y[t]) -> [b, t]:\n    return x * y\n")
    x, y = torch.randn(5, 2, 3), torch.randn(5, 3)
    assert torch.allclose(model(x, y), x * y[:, None])
    assert torch.allclose(model(x[0], y), x[0] * y[:, None])


def test_inputs_may_be_numbers_and_lists_and_named() -> None:
    model = made("model m(x[t], alpha[]) -> [t]:\n    return alpha * x\n")
    assert model([1, 2], 3).tolist() == [3, 6]
    assert model(np.ones(2), alpha=2).tolist() == [2, 2]
    assert model(alpha=2, x=torch.ones(2, dtype=torch.int64)).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((TOKENS.float(),), "`tokens` is int, and is given as float32"),
        ((TOKENS[0],), "`tokens` has axes [b, t], and is given with shape (3,)"),
        ((torch.zeros(1, 8).long(),), "here it is 8 > 7"),
        ((TOKENS + 9,), "`tokens` holds 11, and `vocab` has 11 positions"),
        ((TOKENS - 2,), "`tokens` holds -1, and `vocab` has 11 positions"),
        ((), "`gpt` needs `tokens`, and is not given it"),
        ((TOKENS, TOKENS), "`gpt` is given 2 inputs, and takes tokens"),
    ],
)
def test_what_does_not_fit_is_said(gpt: Any, given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(SpecError) as error:
        gpt(*given)
    (found,) = error.value.diagnostics
    assert found.slug == "input-mismatch"
    assert message in found.message
    assert gpt(TOKENS).shape == (2, 3, 11)


def test_sizes_must_agree() -> None:
    model = made("model m[d = 3](x[t, d], y[t]) -> [t, d]:\n    return x * y\n")
    with pytest.raises(SpecError, match="`t` is 5 in `y`, and 4 in `x`"):
        model(torch.zeros(4, 3), torch.zeros(5))
    with pytest.raises(SpecError, match="`x` has 2 along `d`, and the model has 3"):
        model(torch.zeros(4, 2), torch.zeros(4))
    with pytest.raises(SpecError, match="`m` is given `z`"):
        model(torch.zeros(4, 3), torch.zeros(4), z=1)


def test_draws_are_new_at_each_call_and_the_same_for_a_seed() -> None:
    text = "model m(x[t]) -> [t]:\n    draw e[t] ~ normal(0, 1)\n    return x + e\n"
    one, other = made(text, seed=3), made(text, seed=3)
    x = torch.zeros(4)
    first, second = one(x), one(x)
    assert not torch.equal(first, second)
    assert torch.equal(other(x), first)
    assert torch.equal(other(x), second)


def test_a_state_is_kept_between_calls() -> None:
    text = "model m(x[t]) -> [t]:\n    state n[] = 0\n    n = n + sum[t](x)\n    return x + n\n"
    model = made(text)
    x = torch.ones(2, requires_grad=True)
    assert model(x).tolist() == [3, 3]
    model(x).sum().backward()
    assert model.state_dict()["n"] == 4
    assert not model.n.requires_grad
    assert model.double()(torch.ones(2)).tolist() == [7, 7]
    with pytest.raises(SpecError, match="keeps a state"):
        model(torch.ones(3, 2))


def test_names_that_are_no_python_names_or_are_taken_by_modules() -> None:
    model = made(
        "model m[d = 2, e = 2](x[b, d]) -> [b, d]:\n"
        "    param lambda[d] = 2\n    param half[d] = 3\n    param buffers[d] = 4\n"
        "    type = linear[d -> e](x)\n"
        "    return x * lambda * half * buffers + 0 * sum[e](type)\n"
    )
    assert {"lambda", "half", "buffers", "type.w"} <= model.state_dict().keys()
    assert model(torch.ones(1, 2)).tolist() == [[24, 24]]
    assert model.half()(torch.ones(1, 2)).dtype == torch.float16


def test_parts_may_be_called_like_what_a_model_has_at_run_time() -> None:
    for name in ("seen", "key", "modules", "graph", "run", "beside"):
        text = f"model m[d = 2](x[b, t, d]) -> [b, t, d]:\n    {name} = causal_attention(x)\n"
        again = made(f"{text}    return {name}\n")
        x = torch.randn(1, 3, 2)
        assert torch.equal(again(x), again(x))


def test_a_fixed_parameter_is_not_trained() -> None:
    model = made("model m[d = 2](x[d]) -> [d]:\n    fixed w[d] ~ normal(0, 1)\n    return x * w\n")
    assert not list(model.parameters())
    assert "w" in model.state_dict()


def test_functional_calls_see_their_parameters(gpt: Any) -> None:
    weights = {name: p.detach() * 0.5 for name, p in gpt.named_parameters()}
    found = torch.func.functional_call(gpt, weights, (TOKENS,))
    with torch.no_grad():
        for p in gpt.parameters():
            p.mul_(0.5)
    assert torch.allclose(found, gpt(TOKENS), atol=1e-6)


@pytest.mark.slow
def test_it_is_compiled_without_a_break(gpt: Any) -> None:
    fast = torch.compile(gpt, backend="eager", fullgraph=True, dynamic=True)
    for shape in ((2, 3), (3, 5)):
        tokens = torch.zeros(shape, dtype=torch.int64)
        assert torch.allclose(fast(tokens), gpt(tokens), atol=1e-6)


def test_every_parameter_op_is_a_leaf(gpt: Any) -> None:
    assert all(p.is_leaf for p in gpt.parameters())
    graph = gpt._graph
    parameters = [n for n in graph.in_order() if graph.node(n).op is PARAM]
    assert len(parameters) == len(list(gpt.parameters()))


def test_parameters_that_start_from_expressions_hold_floats_like_the_others() -> None:
    model = made("""
        model m[n = 4](x[b, n]) -> [b, n]:
            param rate[n] = log(n + 1)
            param first[n] = where(n < 2, 1, 0)
            return x * rate * first
    """)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    assert all(value.requires_grad for value in model.parameters())
    assert model(torch.ones(2, 4)).dtype == torch.float32
