"""Intervals are of four values: the percentile bootstrap of k ones in n draws is a binomial, worked out beside each."""

import json

import pytest

from pipeline import findings
from pipeline.findings import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def ends(interval):
    return interval.mean, interval.low, interval.high, interval.count


def test_every_model_has_a_standing_by_each_judge(build):
    found = findings.gather(HOW)
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
    (found,) = [each for each in findings.gather(HOW).comparisons if each.other == other and each.kind is None]
    assert ends(found.difference) == expected
    assert found.tuned == 0.75


def test_several_kinds_are_compared_each_by_itself_too(build):
    found = [each for each in findings.gather(HOW).comparisons if each.other == "best constant"]
    # One question of two each: Binomial(2, 1/2), P(0) = P(2) = 25 %.
    assert [(each.kind, *ends(each.difference)) for each in found[1:]] == [
        ("count", 0.5, 0.0, 1.0, 2),
        ("name", 0.5, 0.0, 1.0, 2),
    ]


def test_verdicts_that_could_not_be_read_leave_out_their_question_alone(judged):
    found = findings.gather(HOW)
    assert [(each.model, each.mean and each.mean.mean, each.read, each.answers) for each in found.standings] == [
        ("tuned", 60.0, 3, 4),
        ("untuned", 10.0, 3, 4),
        ("untuned, shown examples", None, 0, 4),
    ]
    (pair,) = found.comparisons
    # Read on both sides: 80 - 10 and 40 - 0.
    assert (pair.other, pair.kind, pair.tuned, pair.theirs) == ("untuned", None, 60.0, 5.0)
    assert ends(pair.difference) == (55.0, 40.0, 70.0, 2)


def test_the_headlines_are_flat_numbers_with_their_intervals(build):
    found = findings.headlines(findings.gather(HOW))
    assert (found["bits_per_byte"], found["xz_bits_per_byte"]) == (1.5, 2.0)
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


def test_the_clean_part_is_what_overlaps_nothing_by_any_measure(build):
    clean = findings.gather(HOW).clean
    # Left of the texts are one wrong label and two right ones; of the questions c2, n1 and n2.
    accuracy = clean.labelled.scores[0].accuracy
    assert (clean.texts, accuracy.mean, accuracy.count) == (1, pytest.approx(2 / 3), 3)
    assert clean.questions == 1
    assert [(each.model, each.mean.mean, each.answers) for each in clean.standings] == [
        ("tuned", pytest.approx(2 / 3), 3),
        ("untuned", 0.0, 3),
        ("untuned, shown examples", pytest.approx(1 / 3), 3),
        ("best constant", 0.0, 3),
        ("copied input", pytest.approx(1 / 3), 3),
    ]


def test_the_headlines_hold_the_clean_part_beside_the_whole(build):
    found = findings.headlines(findings.gather(HOW))
    assert (found["classifier_touched"], found["assistant_touched"]) == (1.0, 1.0)
    assert (found["classifier_accuracy"], found["classifier_accuracy_clean"]) == (0.75, pytest.approx(2 / 3))
    assert (found["tuned_exact_match_clean_low"], found["tuned_exact_match_clean_high"]) == (0.0, 1.0)
    assert found["untuned_exact_match_clean"] == 0.0


def test_where_nothing_overlaps_nothing_is_scored_twice(build):
    (build / "data/overlap/overlaps.jsonl").write_text("")
    found = findings.gather(HOW)
    assert found.clean == findings.Clean(0, None, 0, ())
    assert not [name for name in findings.headlines(found) if "clean" in name]


def test_where_all_overlaps_nothing_is_left_to_score(build):
    ids = {"classification test": "1234", "judge items": ["c1", "c2", "n1", "n2"]}
    rows = [{"held_out": side, "id": id} for side, its in ids.items() for id in its]
    (build / "data/overlap/overlaps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert findings.gather(HOW).clean == findings.Clean(4, None, 4, ())


def test_what_overlaps_in_validation_is_scored_all_the_same(build):
    path = build / "data/overlap/overlaps.jsonl"
    path.write_text(path.read_text().replace("test", "validation").replace("judge items", "instructions validation"))
    assert findings.gather(HOW).clean == findings.Clean(0, None, 0, ())


def test_a_judging_model_brings_its_coverage_into_the_headlines(judged):
    found = findings.headlines(findings.gather(HOW))
    assert found["tuned_llama3:8b"] == 60.0
    assert found["tuned_llama3:8b_coverage"] == 0.75
    assert found["untuned_shown_examples_llama3:8b_coverage"] == 0.0
    assert "untuned_shown_examples_llama3:8b" not in found


def test_a_judging_model_that_says_nothing_readable_leaves_its_coverage(judged):
    path = judged / "data/scores/scores.jsonl"
    path.write_text('{"model": "tuned", "id": "c1", "judge": "j", "value": null, "unit": "points", "reason": "?"}\n')
    found = findings.gather(HOW)
    assert found.comparisons == ()
    assert findings.headlines(found)["tuned_j_coverage"] == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0, 0.95, 1), "resamples is 0; expected 1 or more"),
        ((10, 95.0, 1), r"confidence is 95.0; expected a share between 0 and 1"),
        ((10, 0.95, -1), "seed is -1; expected 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Resampling(*values)


def test_likelihoods_bring_their_intervals_and_the_share_measured_into_the_headlines(likely):
    found = findings.headlines(findings.gather(HOW))
    assert (found["tuned_likelihood"], found["untuned_likelihood"]) == (-0.5, -5.0)
    assert (found["tuned_likelihood_coverage"], found["untuned_likelihood_coverage"]) == (1.0, 0.75)
    # Of the three questions that both have: 3.75, 4.5 and 5.25.
    ends = [found[f"tuned_minus_untuned_likelihood{end}"] for end in ("", "_low", "_high")]
    assert ends == [4.5, 3.75, 5.25]
