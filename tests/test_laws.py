"""The laws of the language, in their words. `neuraxis.testing` has them; this draws what they hold
for. Programs are small, and many."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.dsl.mutations import folder_of, mutated, random_text, texts

from neuraxis.dsl.diagnostics import Slug, SpecError
from neuraxis.runtime.program import Program
from neuraxis.testing import (
    check_any_text,
    check_clamps,
    check_decoding,
    check_disjoint_commute,
    check_downstream_free,
    check_fitting,
    check_formatting,
    check_gains,
    check_graph,
    check_lifting,
    check_lowering,
    check_noop,
    check_nothing,
    check_parts,
    check_patch_all,
    check_ragged,
    check_reroute,
    check_scan_steps,
    check_selectors,
    check_splices,
    check_steering,
    check_sweep_members,
    check_types,
    graphs,
    interventions,
    recurrences,
    specs,
    steerings,
    sweeps,
    trainings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from neuraxis.compiler.graph import Graph

law = settings(max_examples=max(200, settings().max_examples))
"""On how many examples each law is tried: with the profile `nightly`, on as many as that says."""

fewer = settings(max_examples=max(100, settings().max_examples))
few = settings(max_examples=max(40, settings().max_examples // 2))
"""For laws whose examples are compiled several times, and for one whose examples train."""

seeds = st.integers(0, 2**16)
ORIGINALS = texts()


def changed(number: int) -> str:
    """A spec with something changed, or lines of many."""
    random = Random(number)
    return (mutated if random.random() < 0.8 else random_text)(random, ORIGINALS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where data is written, again for each example."""
    return tmp_path_factory.mktemp("data")


# ---- text


@law
@given(st.one_of(specs(), recurrences()))
def test_formatting_says_the_same_and_formatting_twice_changes_nothing(text: str) -> None:
    check_formatting(text)


@law
@given(st.one_of(st.integers(0, 2**32).map(changed), st.text()))
def test_any_text_gives_a_result_or_diagnostics(text: str) -> None:
    check_any_text(text, folder_of(text))


# ---- numbers


@law
@given(specs(), seeds)
def test_the_oracle_is_the_pytorch_lowering_in_values_and_gradients(text: str, seed: int) -> None:
    check_lowering(Program.from_text(text), seed=seed)


@law
@given(recurrences(), seeds)
def test_so_it_is_for_recurrences(text: str, seed: int) -> None:
    check_lowering(Program.from_text(text), seed=seed)


@law
@given(graphs(), seeds, st.integers(1, 4))
def test_so_it_is_for_graphs(graph: Graph, seed: int, length: int) -> None:
    try:
        check_graph(graph, seed, length)
    except (IndexError, ZeroDivisionError):  # of the oracle: an index outside, a division of ints
        assume(False)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@law
@given(text=st.one_of(specs(), recurrences()), seed=seeds)
def test_so_it_is_in_fewer_digits(dtype: str, text: str, seed: int) -> None:
    check_lowering(Program.from_text(text), dtype=dtype, seed=seed)


@law
@given(specs(), seeds)
def test_what_the_checker_says_of_axes_sizes_and_dtypes_is_what_comes_out(
    text: str, seed: int
) -> None:
    check_types(Program.from_text(text), seed=seed)


# ---- interventions


@law
@given(specs(), seeds)
def test_setting_a_site_to_what_it_holds_changes_nothing(text: str, seed: int) -> None:
    check_noop(Program.from_text(text), seed=seed)


@law
@given(specs(), seeds)
def test_patching_every_source_of_the_output_from_a_run_gives_that_output(
    text: str, seed: int
) -> None:
    check_patch_all(Program.from_text(text), seed=seed)


@law
@given(st.data(), specs(), seeds)
def test_disjoint_interventions_commute(data: st.DataObject, text: str, seed: int) -> None:
    program = Program.from_text(text)
    first = data.draw(interventions(program))
    model = program.model()
    own = model.checked.aliases
    free = [s.address for s in model.sites() if own.get(s.address, s.address) not in first.sites]
    second = data.draw(interventions(program, only=free))
    check_disjoint_commute(program, None, first, second, seed=seed)


@fewer
@given(specs(), seeds)
def test_writes_to_parts_of_a_site_stand_in_their_order(text: str, seed: int) -> None:
    check_parts(Program.from_text(text), seed=seed)


@fewer
@given(specs(), seeds)
def test_a_write_to_what_is_not_there_is_refused(text: str, seed: int) -> None:
    check_selectors(Program.from_text(text), seed=seed)


