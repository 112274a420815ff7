"""Measures of experiments against scikit-learn, SciPy and NumPy, on drawn numbers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy import stats
from scipy.special import softmax
from sklearn import metrics
from tests.specs.conftest import Array, bench

from neuraxis.compiler.reference import NamedArray, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.specs.conftest import Bench

# Few values, so that equal ones are drawn, and what divides by a variance is well conditioned.
LEVELS = st.integers(-8, 8).map(lambda level: level / 4)
COUNT = st.integers(2, 12)


def numbers(*shape: int) -> st.SearchStrategy[Array]:
    return arrays(np.float64, shape, elements=LEVELS)


def truths(*shape: int) -> st.SearchStrategy[Array]:
    return arrays(np.bool_, shape)


@cache
def probe(inputs: str, call: str, axes: str = "") -> Bench:
    return bench(f"model probe({inputs}) -> [{axes}]:\n    return {call}\n")


def measure(inputs: str, call: str, axes: str = "") -> Callable[..., Array]:
    """A call as the oracle computes it; what is emitted for it is compared by the last test."""
    model = probe(inputs, call, axes).model

    def run(*given: Array) -> Array:
        named = {
            own.name: NamedArray(own.order, value)
            for own, value in zip(model.inputs, given, strict=True)
        }
        (found,) = evaluate(model.body, named, {})
        return found.arranged(model.results[0].order)

    return run


def close(found: Any, wanted: Any) -> None:
    assert_allclose(found, wanted, rtol=1e-9, atol=1e-11)


# ---- of each example


@given(st.data(), COUNT, COUNT)
def test_logits_of_each_example(data: st.DataObject, many: int, classes: int) -> None:
    logits, others = data.draw(numbers(many, classes)), data.draw(numbers(many, classes))
    answers = arrays(np.int64, many, elements=st.integers(0, classes - 1))
    right, wrong = data.draw(answers), data.draw(answers)
    inputs = "x[b, c], right[b]: int, wrong[b]: int"
    at = np.arange(many)
    found = measure(inputs, "logit_difference[c](x, right, wrong)", "b")(logits, right, wrong)
    close(found, logits[at, right] - logits[at, wrong])
    found = measure("x[b, c], right[b]: int", "probability[c](x, right)", "b")(logits, right)
    close(found, softmax(logits, axis=1)[at, right])
    found = measure("x[b, c], y[b, c]", "agreement[c](x, y)", "b")(logits, others)
    close(found, logits.argmax(1) == others.argmax(1))


@given(st.data(), COUNT, st.integers(3, 6))
def test_cross_entropy_and_accuracy(data: st.DataObject, many: int, classes: int) -> None:
    """The means over examples are what scikit-learn gives."""
    logits = data.draw(numbers(many, classes))
    right = data.draw(arrays(np.int64, many, elements=st.integers(0, classes - 1)))
    inputs = "x[b, c], right[b]: int"
    found = measure(inputs, "mean[b](cross_entropy[c](x, right))")(logits, right)
    labels = np.arange(classes)
    close(found, metrics.log_loss(right, softmax(logits, axis=1), labels=labels))
    found = measure(inputs, "mean[b](accuracy[c](x, right))")(logits, right)
    close(found, metrics.accuracy_score(right, logits.argmax(1)))
    # what ties are worth is a convention
    logits = np.array([data.draw(st.permutations(range(classes))) for _ in range(many)])
    found = measure(inputs, "mean[b](accuracy[c](x, right, top = 2))")(logits, right)
    close(found, metrics.top_k_accuracy_score(right, logits, k=2, labels=labels))


@given(st.data(), COUNT, COUNT)
def test_divergence_of_each_example(data: st.DataObject, many: int, classes: int) -> None:
    logits, teacher = data.draw(numbers(many, classes)), data.draw(numbers(many, classes))
    found = measure("x[b, c], y[b, c]", "kl_divergence[c](x, y)", "b")(logits, teacher)
    close(found, stats.entropy(softmax(teacher, axis=1), softmax(logits, axis=1), axis=1))


@given(numbers(5), numbers(5))
def test_a_normalised_effect_is_0_at_one_run_and_1_at_the_other(low: Array, high: Array) -> None:
    assume((low != high).all())
    run = measure("x[b], low[b], high[b]", "normalised_effect(x, low, high)", "b")
    close(run(low, low, high), np.zeros(5))
    close(run(high, low, high), np.ones(5))
    close(run(3 * high - 2 * low, low, high), np.full(5, 3.0))


def test_interchange_accuracy() -> None:
    """An interchange is right where the patched run says what the causal model says."""
    text = """
    model probe(patched[b, c], base[b]: int, source[b]: int) -> []:
        wanted = (base + source) % 4
        return mean[b](accuracy[c](patched, wanted))
    """
    base, source = np.array([0, 1, 2, 3]), np.array([3, 3, 1, 2])
    patched = np.eye(4)[(base + source) % 4]
    patched[2] = np.eye(4)[2]  # as if nothing had been interchanged
    run = bench(text.replace("\n    ", "\n").lstrip())
    close(run(patched, base, source), 0.75)


# ---- of many examples


@given(st.data(), COUNT)
def test_auroc(data: st.DataObject, many: int) -> None:
    score, positive = data.draw(numbers(many)), data.draw(truths(many))
    assume(positive.any() and not positive.all())
    run = measure("x[b], right[b]: bool", "auroc[b](x, right)")
    close(run(score, positive), metrics.roc_auc_score(positive, score))


def test_auroc_of_one_class_is_no_number() -> None:
    run = measure("x[b], right[b]: bool", "auroc[b](x, right)")
    for positive in (np.ones(3, bool), np.zeros(3, bool)):
        assert np.isnan(run(np.arange(3.0), positive))


@given(COUNT.flatmap(numbers))
def test_ranks_of_equals_are_in_the_middle(values: Array) -> None:
    close(measure("x[b]", "midrank[b](x)", "b")(values), stats.rankdata(-values) - 1)


@given(st.data(), st.integers(3, 12))
def test_correlations(data: st.DataObject, many: int) -> None:
    x, y = data.draw(numbers(many)), data.draw(numbers(many))
    assume(np.ptp(x) > 0 and np.ptp(y) > 0)
    close(measure("x[b], y[b]", "correlation[b](x, y)")(x, y), stats.pearsonr(x, y).statistic)
    ranked = measure("x[b], y[b]", "correlation[b](midrank[b](x), midrank[b](y))")
    close(ranked(x, y), stats.spearmanr(x, y).statistic)


@given(st.data(), COUNT, st.integers(1, 4))
def test_variance_unexplained(data: st.DataObject, many: int, wide: int) -> None:
    x, y = data.draw(numbers(many, wide)), data.draw(numbers(many, wide))
    assume((np.ptp(y, axis=0) > 0).all())
    inputs = "x[b, d], y[b, d]"
    wanted = metrics.r2_score(y, x, multioutput="variance_weighted")
    close(measure(inputs, "unexplained[b -> d](x, y)")(x, y), 1 - wanted)
    each = metrics.r2_score(y, x, multioutput="raw_values")
    close(measure(inputs, "unexplained[b ->](x, y)", "d")(x, y), 1 - each)
    close(measure(inputs, "explained[b](x, y)", "d")(x, y), each)


@given(st.data(), COUNT, st.integers(1, 12))
def test_wasserstein(data: st.DataObject, many: int, others: int) -> None:
    x, y = data.draw(numbers(many)), data.draw(numbers(others))
    run = measure("x[b], y[s]", "wasserstein[b -> s](x, y)")
    close(run(x, y), stats.wasserstein_distance(x, y))


@given(st.data(), COUNT)
def test_cosine(data: st.DataObject, many: int) -> None:
    x, y = data.draw(numbers(many)), data.draw(numbers(many))
    assume(x.any() and y.any())
    found = measure("x[b], y[b]", "cosine[b](x, y)")(x, y)
    close(found, metrics.pairwise.cosine_similarity(x[None], y[None])[0, 0])


@given(st.data(), COUNT)
def test_jaccard(data: st.DataObject, many: int) -> None:
    x, y = data.draw(truths(many)), data.draw(truths(many))
    run = measure("x[b]: bool, y[b]: bool", "jaccard[b](x, y)")
    close(run(x, y), metrics.jaccard_score(x, y, zero_division=1.0))


def calibration(confidence: Array, right: Array, bins: int) -> float:
    """By hand, bin by bin."""
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for place in set(at):
        inside = at == place
        gap = abs(right[inside].mean() - confidence[inside].mean())
        total += inside.mean() * gap
    return total


@given(st.data(), COUNT)
def test_calibration_error(data: st.DataObject, many: int) -> None:
    parts = st.integers(0, 64).map(lambda part: part / 64)
    confidence = data.draw(arrays(np.float64, many, elements=parts))
    right = data.draw(truths(many))
    for bins in (4, 10):
        call = f"calibration_error[b, bin = {bins}](x, right)"
        run = measure("x[b], right[b]: bool", call)
        close(run(confidence, right), calibration(confidence, right, bins))


RIDING: dict[str, Callable[[Array, Array], float]] = {
    "auroc[b](x, y > 0)": lambda x, y: metrics.roc_auc_score(y > 0, x),
    "wasserstein[b -> s](x, y[b -> s])": stats.wasserstein_distance,
    "jaccard[b](x > 0, y > 0)": lambda x, y: metrics.jaccard_score(x > 0, y > 0),
    "calibration_error[b](sigmoid(x), y > 0)": lambda x, y: calibration(
        1 / (1 + np.exp(-x)), y > 0, 10
    ),
}


@pytest.mark.parametrize("call", RIDING)
@pytest.mark.parametrize("axis", ["layer", "u", "bin", "m", "n"])
def test_other_axes_ride_along(call: str, axis: str) -> None:
    """One number for each entry of a sweep, whatever its axis is called."""
    x, y = np.random.default_rng(3).normal(size=(2, 9, 3))
    found = probe(f"x[b, {axis}], y[b, {axis}]", call, axis)(x, y)
    close(found, [RIDING[call](x[:, at], y[:, at]) for at in range(3)])
