from __future__ import annotations

import math

import pytest
from tests.runtime.lessons import lesson

from neuraxis.dsl.diagnostics import SpecError
from neuraxis.dsl.elaborate.optimisation import SCHEDULES
from neuraxis.dsl.source import GENERATED
from neuraxis.runtime.training.schedules import RULES, schedule


def factors(text: str, total: int) -> list[float]:
    calls = lesson("using sgd(), steps 1", f"schedule {text}").course.schedule
    made = schedule(calls, total, GENERATED)
    return [made.factor(step) for step in range(total)]


def test_every_schedule_that_is_checked_can_be_made() -> None:
    assert RULES.keys() == SCHEDULES.keys()


def test_without_a_schedule_nothing_changes() -> None:
    assert [schedule((), 10, GENERATED).factor(step) for step in (0, 5, 20)] == [1, 1, 1]


def test_a_part_alone() -> None:
    assert factors("warmup(4)", 6) == [0.25, 0.5, 0.75, 1, 1, 1]
    assert factors("constant", 2) == [1, 1]
    assert factors("linear", 4) == [1, 0.75, 0.5, 0.25]
    assert factors("linear(to = 0.5, steps = 2)", 4) == [1, 0.75, 0.5, 0.5]
    assert factors("exponential(0.5)", 4) == [1, 0.5, 0.25, 0.125]
    assert factors("exponential(0.5, steps = 1)", 3) == [1, 0.5, 0.5]
    assert factors("step(every = 2, rate = 0.1)", 5) == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    half_way = [0.1 + 0.9 * (1 + math.cos(math.pi * at / 4)) / 2 for at in range(4)]
    assert factors("cosine(to = 0.1)", 4) == pytest.approx(half_way)


def test_parts_go_on_where_the_one_before_ended() -> None:
    found = factors("warmup(2) then constant(steps = 1) then linear(0.5, steps = 2) then cosine", 9)
    assert found[:6] == [0.5, 1, 1, 1, 0.75, 0.5]
    assert found[6:] == pytest.approx(
        [0.5 * (1 + math.cos(math.pi * at / 4)) / 2 for at in (1, 2, 3)]
    )


def test_parts_without_steps_share_the_rest() -> None:
    assert factors("warmup(2) then linear(to = 0.5) then linear(to = 0)", 6) == [
        0.5,
        1,
        1,
        0.75,
        0.5,
        0.25,
    ]


def test_a_schedule_longer_than_the_training_is_cut() -> None:
    assert factors("warmup(10) then cosine", 3) == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exponential", "the schedule `exponential` needs `rate`"),
        ("step(3)", "the schedule `step` needs `rate`"),
        ("warmup(2.5)", "`steps` of `warmup` is a whole number from 0 on, not 2.5"),
        ("step(0, 0.1)", "`every` of `step` is a whole number from 1 on, not 0"),
        ("linear(to = -1)", "`to` of `linear` is at least 0, not -1"),
        ("warmup(2, 3)", "`warmup` takes 1 numbers at most, not 2"),
        ("warmup(2, steps = 3)", "`warmup` is given `steps` twice"),
    ],
)
def test_what_cannot_be_a_schedule_is_said(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        factors(text, 4)
    assert [found.message for found in caught.value.diagnostics] == [message]
