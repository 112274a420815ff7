from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from tests.runtime.small import READER, oracle, program, same, tokens

from neuraxis.compiler.build import build
from neuraxis.dsl.diagnostics import SpecError

if TYPE_CHECKING:
    from neuraxis.runtime.model import SpecModel


@pytest.fixture(scope="module")
def reader() -> SpecModel:
    with pytest.MonkeyPatch.context() as patch:  # like what tests make of it
        patch.setenv("NEURAXIS_CXX", "none")
        return program().model("reader")


@pytest.fixture(scope="module")
def remembering() -> SpecModel:
    return program().model("reader", mixer="memory")


def test_parameters_are_called_as_in_the_spec(reader: SpecModel) -> None:
    names = list(reader.state_dict())
    assert names[:2] == ["wte", "wpe"]
    assert "layer.1.attn.q.w" in names
    assert tuple(reader.state_dict()["layer.0.attn.q.w"].shape) == (4, 2, 2)
    other = program().model("reader", seed=1)
    other.load_state_dict(reader.state_dict())
    assert torch.equal(other(tokens(2, 3)), reader(tokens(2, 3)))


def test_sites_have_axes_and_sizes(reader: SpecModel) -> None:
    assert [str(site) for site in reader.sites("layer[*].attn.pattern")] == [
        "layer[0].attn.pattern[b, t, h=2, s=t]: float",
        "layer[1].attn.pattern[b, t, h=2, s=t]: float",
    ]
    assert [str(site) for site in reader.sites("tokens")] == ["tokens[b, t]: int"]
    assert reader.sites("layer[0].attn.nothing") == []
    assert "layer[1].attn.out.w" in [site.address for site in reader.sites()]


def test_sites_inside_of_recurrences_have_all_steps(remembering: SpecModel) -> None:
    found = {site.address: site.axes for site in remembering.sites("layer[0].attn.*")}
    assert set(found["layer[0].attn.inner"]) == {"b", "t", "d"}
    assert set(found["layer[0].attn.y"]) == {"b", "t", "d"}


# ---- traces


@pytest.mark.parametrize("kind", ["reader", "remembering"])
def test_a_trace_is_what_the_oracle_computes(kind: str, request: pytest.FixtureRequest) -> None:
    model: SpecModel = request.getfixturevalue(kind)
    given = tokens(2, 3)
    graph = build(model.checked)
    wanted = oracle(model, graph, tokens=given)
    places = graph.sites()
    trace = model.trace(given, sites=["*"])
    assert set(trace) == {site.address for site in model.sites()}
    assert set(places) <= set(trace)
    for address, node in places.items():
        value = trace[address]
        found = value.tensor.detach().double().numpy()
        np.testing.assert_allclose(found, wanted[node].arranged(value.axes), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        trace.results[0], model(given)
    )  # the open and the fused kernels round differently


def test_values_inside_of_recurrences_are_traced(remembering: SpecModel) -> None:
    given = tokens(2, 3)
    trace = remembering.trace(given, sites=["layer[*].attn.inner", "layer[*].attn.y"])
    assert list(trace) == [f"layer[{n}].attn.{name}" for name in ("inner", "y") for n in range(2)]
    inner, y = (
        trace[f"layer[0].attn.{name}"].to_xarray().transpose("t", "b", "d").values
        for name in ("inner", "y")
    )
    state = np.zeros((2, 4))
    for step, after in zip(inner, y, strict=True):
        state = 0.5 * state + step
        np.testing.assert_allclose(after, state, atol=1e-6)


def test_values_inside_of_a_recurrence_in_another_are_traced() -> None:
    model = program("""
        model m(x[b, t]) -> [b]:
            v = x[t -> s]
            scan t:
                carry y = 0
                scan s:
                    carry z = 0
                    step = v * y + 1
                    z = 0.5 * z + step
                y = x + z[s = -1]
            return y[t = -1]
    """).model()
    x = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
    (step,) = [site for site in model.sites() if site.address.endswith("step")]
    assert set(step.axes) == {"b", "t", "s"}
    trace = model.trace(torch.from_numpy(x), sites=[step.address])
    found = trace[step.address].to_xarray().transpose("t", "s", "b").values
    y = np.zeros(2)
    for at in range(3):
        z = np.zeros(2)
        for place in range(3):
            np.testing.assert_allclose(found[at, place], x[:, place] * y + 1, atol=1e-5)
            z = 0.5 * z + found[at, place]
        y = x[:, at] + z
    np.testing.assert_allclose(trace.results[0].numpy(), y, atol=1e-5)


