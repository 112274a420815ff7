from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.runtime.lessons import drawn, lesson, lowered, points

from neuraxis.compiler.reference import NamedArray, evaluate
from neuraxis.dsl.check import check_text
from neuraxis.dsl.program import StatisticInput
from neuraxis.runtime.data import Dataset
from neuraxis.runtime.data.dataset import Column, full
from neuraxis.runtime.parameters import Parameters
from neuraxis.runtime.training import Inputs

TOKENS = """
data text = jsonl("a.jsonl"): tokens[t of b]: int

model count(tokens[b, t of b]: int) -> [b, t]:
    param w ~ normal(0, 1)
    return w * tokens

intervention more(alpha = 2) on count:
    out += alpha

train base of count with more on text:
    loss = mean[b, t](out)
    using sgd(lr = 0.1), steps 1
    expect loss < ngram(text, n = 2)
"""


def test_the_functions_of_these_tests_are_the_training() -> None:
    training = lesson("using sgd(), steps 1", "expect loss < 2.2")
    own, data = drawn(training), points()
    functions = lowered(training, own)
    with torch.no_grad():
        own["seen"].add_(0.5)
    arrays = {site: tensor.detach().numpy() for site, tensor in own.items()}
    modes = ((training.train, functions.train), (training.evaluate, functions.evaluate))
    for study, function in modes:
        inputs = Inputs(study, own, {}, seed=3).at(data.take(7), 2)
        axes = {"patients.x": ("b", "f"), "patients.target": ("b",)}
        given = {name: NamedArray(axes[name], inputs[name].numpy()) for name in axes}
        random = {name: tensor.numpy() for name, tensor in inputs.items()}
        oracle = evaluate(
            study.body, given, arrays, states=arrays, random=lambda n, _, r=random: r[n.site]
        )
        found = function(inputs)
        assert len(found) == len(oracle)
        for own_value, value in zip(found, oracle, strict=True):
            np.testing.assert_allclose(own_value.detach().numpy(), value.array, rtol=1e-5)


def test_fields_and_drawn_numbers_are_inputs_by_address() -> None:
    training, data = lesson(), points()
    inputs = Inputs(training.train, drawn(training), {}, seed=3)
    found = inputs.at(data.take(4), 0)
    assert {name: (tuple(t.shape), t.dtype) for name, t in found.items()} == {
        "patients.x": ((4, 10), torch.float32),
        "patients.target": ((4,), torch.float32),
        "kept.keep": ((4, 10), torch.bool),
    }
    assert torch.equal(found["kept.keep"], inputs.at(data.take(4), 0)["kept.keep"])
    assert not torch.equal(found["kept.keep"], inputs.at(data.take(4), 1)["kept.keep"])
    other = Inputs(training.train, drawn(training), {}, seed=4).at(data.take(4), 0)
    assert not torch.equal(found["kept.keep"], other["kept.keep"])


def test_floats_are_of_the_dtype_of_the_parameters() -> None:
    training = lesson()
    wide = Inputs(training.train, drawn(training).to(dtype=torch.float64), {}, seed=0)
    found = wide.at(points().take(2), 0)
    assert [t.dtype for t in found.values()] == [torch.float64, torch.float64, torch.bool]


def test_lengths_arguments_and_statistics_are_inputs_too() -> None:
    checked = check_text("count.nax", TOKENS)
    training = checked.trainings["base"]
    own = Parameters.of(training.train.body, seed=0)
    ngram = StatisticInput("ngram", "text", (("n", 2.0),))
    with pytest.raises(ValueError, match="no value is given for StatisticInput"):
        Inputs(training.train, own, {}, seed=0)
    inputs = Inputs(training.train, own, {ngram: torch.tensor(1.5)}, seed=0)
    lengths = {"t": np.array([3, 1])}
    data = Dataset({"tokens": Column(("b", "t"), np.ones((2, 3), np.int64), lengths)})
    found = inputs.at(data, 0)
    assert found["lengths.t"].tolist() == [3, 1]
    assert found["ngram.text"].item() == 1.5
    assert found["more.alpha"].item() == 2
    assert found["text.tokens"].dtype == torch.int64


def test_axes_go_in_the_order_of_the_node() -> None:
    training, data = lesson(), points().take(3)
    turned = Column(("b", "f"), data["x"].values)
    found = Inputs(training.train, drawn(training), {}, seed=0).at(
        Dataset({"x": turned, "target": full(data["target"].values)}), 0
    )
    assert np.array_equal(found["patients.x"].numpy(), data["x"].values)
