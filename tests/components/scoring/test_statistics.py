"""Bootstrap intervals against the normal approximation and against cases that can be told by eye."""

import math

import numpy as np
import pytest

from components.scoring.statistics import (
    Interval,
    Numbers,
    Statistic,
    bootstrap,
    bootstrap_statistics,
    paired_difference,
)

SETTINGS = {"resamples": 2000, "confidence": 0.95, "seed": 1}


def test_the_interval_of_a_share_is_near_the_normal_approximation():
    values = [1.0] * 120 + [0.0] * 80  # mean 0.6, standard error sqrt(0.6 * 0.4 / 200) = 0.0346
    interval = bootstrap(values, **SETTINGS)
    assert interval.mean == pytest.approx(0.6)
    assert interval.low == pytest.approx(0.6 - 1.96 * 0.0346, abs=0.01)
    assert interval.high == pytest.approx(0.6 + 1.96 * 0.0346, abs=0.01)
    assert interval.count == 200


def test_more_confidence_is_a_wider_interval():
    values = [float(value) for value in range(50)]
    narrow = bootstrap(values, resamples=2000, confidence=0.5, seed=1)
    wide = bootstrap(values, resamples=2000, confidence=0.99, seed=1)
    assert wide.low < narrow.low < 24.5 < narrow.high < wide.high


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    values = [0.1, 0.7, 0.2, 0.9, 0.4]
    assert bootstrap(values, **SETTINGS) == bootstrap(values, **SETTINGS)
    assert bootstrap(values, **SETTINGS) != bootstrap(values, **{**SETTINGS, "seed": 2})


@pytest.mark.parametrize("values", [[0.0] * 30, [1.0, 1.0], [0.3], [0.1] * 10])
def test_values_all_alike_give_an_interval_of_no_width(values):
    assert bootstrap(values, **SETTINGS) == Interval(values[0], values[0], values[0], len(values))


def test_a_paired_difference_cancels_what_makes_records_hard():
    hard_to_easy = [float(value) for value in range(100)]
    a_little_better = [value + 1 + (0.1 if value % 2 else -0.1) for value in hard_to_easy]
    interval = paired_difference(a_little_better, hard_to_easy, **SETTINGS)
    assert interval.mean == pytest.approx(1.0)
    assert 0.9 < interval.low < 1.0 < interval.high < 1.1
    assert interval.excludes_zero


def test_a_difference_that_may_be_chance_includes_zero():
    assert not paired_difference([1, 0, 1, 0, 1], [0, 1, 0, 1, 0], **SETTINGS).excludes_zero
    assert paired_difference([0.0, 0.5], [1, 1], **SETTINGS).excludes_zero


def test_an_interval_without_width_excludes_nothing():
    assert not paired_difference([1.0], [0.0], **SETTINGS).excludes_zero
    assert not paired_difference([0, 0], [1, 1], **SETTINGS).excludes_zero


def test_values_of_a_group_are_drawn_together():
    # Two groups of three equal values: a resample holds 0, 1 or 2 of the second, with 1/4, 1/2 and 1/4.
    values, groups = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0], ["os", "os", "os", "re", "re", "re"]
    together = bootstrap(values, groups=groups, **SETTINGS)
    assert (together.mean, together.low, together.high, together.count) == (0.5, 0.0, 1.0, 6)
    apart = bootstrap(values, **SETTINGS)
    assert 0.0 < apart.low < apart.high < 1.0


def test_groups_of_unequal_size_keep_the_mean_over_values():
    assert bootstrap([1.0, 1.0, 1.0, 0.0], groups=["a", "a", "a", "b"], **SETTINGS).mean == 0.75


def test_one_group_has_an_interval_without_width():
    found = bootstrap([0.0, 1.0], groups=["os", "os"], **SETTINGS)
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_each_value_has_its_group():
    with pytest.raises(ValueError, match="2 values and 1 groups"):
        bootstrap([0.0, 1.0], groups=["os"], **SETTINGS)


@pytest.mark.parametrize(
    ("values", "changed", "message"),
    [
        ([], {}, "no values"),
        ([1.0, math.nan], {}, "value 1 is nan; expected a finite number"),
        ([1.0, 2.0], {"resamples": 0}, "resamples is 0; expected at least 1"),
        ([1.0, 2.0], {"confidence": 95}, "confidence is 95; expected a share"),
    ],
)
def test_what_has_no_interval_is_refused(values, changed, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(values, **{**SETTINGS, **changed})


def test_pairs_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="3 of the one and 2 of the other"):
        paired_difference([1, 2, 3], [1, 2], **SETTINGS)


def mean_of(values: list[float]) -> Statistic:
    return lambda weights: (weights @ np.array(values) / weights.sum(axis=1))[:, None]


def test_a_statistic_that_is_a_mean_has_the_interval_of_the_mean():
    values = [1.0] * 120 + [0.0] * 80
    (found,) = bootstrap_statistics(mean_of(values), [str(k) for k in range(200)], **SETTINGS)
    expected = bootstrap(values, **SETTINGS)
    assert (found.mean, found.count) == (expected.mean, 200)
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=0.01)


def test_a_statistic_is_drawn_by_whole_groups():
    values, groups = [1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "b"]
    (found,) = bootstrap_statistics(mean_of(values), groups, **SETTINGS)
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    (alone,) = bootstrap_statistics(mean_of(values), ["a"] * 4, **SETTINGS)
    assert (alone.mean, alone.low, alone.high) == (0.5, 0.5, 0.5)


def test_a_resample_without_a_value_counts_for_nothing():
    def share_of_the_second(weights: Numbers) -> Numbers:
        with np.errstate(invalid="ignore"):
            return np.stack([weights[:, 1] / weights[:, 1], np.full(len(weights), np.nan)], axis=1)

    found, never = bootstrap_statistics(share_of_the_second, ["a", "b"], **SETTINGS)
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)
    assert math.isnan(never.mean)
    assert math.isnan(never.low)


def test_statistics_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no records"):
        bootstrap_statistics(mean_of([]), [], **SETTINGS)
    with pytest.raises(ValueError, match="resamples is 0"):
        bootstrap_statistics(mean_of([1.0]), ["a"], resamples=0, confidence=0.95, seed=1)


def test_a_value_with_a_weight_counts_as_so_many_values():
    found = bootstrap([1.0, 0.0, 2.0], weights=[3.0, 1.0, 2.0], groups=["a", "a", "b"], **SETTINGS)
    repeated = bootstrap([1.0, 1.0, 1.0, 0.0, 2.0, 2.0], groups=["a", "a", "a", "a", "b", "b"], **SETTINGS)
    assert (found.mean, found.low, found.high) == (repeated.mean, repeated.low, repeated.high)
    assert found.count == 3


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, math.nan]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match=r"2 values and . weights; expected one above 0 for each value"):
        bootstrap([0.0, 1.0], weights=weights, **SETTINGS)


def test_how_many_resamples_are_held_at_once_changes_nothing(monkeypatch):
    values, groups = [float(k % 7) for k in range(50)], [str(k) for k in range(50)]
    whole = bootstrap(values, **SETTINGS), bootstrap_statistics(mean_of(values), groups, **SETTINGS)
    monkeypatch.setattr("components.scoring.statistics._HELD", 49)
    assert (bootstrap(values, **SETTINGS), bootstrap_statistics(mean_of(values), groups, **SETTINGS)) == whole
