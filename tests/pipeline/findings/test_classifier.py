"""Four texts: two of code, of which the classifier finds one, and two of prose, of which it finds both."""

import math

import pytest

from pipeline.findings import classifier
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def means(scores):
    return [each.mean for each in (scores.accuracy, scores.f1, scores.calibration_error, scores.average_precision)]


def test_each_labelling_has_its_measures(build):
    own, untuned, words, majority = classifier.gather(HOW.statistics).scores
    # F1 of code 2 * 1 / (1 + 2), of prose 2 * 2 / (3 + 2). The gaps of the bins: 2 * 0.1, 0.6, 0.2 of four texts.
    assert means(own) == pytest.approx([0.75, (2 / 3 + 4 / 5) / 2, 0.25, 1.0])
    # All is code with 0.6, half of it is right; equal scores pass the threshold together: precision 1/2.
    assert means(untuned) == pytest.approx([0.5, 1 / 3, 0.1, 0.5])
    # 0.7 twice, once right, and likewise for prose; of code and prose alike half is found, at 1/2, and then all.
    assert means(words) == pytest.approx([0.5, 0.5, 0.2, 0.5])
    assert means(majority) == pytest.approx([0.5, 1 / 3, 0.25, 0.5])


def test_the_accuracy_has_the_interval_of_a_binomial(build):
    accuracy = classifier.gather(HOW.statistics).scores[0].accuracy
    # Binomial(4, 3/4): P(0) = 1/256, P(<= 1) = 13/256 = 5.1 %, P(4) = 31.6 %: the middle 95 % are 1..4 of 4.
    assert (accuracy.mean, accuracy.low, accuracy.high, accuracy.count) == (0.75, 0.25, 1.0, 4)


def test_the_differences_are_taken_text_by_text(build):
    untuned, words, majority = classifier.gather(HOW.statistics).differences
    # Untuned: 0, -1, 1, 1. Words: 0, 0, 1, 0, a Binomial(4, 1/4): P(0) = 31.6 %, P(4) = 0.4 %, P(3) = 4.7 %.
    assert (untuned.who, untuned.accuracy.mean) == ("untuned", 0.25)
    assert (words.accuracy.mean, words.accuracy.low, words.accuracy.high) == (0.25, 0.0, 0.75)
    assert (majority.who, majority.accuracy.mean) == ("majority", 0.25)


def test_each_label_is_told_from_the_rest(build):
    code, prose = classifier.gather(HOW.statistics).labels
    assert (code.label, code.texts, code.precision.mean, code.recall.mean) == ("code", 2, 1.0, 0.5)
    assert (prose.precision.mean, prose.recall.mean) == (pytest.approx(2 / 3), 1.0)
    assert [each.mean for each in code.curve] == [1.0] * 20
    assert [each.mean for each in code.words_curve] == [0.5] * 20


def test_what_is_left_out_counts_nowhere(build):
    found = classifier.gather(HOW.statistics, {"1", "2"})
    assert found.scores[0].accuracy.mean == 1.0
    code = found.labels[0]
    assert (code.texts, code.precision.count) == (0, 2)
    assert math.isnan(code.recall.mean)
    assert math.isnan(code.curve[0].mean)
    assert found.scores[0].average_precision.mean == 1.0  # of prose alone
