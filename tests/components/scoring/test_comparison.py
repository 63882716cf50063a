import pytest
from scipy import stats

from components.scoring.comparison import Value, difference_of_means, paired, spread

HOW = {"resamples": 4000, "confidence": 0.95, "seed": 1}


def values(numbers, asked="{}?"):
    return {str(place): Value(number, str(place), asked.format(place)) for place, number in enumerate(numbers)}


def test_records_of_both_are_paired_by_what_they_ask():
    found = paired(values([0, 0, 0, 1]), values([1, 1, 1, 1]), **HOW)
    # Three of four rise by one; Binomial(4, 3/4): the middle 95 % are 1..4 of 4.
    assert (found.difference.mean, found.difference.low, found.difference.high) == (0.75, 0.25, 1.0)
    assert (found.difference.count, found.left_out) == (4, 0)


def test_an_id_that_asks_something_else_is_not_paired():
    a, b = values([0, 0, 0]), values([1, 1, 1])
    b["1"] = Value(5, "1", "another question")
    b["9"] = Value(5, "9", "9?")
    found = paired(a, b, **HOW)
    assert (found.difference.mean, found.difference.count, found.left_out) == (1.0, 2, 2)


def test_without_a_record_in_both_there_is_no_interval():
    found = paired(values([0, 0], "old {}"), values([1, 1], "new {}"), **HOW)
    assert (found.difference, found.left_out) == (None, 2)


def test_alike_records_are_drawn_together():
    a = {str(n): Value(0, "one" if n < 5 else "two", "?") for n in range(10)}
    b = {str(n): Value(n < 5, "one" if n < 5 else "two", "?") for n in range(10)}
    found = paired(a, b, **HOW).difference
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)  # two groups: both draws are the one in a quarter


def test_a_record_counts_by_its_weight():
    a = {"1": Value(1.0, "1", "?", weight=3.0), "2": Value(1.0, "2", "?")}
    b = {"1": Value(2.0, "1", "?", weight=3.0), "2": Value(5.0, "2", "?")}
    assert paired(a, b, **HOW).difference.mean == (3 * 1 + 1 * 4) / 4


def test_the_spread_is_that_of_a_sample():
    found = spread([2.0, 4.0, 6.0])
    assert (found.mean, found.deviation, found.count) == (4.0, 2.0, 3)
    assert spread([2.0]).deviation is None


def test_means_of_runs_differ_as_scipys_t_test_says():
    a, b = [0.81, 0.86, 0.84], [0.9, 0.93, 0.88, 0.91]
    found = difference_of_means(a, b, confidence=0.95)
    outside = stats.ttest_ind(b, a).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((outside.low, outside.high))
    assert found.excludes_zero


def test_a_single_run_is_held_against_where_one_more_would_lie():
    found = difference_of_means([10.0], [4.0, 5.0, 6.0], confidence=0.95)
    # s = 1; t for two degrees of freedom is 4.302653 (any table); 4.302653 x sqrt(1 + 1/3) = 4.968275
    assert (found.mean, found.low, found.high) == pytest.approx((-5.0, -9.968275, -0.031725), abs=1e-6)


def test_runs_that_are_all_alike_show_no_spread():
    found = difference_of_means([1.0, 1.0], [1.5, 1.5], confidence=0.95)
    assert (found.low, found.high, found.excludes_zero) == (0.5, 0.5, False)


def test_runs_that_are_all_alike_show_no_spread_where_their_mean_is_rounded():
    a, b = [0.1] * 3, [0.2] * 3  # the sum of three 0.1 is not 0.3
    found = difference_of_means(a, b, confidence=0.95)
    assert (found.low, found.high, found.excludes_zero) == (0.1, 0.1, False)
    assert (spread(a).mean, spread(a).deviation) == (0.1, 0.0)


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([], [1.0, 2.0, 3.0])])
def test_too_few_runs_are_refused(a, b):
    with pytest.raises(ValueError, match="expected one each, and three in all at least"):
        difference_of_means(a, b, confidence=0.95)


def test_no_run_and_a_confidence_out_of_range_are_refused():
    with pytest.raises(ValueError, match="no runs"):
        spread([])
    with pytest.raises(ValueError, match=r"confidence is 95\.0; expected a share"):
        difference_of_means([1.0, 2.0], [1.0, 2.0], confidence=95.0)
