"""The numbers are those that test_assistant.py and test_classifier.py work out."""

import pytest

from pipeline.findings import headline
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def test_the_headlines_are_flat_numbers_with_their_intervals(build):
    found = headline.numbers(gather(HOW))
    assert [found[f"bits_per_byte{end}"] for end in ("", "_low", "_high")] == pytest.approx([1.5, 1.0, 3.0])
    assert found["xz_bits_per_byte"] == 2.0
    assert found["xz_after_training_text_bits_per_byte"] == 1.75
    assert (found["classifier_accuracy"], found["classifier_accuracy_low"]) == (0.75, 0.25)
    assert (found["classifier_f1"], found["bag_of_words_f1"]) == (pytest.approx((2 / 3 + 4 / 5) / 2), 0.5)
    assert (found["untuned_classifier_accuracy"], found["majority_accuracy"]) == (0.5, 0.5)
    assert found["classifier_minus_untuned_classifier_accuracy"] == 0.25
    assert found["classifier_minus_bag_of_words_accuracy_low"] == 0.0
    assert found["classifier_calibration_error"] == pytest.approx(0.25)
    assert [found[f"tuned_exact_match{end}"] for end in ("", "_low", "_high")] == [0.75, 0.25, 1.0]
    against_examples = "tuned_minus_untuned_shown_examples_exact_match"
    assert [found[f"{against_examples}{end}"] for end in ("", "_low", "_high")] == [0.25, 0.0, 0.75]
    assert found["tuned_minus_best_constant_exact_match_count_high"] == 1.0
    assert "tuned_minus_untuned_exact_match_count" not in found
    assert all(isinstance(value, float) for value in found.values())


def test_the_headlines_hold_the_clean_part_beside_the_whole(build):
    found = headline.numbers(gather(HOW))
    assert [found[f"{who}_touched"] for who in ("base_model", "classifier", "assistant")] == [1.0, 1.0, 1.0]
    assert [found[f"bits_per_byte_clean{end}"] for end in ("", "_low", "_high")] == pytest.approx([1.0, 1.0, 1.0])
    assert (found["classifier_accuracy"], found["classifier_accuracy_clean"]) == (0.75, pytest.approx(2 / 3))
    assert (found["tuned_exact_match_clean_low"], found["tuned_exact_match_clean_high"]) == (0.0, 1.0)
    assert found["untuned_exact_match_clean"] == 0.0


def test_a_judging_model_brings_its_coverage_into_the_headlines(judged):
    found = headline.numbers(gather(HOW))
    assert found["tuned_llama3:8b"] == 60.0
    assert found["tuned_llama3:8b_coverage"] == 0.75
    assert found["untuned_shown_examples_llama3:8b_coverage"] == 0.0
    assert "untuned_shown_examples_llama3:8b" not in found


def test_a_judging_model_that_says_nothing_readable_leaves_its_coverage(judged):
    path = judged / "data/scores/scores.jsonl"
    path.write_text('{"model": "tuned", "id": "c1", "judge": "j", "value": null, "unit": "points", "reason": "?"}\n')
    found = gather(HOW)
    assert found.comparisons == ()
    assert headline.numbers(found)["tuned_j_coverage"] == 0.0


def test_likelihoods_bring_their_intervals_and_the_share_measured_into_the_headlines(likely):
    found = headline.numbers(gather(HOW))
    assert (found["tuned_likelihood"], found["untuned_likelihood"]) == (-0.5, -5.0)
    assert (found["tuned_likelihood_coverage"], found["untuned_likelihood_coverage"]) == (1.0, 0.75)
    # Of the three questions that both have: 3.75, 4.5 and 5.25.
    ends = [found[f"tuned_minus_untuned_likelihood{end}"] for end in ("", "_low", "_high")]
    assert ends == [4.5, 3.75, 5.25]
