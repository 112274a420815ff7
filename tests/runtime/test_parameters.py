from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from neuraxis.compiler.draws import initial
from neuraxis.dsl.check import check_text
from neuraxis.dsl.diagnostics import SpecError
from neuraxis.runtime.parameters import Parameters

if TYPE_CHECKING:
    from neuraxis.dsl.core import Body

SPEC = """
model two[d = 3, vocab = 5](tokens[b, t]: int, L = 4) -> [b, t, d]:
    param wte[vocab, d] ~ normal(0, 0.02)
    fixed noise[d] ~ uniform(-1, 1)
    param eye[d, d'] = where(d == d', 1, 0)
    state seen[d] = 0
    x = wte[vocab = tokens] + noise
    repeat layer * L:
        x = x + linear[d -> d](x)
    seen = seen + mean[b, t](x)
    return dot[d](eye, x)[d' -> d] + seen
"""


def body() -> Body:
    checked = check_text("two.nax", SPEC)
    assert checked.ok, "\n".join(map(str, checked.diagnostics))
    return checked.models["two"].body


@pytest.fixture
def own() -> Parameters:
    return Parameters.of(body(), seed=1)


def test_initial_values_are_those_of_seed_and_address(own: Parameters) -> None:
    nodes = {s.node.site: s.node for s in body().steps if s.node.op.name in ("param", "state")}
    assert set(own) == set(nodes)
    for site, tensor in own.items():
        assert tensor.dtype == torch.float32
        assert np.array_equal(tensor.detach().numpy(), initial(nodes[site], 1).astype(np.float32))
    assert torch.equal(own["eye"], torch.eye(3))
    again = Parameters.of(body(), body(), seed=1)
    assert list(again) == list(own)
    assert torch.equal(again["wte"], own["wte"])
    assert not torch.equal(Parameters.of(body(), seed=2)["wte"], own["wte"])


def test_what_is_fixed_or_a_state_gets_no_gradient(own: Parameters) -> None:
    assert set(own.trained) == {*own.weights} - {"noise"}
    assert list(own.states) == ["seen"]
    assert len(own) == len(own.weights) + 1


def test_a_parameter_is_no_state() -> None:
    with pytest.raises(ValueError, match="w is a parameter and a state"):
        Parameters({"w": torch.nn.Parameter(torch.zeros(1))}, {"w": torch.zeros(1)})


def test_a_copy_is_equal_and_apart(own: Parameters) -> None:
    copy = own.copy()
    assert copy.trained == own.trained
    with torch.no_grad():
        own["wte"].add_(1)
        own["seen"].add_(1)
    assert not torch.equal(copy["wte"], own["wte"])
    assert not torch.equal(copy["seen"], own["seen"])
    assert isinstance(copy["wte"], torch.nn.Parameter)


def test_moving_keeps_the_tensors(own: Parameters) -> None:
    own.weights["count"] = torch.nn.Parameter(torch.tensor([1, 2]), requires_grad=False)
    before = dict(own.items())
    assert own.to("cpu", torch.float64) is own
    assert all(own[site] is tensor for site, tensor in before.items())
    assert own["wte"].dtype == own["seen"].dtype == own.dtype == torch.float64
    assert own["count"].dtype == torch.int64
    assert own.device == torch.device("cpu")
    assert own.trained
    assert Parameters({}).dtype == torch.float32


def test_only_some_get_gradients_for_a_while(own: Parameters) -> None:
    before = own.trained
    with own.only(["noise", "layer[1].linear.w"]):
        assert set(own.trained) == {"noise", "layer[1].linear.w"}
        own["noise"].sum().backward()
    assert own.trained == before
    assert own["noise"].grad is None


def test_a_state_is_loaded_as_it_was(own: Parameters) -> None:
    other = Parameters.of(body(), seed=2)
    with torch.no_grad():
        other["seen"].add_(3)
    held = own["wte"]
    own.load(other.state())
    assert all(torch.equal(own[site], tensor) for site, tensor in other.items())
    assert own["wte"] is held
    own.load({site: tensor.numpy().astype(np.float16) for site, tensor in other.state().items()})
    assert own["wte"].dtype == torch.float32


def test_read_only_arrays_are_loaded_too(own: Parameters) -> None:
    array = np.ones((5, 3))
    array.flags.writeable = False
    own.load({"wte": array.T[:, ::-1].T}, partial=True)
    assert own["wte"].detach().unique().tolist() == [1]


def loading(own: Parameters, arrays: dict[str, torch.Tensor], **options: object) -> list[str]:
    before = own.copy()
    with pytest.raises(SpecError) as caught:
        own.load(arrays, **options)  # type: ignore[arg-type]  # as the test says
    assert all(torch.equal(own[site], tensor) for site, tensor in before.items())
    return [
        "; ".join([found.message, *(n.text for n in found.notes), *filter(None, [found.hint])])
        for found in caught.value.diagnostics
    ]


def test_what_is_missing_is_said(own: Parameters) -> None:
    arrays = own.copy().state()
    del arrays["wte"], arrays["seen"]  # a state may be missing
    assert loading(own, arrays) == ["a parameter has no values: `wte`"]
    del arrays["layer[0].linear.w"], arrays["layer[2].linear.w"]
    message = "3 parameters have no values: `wte`, `layer[*].linear.w`"
    assert loading(own, arrays) == [message]
    own.load(arrays, partial=True)
    own.load(arrays, fresh=["wte", "layer[0].linear.w", "layer[2].linear.w"])


def test_what_is_unknown_is_said(own: Parameters) -> None:
    arrays = own.copy().state()
    arrays["wet"] = torch.zeros(1)
    message = "values for what is no parameter: `wet`; did you mean `wte`?"
    assert loading(own, arrays) == [message]
    own.load(arrays, extras=True)


def test_what_has_another_shape_is_said(own: Parameters) -> None:
    arrays = own.copy().state()
    arrays["wte"] = arrays["wte"].T
    message = "`wte` is 5 x 3, and its values are 3 x 5"
    assert loading(own, arrays) == [message]
    for turn in range(4):
        arrays[f"layer[{turn}].linear.w"] = torch.tensor(1.0)
    note = "; so it is with `layer[*].linear.w`"
    assert loading(own, arrays) == [message + note]
    assert len(loading(own, {"wet": torch.zeros(1), "wte": torch.zeros(1)})) == 3


def test_what_is_fresh_stays(own: Parameters) -> None:
    before = own.copy()
    arrays = Parameters.of(body(), seed=2).state()
    arrays["wte"] = torch.zeros(2)  # and may have any shape
    own.load(arrays, fresh=["wte"])
    assert torch.equal(own["wte"], before["wte"])
    assert not torch.equal(own["noise"], before["noise"])
