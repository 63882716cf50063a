"""Text metrics against answers judged by hand and sacrebleu's published numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from components.scoring.metrics import chrf, exact_match, rouge_l


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


def test_rouge_l_of_rouge_scores_own_example_is_worked_out_by_hand():
    # "the quick brown jumps the" is common: 5 of 8 words of the one, 5 of 9 of the other; F = 10 / 17.
    answer = "The quick brown dog jumps on the log."
    assert rouge_l(answer, "The quick brown fox jumps over the lazy dog") == pytest.approx(10 / 17)


@pytest.mark.parametrize(
    ("answer", "expected", "value"),
    [
        ("", "a", 0.0),
        ("", "", 0.0),
        ("+", "+", 0.0),
        ("b a", "a b", 0.5),
        ("A.", "a", 1.0),
        ("\u03b1\u03b2 \u03b3", "\u03b1\u03b2 \u03b3", 1.0),  # Greek
    ],
)
def test_words_in_their_order_count_whatever_their_script(answer, expected, value):
    assert rouge_l(answer, expected) == value


@given(st.text(st.sampled_from("ab_1 .,\nB")), st.text(st.sampled_from("ab_1 .,\nB")))
def test_rouge_l_of_ascii_texts_is_rouge_scores_own(answer, expected):
    assert rouge_l(answer, expected) == RougeScorer(["rougeL"]).score(expected, answer)["rougeL"].fmeasure
