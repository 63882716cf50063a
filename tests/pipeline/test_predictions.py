from dataclasses import replace

import numpy as np
import pytest

from pipeline import paths, predictions


@pytest.fixture
def written(project):
    records = [("r1", "os", "ham"), ("r2", "re", "spam")]
    guessed = [{"ham": 1 / 3, "spam": 2 / 3}, {"ham": 0.25, "spam": 0.75}]
    paths.PREDICTIONS.mkdir(parents=True)
    predictions.write(predictions.file("bag of words"), records, ["spam", "spam"], guessed)
    return predictions.read("bag of words")


def test_what_is_written_is_read(written):
    assert (written.ids, written.groups, written.labels) == (("r1", "r2"), ("os", "re"), ("ham", "spam"))
    assert written.true.tolist() == [0, 1]
    assert written.predicted.tolist() == [1, 1]
    np.testing.assert_allclose(written.probabilities, [[1 / 3, 2 / 3], [0.25, 0.75]], rtol=1e-8)


def test_confidence_is_the_probability_of_what_was_said(written):
    assert written.confidence.tolist() == pytest.approx([2 / 3, 0.75])
    assert written.is_right.tolist() == [False, True]


def test_records_can_be_left_out(written):
    left = written.without({"r1"})
    assert (left.ids, left.groups, left.true.tolist(), left.confidence.tolist()) == (("r2",), ("re",), [1], [0.75])


def test_the_measures_are_named(written):
    # F1: ham 0, spam 2 / (2 + 1). Gaps: one bin (9/15, 10/15] with 2/3, one (11/15, 12/15] with 0.25, of two texts.
    # The scores of both labels are in the right order.
    assert predictions.measured("bag of words") == {
        "accuracy": 0.5,
        "f1": pytest.approx(1 / 3),
        "calibration_error": pytest.approx((2 / 3 + 0.25) / 2),
        "average_precision": 1.0,
    }


def test_a_column_for_each_label_follows_what_dvc_plots(written):
    header = predictions.file("bag of words").read_text().splitlines()[0]
    assert header == "id,group,actual,predicted,probability of ham,probability of spam"
    assert predictions.file("classifier").name == "predictions.csv"


def test_a_sample_without_a_label_is_judged_by_the_others(written):
    right = replace(written, predicted=written.true)
    samples = np.array([[1.0, 1.0], [2.0, 0.0]])  # the second holds ham alone
    assert predictions.measures(samples, right)[:, 1].tolist() == [1.0, 1.0]
