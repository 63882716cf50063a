"""Scores of samples against scikit-learn's, which takes the same weights, and against bins worked out by hand."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_curve,
    precision_recall_fscore_support,
)

from components.scoring import weighted

RANDOM = np.random.default_rng(1)
TRUE = RANDOM.integers(0, 3, 40)
PREDICTED = np.where(RANDOM.random(40) < 0.6, TRUE, RANDOM.integers(0, 3, 40))
SCORES = np.round(0.5 * (TRUE == 1) + 0.7 * RANDOM.random(40), 1)  # so that some are equal
WEIGHTS = RANDOM.integers(0, 4, (5, 40)).astype(float)


def test_accuracy_is_scikit_learns():
    expected = [accuracy_score(TRUE, PREDICTED, sample_weight=each) for each in WEIGHTS]
    assert weighted.accuracy(WEIGHTS, TRUE == PREDICTED).tolist() == pytest.approx(expected)


def test_precision_recall_and_f1_of_each_label_are_scikit_learns():
    given = weighted.by_label(WEIGHTS, TRUE, PREDICTED, 3)
    for each, found in zip(WEIGHTS, given, strict=True):
        *expected, _ = precision_recall_fscore_support(TRUE, PREDICTED, labels=[0, 1, 2], sample_weight=each)
        np.testing.assert_allclose(found, np.stack(expected, axis=1))
    macro = [f1_score(TRUE, PREDICTED, average="macro", sample_weight=each) for each in WEIGHTS]
    assert given[:, :, 2].mean(axis=1).tolist() == pytest.approx(macro)


def test_a_label_that_is_not_there_has_no_recall_one_never_said_no_precision_and_what_is_neither_no_f1():
    found = weighted.by_label(np.ones((1, 2)), np.array([0, 0]), np.array([0, 1]), 3)[0]
    np.testing.assert_allclose(found, [[1.0, 0.5, 2 / 3], [0.0, np.nan, 0.0], [np.nan, np.nan, np.nan]])


def test_average_precision_is_scikit_learns():
    expected = [average_precision_score(TRUE == 1, SCORES, sample_weight=each) for each in WEIGHTS]
    assert weighted.average_precision(WEIGHTS, SCORES, TRUE == 1).tolist() == pytest.approx(expected)


def test_without_the_label_there_is_no_average_precision():
    assert np.isnan(weighted.average_precision(np.ones((1, 2)), np.array([0.1, 0.2]), np.array([False, False]))).all()


def test_precision_at_a_recall_is_a_point_of_scikit_learns_curve():
    recalls = np.array([0.25, 0.5, 1.0])
    given = weighted.precision_at(WEIGHTS, SCORES, TRUE == 1, recalls)
    for each, found in zip(WEIGHTS, given, strict=True):
        precision, recall, _ = precision_recall_curve(TRUE == 1, SCORES, sample_weight=each)
        # Its points begin at the lowest threshold: the last that still reaches the recall.
        assert found.tolist() == pytest.approx([precision[recall >= at - 1e-12][-1] for at in recalls])


def test_the_calibration_error_is_the_mean_gap_of_the_bins():
    # Bins of 1/15: 0.9 twice in (13/15, 14/15], both right, gap 2 * 0.1; 0.6 in (8/15, 9/15], wrong, gap 0.6; 0.8 in
    # (11/15, 12/15], right, gap 0.2. Together 1.0 of 4 records. Without the wrong one 0.4 of 3; it alone 0.6.
    confidence, is_right = np.array([0.9, 0.6, 0.8, 0.9]), np.array([True, False, True, True])
    weights = np.array([[1.0, 1, 1, 1], [1, 0, 1, 1], [0, 5, 0, 0]])
    given = weighted.calibration_error(weights, confidence, is_right)
    assert given.tolist() == pytest.approx([0.25, 0.4 / 3, 0.6])


def test_in_a_bin_what_is_too_sure_and_too_unsure_makes_up_for_each_other():
    is_right = np.array([True, True, True, False])
    assert weighted.calibration_error(np.ones((1, 4)), np.full(4, 0.75), is_right).tolist() == [0.0]


@pytest.mark.parametrize("sure", [0.0, 1.0])
def test_the_ends_have_a_bin(sure: float):
    assert weighted.calibration_error(np.ones((1, 1)), np.array([sure]), np.array([bool(sure)])).tolist() == [0.0]
