"""Intervals are of four values: the percentile bootstrap of k ones in n draws is a binomial, worked out beside each."""

import pytest

from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def ends(interval):
    return interval.mean, interval.low, interval.high, interval.count


def test_every_model_has_a_standing_by_each_judge(build):
    found = gather(HOW)
    assert [(each.model, each.mean.mean, each.answers, each.read) for each in found.standings] == [
        ("tuned", 0.75, 4, 4),
        ("untuned", 0.0, 4, 4),
        ("untuned, shown examples", 0.5, 4, 4),
        ("best constant", 0.25, 4, 4),
        ("copied input", 0.25, 4, 4),
    ]
    assert found.judges == ["exact_match"]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("untuned", (0.75, 0.25, 1.0, 4)),  # as the accuracy above
        ("untuned, shown examples", (0.25, 0.0, 0.75, 4)),  # the same turned round
        ("best constant", (0.5, 0.0, 1.0, 4)),  # Binomial(4, 1/2): P(0) = P(4) = 6.3 %
        ("copied input", (0.5, -0.5, 1.0, 4)),  # three times 1, once -1: k of 4 give (2 k - 4) / 4, k = 1..4
    ],
)
def test_the_tuned_model_is_compared_question_by_question(build, other, expected):
    (found,) = [each for each in gather(HOW).comparisons if each.other == other and each.kind is None]
    assert ends(found.difference) == expected
    assert found.tuned == 0.75


def test_several_kinds_are_compared_each_by_itself_too(build):
    found = [each for each in gather(HOW).comparisons if each.other == "best constant"]
    # One question of two each: Binomial(2, 1/2), P(0) = P(2) = 25 %.
    assert [(each.kind, *ends(each.difference)) for each in found[1:]] == [
        ("count", 0.5, 0.0, 1.0, 2),
        ("name", 0.5, 0.0, 1.0, 2),
    ]


def test_verdicts_that_could_not_be_read_leave_out_their_question_alone(judged):
    found = gather(HOW)
    assert [(each.model, each.mean and each.mean.mean, each.read, each.answers) for each in found.standings] == [
        ("tuned", 60.0, 3, 4),
        ("untuned", 10.0, 3, 4),
        ("untuned, shown examples", None, 0, 4),
    ]
    (pair,) = found.comparisons
    # Read on both sides: 80 - 10 and 40 - 0.
    assert (pair.other, pair.kind, pair.tuned, pair.theirs) == ("untuned", None, 60.0, 5.0)
    assert ends(pair.difference) == (55.0, 40.0, 70.0, 2)
