"""The learning rate's course, value by value."""

import dataclasses
import math

import pytest

from components.training.schedule import ScheduleSettings, factor

COSINE = ScheduleSettings("cosine", warmup_steps=4, initial=0.2, minimum=0.1, decay_share=0.0)
LINEAR = ScheduleSettings("linear", warmup_steps=2, initial=0.0, minimum=0.0, decay_share=0.4)
CONSTANT = ScheduleSettings("constant", warmup_steps=0, initial=0.0, minimum=0.0, decay_share=0.0)


def course(settings: ScheduleSettings, total: int, steps: range) -> list[float]:
    return [factor(step, total, settings) for step in steps]


def test_cosine_warms_up_from_initial_to_the_peak_and_falls_to_the_minimum():
    down = math.cos(math.pi / 4)
    expected = [0.2, 0.4, 0.6, 0.8, 1.0, 0.1 + 0.45 * (1 + down), 0.55, 0.1 + 0.45 * (1 - down), 0.1]
    assert course(COSINE, 8, range(9)) == pytest.approx(expected)


def test_linear_stays_at_the_peak_and_goes_straight_down_in_its_last_share():
    expected = [0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    assert course(LINEAR, 10, range(11)) == pytest.approx(expected)


def test_linear_over_all_steps_begins_after_the_warmup():
    everything = dataclasses.replace(LINEAR, decay_share=1.0)
    assert course(everything, 6, range(7)) == pytest.approx([0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0])


def test_linear_with_no_share_to_fall_in_stays_at_the_peak():
    never = dataclasses.replace(LINEAR, warmup_steps=0, decay_share=0.0)
    assert course(never, 3, range(3)) == [1.0, 1.0, 1.0]


def test_constant_is_the_peak_throughout():
    assert course(CONSTANT, 3, range(5)) == [1.0] * 5


def test_no_warmup_means_that_step_0_has_the_peak_whatever_initial_says():
    assert factor(0, 10, dataclasses.replace(COSINE, warmup_steps=0)) == 1.0


@pytest.mark.parametrize("name", ["constant", "cosine", "linear"])
def test_a_warmup_longer_than_the_run_ends_on_its_way_up(name):
    settings = ScheduleSettings(name, warmup_steps=8, initial=0.0, minimum=0.0, decay_share=1.0)
    assert course(settings, 4, range(4)) == [0.0, 0.125, 0.25, 0.375]


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_a_warmup_as_long_as_the_run_never_divides_by_zero(name):
    settings = ScheduleSettings(name, warmup_steps=2, initial=0.5, minimum=0.25, decay_share=1.0)
    assert course(settings, 2, range(4)) == [0.5, 0.75, 0.25, 0.25]


@pytest.mark.parametrize("settings", [COSINE, LINEAR])
def test_past_the_last_step_the_rate_stays_at_the_minimum(settings):
    assert course(settings, 10, range(10, 13)) == pytest.approx([settings.minimum] * 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("warmup_steps", -1), ("initial", 1.5), ("minimum", -0.1), ("decay_share", 2.0), ("initial", math.nan)],
)
def test_a_number_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        dataclasses.replace(COSINE, **{field: value})
