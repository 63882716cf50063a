"""Scores keep what could not be read."""

import math

import pytest

from components.scoring.score import Score


def test_a_null_with_a_reason_is_a_score():
    assert Score("assistant", "7", "llama3", None, "points", "prose").value is None


def test_a_null_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="assistant 7: a score without a value needs a reason"):
        Score("assistant", "7", "llama3", None, "points", "")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="expected a finite number or null"):
        Score("assistant", "7", "chrf", value, "chrF", "")