def test_a_trace_keeps_gradients_and_has_labels(reader: SpecModel) -> None:
    trace = reader.trace(tokens(1, 3), sites=["layer[0].x", "layer[1].attn.scores"])
    trace["layer[0].x"].tensor.sum().backward()
    assert reader.wte.grad is not None
    reader.zero_grad()
    data = trace.to_xarray()
    assert data["layer[0].x"].dims == ("b", "t", "d")
    assert trace["layer[1].attn.scores"].to_xarray().name is None
    assert len(trace) == 2


def test_axes_of_one_name_and_two_sizes_are_kept_apart() -> None:
    model = program("""
        model m(x[b, t]) -> [b, t]:
            y = x[t = 1..]
            return y
    """).model()
    data = model.trace(torch.zeros(2, 5), sites=["x", "y"]).to_xarray()
    assert dict(data.sizes) == {"b": 2, "t": 5, "y.t": 4}


def test_a_trace_of_nothing_is_an_error(reader: SpecModel) -> None:
    with pytest.raises(SpecError, match=r"no site matches `layer\[0\].attn.patern`") as error:
        reader.trace(tokens(1, 2), sites=["layer[0].attn.patern"])
    assert "layer[0].attn.pattern" in (error.value.diagnostics[0].hint or "")


def test_a_trace_is_a_call() -> None:
    model = program(
        """
        model m(x[b]) -> [b]:
            draw e[b] ~ normal(0, 1)
            state n[b = 3] = 0
            n = n + 1
            return x + e
    """.replace("m(x[b])", "m[b = 3](x[b])").replace("n[b = 3]", "n[b]")
    ).model()
    x = torch.zeros(3)
    first = model.trace(x, sites=["e"])
    assert torch.equal(first.results[0], first["e"].tensor)
    assert not torch.equal(model(x), first.results[0])
    assert model.state_dict()["n"].tolist() == [2, 2, 2]


# ---- interventions


def test_an_intervention_that_changes_nothing_costs_nothing(reader: SpecModel) -> None:
    assert reader.under("nothing")._artifact.source == reader._artifact.source


def test_an_intervention_gives_another_model(reader: SpecModel) -> None:
    given, before = tokens(2, 3), reader(tokens(2, 3))
    damped = reader.under("damp")
    assert damped.wte is reader.wte
    assert not torch.equal(damped(given), before)
    same(damped(given, **{"damp.by": 1.0}), before)
    same(damped(given, torch.tensor(1.0)), before)
    same(reader.under("damp", by=np.float64(1))(given), before)
    assert torch.equal(reader(given), before)
    halves = damped.trace(given, sites=["layer[0].attn"])["layer[0].attn"].tensor
    same(halves, reader.trace(given, sites=["layer[0].attn"])["layer[0].attn"].tensor / 2)


def test_tensors_given_to_an_intervention_are_differentiable(reader: SpecModel) -> None:
    v = torch.zeros(4, requires_grad=True)
    pushed = reader.under("add", l=0, v=v)
    pushed(tokens(1, 3))[0, -1, 2].backward()
    assert v.grad is not None
    assert float(v.grad.abs().sum()) > 0
    reader.zero_grad()
    both = pushed.under("damp", by=0.0)
    assert both(tokens(1, 3)).shape == (1, 3, 6)
    with pytest.raises(SpecError, match=r"needs `add.v`, and is not given it"):
        reader.under("add", l=0)(tokens(1, 3))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("dampen", {}, "no intervention is called `dampen`"),
        ("damp", {"bye": 1.0}, "`damp` has no parameter `bye`"),
        ("add", {"l": 0, "w": torch.zeros(4)}, "`add` has no input `w`"),
        ("add", {"l": 7, "v": torch.zeros(4)}, "no site matches `layer[7].x`"),
    ],
)
def test_wrong_interventions(
    reader: SpecModel, name: str, arguments: dict[str, object], said: str
) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        reader.under(name, **arguments)


# ---- batches of several lengths


