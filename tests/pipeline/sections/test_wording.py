import pytest

from pipeline.sections import wording


@pytest.mark.parametrize(("share", "words"), [(0.95, "95 %"), (0.999, "99.9 %"), (0.29, "29 %")])
def test_a_share_is_written_as_a_percentage(share, words):
    assert wording.percent(share) == words


@pytest.mark.parametrize(("gap", "words"), [(0.5, "0.5 points above"), (-1.3, "1.3 points below")])
def test_a_gap_between_percentages_is_written_in_points(gap, words):
    assert wording.points(gap) == words


@pytest.mark.parametrize(("names", "words"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_names_are_enumerated_with_one_and(names, words):
    assert wording.listed(names) == words


@pytest.mark.parametrize(("unit", "digits"), [("share", 1), ("points", 1), ("nats per token", 2)])
def test_nats_are_shown_with_one_decimal_more(unit, digits):
    assert wording.digits(unit) == digits


@pytest.mark.parametrize(("judge", "words"), [("rouge_l", "ROUGE-L"), ("llama3:8b", "llama3:8b")])
def test_a_metric_is_called_by_its_name_and_a_model_by_its_own(judge, words):
    assert wording.spoken(judge) == words


def test_a_long_answer_is_cut_and_an_empty_one_named():
    assert wording.cut("a  b\n" + "x" * 98) == "a b " + "x" * 96 + " ..."
    assert wording.cut(" \n") == "(nothing)"
