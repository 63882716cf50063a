from benchmarks.default import marks

REACHED = {
    "bits_per_byte": 1.9,
    "classifier_accuracy": 0.8,
    "bag_of_words_accuracy": 0.75,
    "classifier_minus_untuned_classifier_accuracy_low": 0.1,
    "tuned_minus_untuned_exact_match": 0.5,
    "tuned_minus_untuned_exact_match_low": 0.4,
    "tuned_minus_untuned_exact_match_high": 0.6,
    "tuned_minus_untuned_chrf_low": -1.0,
}


def met(**changes: float) -> list[bool]:
    return [row[-1] for row in marks(REACHED | changes, {"instructions_test": 200})]


def test_every_mark_is_met():
    assert met() == [True, True, True, True, True]


def test_each_mark_can_be_missed():
    assert met(bits_per_byte=2.01) == [False, True, True, True, True]
    assert met(classifier_accuracy=0.739) == [True, False, True, True, True]
    assert [row[-1] for row in marks(REACHED, {"instructions_test": 199})] == [True, True, False, True, True]
    assert met(tuned_minus_untuned_exact_match_low=0.0) == [True, True, True, True, False]
    assert met(classifier_minus_untuned_classifier_accuracy_low=-0.01) == [True, True, True, False, True]