@law
@given(specs(), seeds)
def test_an_intervention_downstream_of_what_is_measured_is_free(text: str, seed: int) -> None:
    check_downstream_free(Program.from_text(text), seed=seed)


@law
@given(specs(), seeds)
def test_along_every_way_is_the_write(text: str, seed: int) -> None:
    check_reroute(Program.from_text(text), seed=seed)


@law
@given(specs(), seeds)
def test_a_gain_changes_no_value(text: str, seed: int) -> None:
    check_gains(Program.from_text(text), seed=seed)


@law
@given(specs(), seeds)
def test_a_write_of_nothing_is_the_model(text: str, seed: int) -> None:
    check_nothing(Program.from_text(text), seed=seed)


@law
@given(specs(), seeds)
def test_a_learned_map_that_changes_nothing_leaves_what_was_there(text: str, seed: int) -> None:
    check_splices(Program.from_text(text), seed=seed)


@law
@given(specs(), seeds)
def test_what_is_clamped_passes_no_gradient(text: str, seed: int) -> None:
    check_clamps(Program.from_text(text), seed=seed)


@few
@given(data=st.data(), text=specs())
def test_a_training_moves_what_it_lists_and_nothing_else(
    folder: Path, data: st.DataObject, text: str
) -> None:
    drawn = data.draw(trainings(Program.from_text(text)))
    assume(drawn is not None)
    assert drawn is not None
    drawn.save(folder)
    program = Program.from_text(f"{text}\n\n{drawn.text}", folder=folder)
    try:
        check_fitting(program, listed=drawn.listed)
    except SpecError as error:  # a loss that is not finite, or through which no gradient comes
        (found,) = error.diagnostics
        assume(found.slug not in (Slug.FAILED_EXPECTATION, Slug.WRONG_ARGUMENTS))
        raise


@law
@given(data=st.data(), text=specs(), seed=seeds)
def test_a_sweep_is_its_members_one_by_one(
    folder: Path, data: st.DataObject, text: str, seed: int
) -> None:
    drawn = data.draw(sweeps(Program.from_text(text)))
    drawn.save(folder)
    program = Program.from_text(f"{text}\n\n{drawn.text}", folder=folder)
    check_sweep_members(program, seed=seed)


@given(data=st.data(), text=specs(), seed=seeds)
def test_a_scan_of_an_experiment_is_its_steps_one_by_one(
    folder: Path, data: st.DataObject, text: str, seed: int
) -> None:
    drawn = data.draw(sweeps(Program.from_text(text), scanned=True))
    drawn.save(folder)
    program = Program.from_text(f"{text}\n\n{drawn.text}", folder=folder)
    check_scan_steps(program, seed=seed)


# ---- position after position


parts_of_a_run = st.lists(st.integers(1, 3), min_size=2, max_size=4)


@fewer
@given(st.data(), st.one_of(specs(), recurrences()), parts_of_a_run, seeds)
def test_steering_with_caches_is_steering_the_whole(
    data: st.DataObject, text: str, parts: list[int], seed: int
) -> None:
    program = Program.from_text(text)
    steering = data.draw(steerings(program, prompt=parts[0]))
    try:
        check_steering(program, None, steering, parts=parts, seed=seed)
    except SpecError as error:  # what is drawn may look ahead
        assume(any(found.slug is not Slug.NOT_CAUSAL for found in error.diagnostics))
        raise


@given(st.one_of(specs(), recurrences()), parts_of_a_run, seeds)
def test_a_prompt_and_then_more_is_one_run_over_all_of_it(
    text: str, parts: list[int], seed: int
) -> None:
    try:
        check_decoding(Program.from_text(text), parts=parts, axis="t", seed=seed)
    except SpecError as error:  # what is drawn may look ahead
        assume(any(found.slug is not Slug.NOT_CAUSAL for found in error.diagnostics))
        raise


# ---- what rides along


@law
@given(specs(), seeds)
def test_an_extra_leading_axis_is_each_slice_by_itself(text: str, seed: int) -> None:
    check_lifting(Program.from_text(text), seed=seed)


@law
@given(specs(together=False), seeds)
def test_a_batch_is_each_example_by_itself(text: str, seed: int) -> None:
    check_lifting(Program.from_text(text), axis="b", seed=seed)


@law
@given(specs(ragged=True), seeds)
def test_a_batch_of_one_is_a_row_of_a_batch(text: str, seed: int) -> None:
    try:
        check_ragged(Program.from_text(text), seed=seed)
    except SpecError as error:  # little of what is drawn is not built for ragged axes
        assume(any(found.slug is not Slug.UNBUILT for found in error.diagnostics))
        raise
