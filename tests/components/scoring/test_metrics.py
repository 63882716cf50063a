"""Text metrics against answers judged by hand and sacrebleu's published numbers."""

import pytest

from components.scoring.metrics import chrf, exact_match


@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ("4", "4", 1.0),
        (" 4\n", "4", 1.0),
        ("5", "4", 0.0),
        ("", "4", 0.0),
        ("Top", "top", 0.0),
        ("a  b", "a b", 0.0),
        ("4.", "4", 0.0),
    ],
)
def test_only_white_space_at_the_ends_is_forgiven(answer, expected, value):
    assert exact_match(answer, expected) == value


def test_the_same_text_scores_100_chrf():
    assert chrf("The cat sat on the mat.", "The cat sat on the mat.") == pytest.approx(100)


@pytest.mark.parametrize(("answer", "expected"), [("", "the cat"), ("xyz", "the cat"), ("", "")])
def test_nothing_in_common_scores_0_chrf(answer, expected):
    assert chrf(answer, expected) == 0


def test_chrf_of_a_short_pair_is_the_f_score_worked_out_by_hand():
    # "ab" against "abc": 1-grams 2 of 2 and 2 of 3, 2-grams 1 of 1 and 1 of 2; the longer orders are in neither or
    # cannot be counted in the answer. Precision 1, recall (2/3 + 1/2) / 2 = 7/12; F2 = 5 p r / (4 p + r) = 7/11.
    assert chrf("ab", "abc") == pytest.approx(100 * 7 / 11)