@pytest.mark.parametrize("mixer", [None, "both_ways", "near", "memory"])
def test_a_batch_of_one_is_a_row_of_a_batch(mixer: str | None) -> None:
    model = program().model("reader", **({} if mixer is None else {"mixer": mixer}))
    given, lengths = tokens(3, 6), [4, 6, 1]
    found = model(given, lengths=lengths)
    assert found.shape == (3, 6, 6)
    for place, length in enumerate(lengths):
        same(found[place, :length], model(given[place : place + 1, :length])[0])
    found[1, :4].sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_what_reads_back_only_runs_as_it_is(reader: SpecModel) -> None:
    assert reader._padded()._artifact.source == reader._artifact.source
    found = reader(tokens(2, 5), lengths=torch.tensor([5, 2]))
    assert torch.equal(found, reader(tokens(2, 5)))


def test_lengths_go_with_traces_interventions_and_further_axes() -> None:
    model = program().model("reader", mixer="both_ways")
    given = tokens(2, 5)
    damped = model.under("damp", by=0.3)
    trace = damped.trace(given, sites=["layer[1].attn", "layer[0].ffn.w"][:1], lengths=[5, 3])
    value = trace["layer[1].attn"]
    assert value.axes == ("b", "t", "d")
    alone = damped.trace(given[1:, :3], sites=["layer[1].attn"])
    same(value.tensor[1, :3], alone["layer[1].attn"].tensor[0])
    two = model(torch.stack([given, given]), lengths=[5, 3])
    same(two[1], model(given, lengths=[5, 3]))


def test_two_ragged_axes() -> None:
    model = program("""
        model m(x[b, t of b], y[b, s of b]) -> [b]:
            return mean[t, s](x * y) + max[s](y)
    """).model()
    x, y = torch.randn(2, 4), torch.randn(2, 3)
    found = model(x, y, lengths={"t": [4, 2], "s": [1, 3]})
    same(found[0:1], model(x[:1], y[:1, :1]))
    same(found[1:], model(x[1:, :2], y[1:]))


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([5], "there are 1 lengths of `t`, and `b` is 2"),
        ([3, 6], "a length of `t` is 6, and the input has 5"),
        ([0, 2], "a length of `t` is 0"),
        ([1.5, 2.0], "lengths of `t` are whole numbers, one for each `b`"),
        ({"s": [1, 2]}, "`reader` needs lengths of `t`, and is given those of s"),
    ],
)
def test_wrong_lengths(reader: SpecModel, lengths: object, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)):
        reader(tokens(2, 5), lengths=lengths)


def test_limits_hold_in_each_example() -> None:
    model = program("""
        model m(x[b, t of b]) -> [b]:
            return x[t = 2]
    """).model()
    assert model(torch.zeros(2, 4), lengths=[3, 4]).shape == (2,)
    with pytest.raises(SpecError, match="in example 1 it is 3 > 2"):
        model(torch.zeros(2, 4), lengths=[3, 2])


def test_a_model_without_ragged_axes_takes_no_lengths() -> None:
    model = program("model m(x[b, t]) -> [b]:\n    return sum[t](x)\n").model()
    with pytest.raises(SpecError, match="`m` has no ragged axis"):
        model(torch.zeros(2, 3), lengths=[1, 2])
    named = program("model m(lengths[b]: int) -> [b]:\n    return lengths\n").model()
    assert named(lengths=[1, 2]).tolist() == [1, 2]


def test_what_cannot_be_padded_is_said_where_it_stands() -> None:
    model = program("""
        model m(x[b, t of b]) -> [b]:
            return sort[b](x)[t = 0]
    """).model()
    assert model(torch.zeros(2, 3)).shape == (2,)
    with pytest.raises(SpecError, match=r"sort\[b\] puts other examples in their places") as error:
        model(torch.zeros(2, 3), lengths=[1, 3])
    assert error.value.diagnostics[0].span.text == "sort[b](x)"


def test_a_state_has_no_value_for_each_length() -> None:
    model = program("""
        model m(x[b, t of b]) -> [b, t]:
            state steps[] = 0
            scan t:
                carry y = 0
                steps = steps + 1
                y = y + x
            return y
    """).model()
    model(torch.zeros(2, 3))
    with pytest.raises(SpecError, match="by lengths it has one for each `b`"):
        model(torch.zeros(2, 3), lengths=[1, 3])


# ---- as any module


def test_a_model_can_be_copied_and_moved() -> None:
    model = program(READER).model("reader")
    model.trace(tokens(1, 2), sites=["x"])
    other = copy.deepcopy(model)
    other.wte.data.zero_()
    assert float(model.wte.detach().abs().sum()) > 0
    wide = copy.deepcopy(model).double()
    assert wide(tokens(1, 2)).dtype == torch.float64
    same(wide.under("damp", by=1)(tokens(1, 2)).float(), model(tokens(1, 2)))
