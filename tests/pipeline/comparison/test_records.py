import json

import pytest

from components.scoring.comparison import Value
from pipeline.comparison import records
from pipeline.findings import headline
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling


def test_each_test_text_is_right_or_not_and_is_known_by_what_it_is(build):
    folder = build / "data/tasks/classification"
    folder.mkdir(parents=True)
    (folder / "test.jsonl").write_text('{"id": "2", "text": "So it goes.", "label": "code", "group": "b"}\n')
    found = records.values(build)["classifier_accuracy"]
    assert found["2"] == Value(0.0, "b", '["So it goes.", "code"]')
    assert [value.number for value in found.values()] == [1.0, 0.0, 1.0, 1.0]
    gains = records.values(build)["classifier_minus_majority_accuracy"]  # which says prose of all
    assert [value.number for value in gains.values()] == [1.0, 0.0, 0.0, 0.0]


def test_each_passage_counts_by_its_bytes_and_is_known_by_its_hash(build):
    found = records.values(build)
    (id, *others) = found["bits_per_byte"]
    assert found["bits_per_byte"][id] == Value(pytest.approx(1.0), "tales", f"hash of {id}", weight=100)
    assert list(found["bits_per_byte_clean"]) == [id, others[0]]


def test_each_answer_has_its_verdict_and_what_it_is_better_by(build):
    found = records.values(build)
    assert found["tuned_exact_match"]["c1"] == Value(1, "c1", '["How many parameters?", "def f(a)", "1"]')
    assert [value.number for value in found["tuned_minus_copied_input_exact_match"].values()] == [1, 1, 1, -1]
    assert list(found["tuned_minus_best_constant_exact_match_name"]) == ["n1", "n2"]


def test_a_verdict_that_could_not_be_read_is_none(judged):
    found = records.values(judged)
    assert list(found["tuned_llama3:8b"]) == ["c1", "c2", "n2"]
    assert list(found["tuned_minus_untuned_llama3:8b"]) == ["c1", "n2"]


def test_what_overlaps_stands_beside_the_rest(build):
    found = records.values(build)
    assert (list(found["classifier_accuracy_clean"]), list(found["tuned_exact_match_clean"])) == (
        ["2", "3", "4"],
        ["c2", "n1", "n2"],
    )


def test_each_item_is_known_by_its_source_the_right_ending_and_the_lengths_of_all(chosen):
    found = records.values(chosen)["multiple_choice_1_shot_accuracy"]
    assert found["3"] == Value(0.0, "3", '["3", 0, [4, 20]]')
    assert [value.number for value in found.values()] == [1.0, 1.0, 1.0, 0.0]
    assert [value.number for value in records.values(chosen)["multiple_choice_1_shot_accuracy_norm"].values()] == [
        0.0
    ] * 4


def test_each_pair_of_answers_is_known_by_what_it_is(preferred):
    folder = preferred / "data/tasks/preferences"
    folder.mkdir(parents=True)
    pair = {"instruction": "Greet.", "input": "", "chosen": "Good day.", "rejected": "What?"}
    (folder / "test.jsonl").write_text(json.dumps({"id": "test-1", "group": "test-1", **pair}) + "\n")
    found = records.values(preferred)
    assert found["preferences_test_margin"] == {
        "test-0": Value(1.0, "test-0", "null"),
        "test-1": Value(1.0, "test-1", '["Greet.", "", "Good day.", "What?"]'),
    }
    assert [value.number for value in found["preferences_validation_accuracy"].values()] == [1.0, 1.0]


def mean(values):
    return sum(each.number * each.weight for each in values) / sum(each.weight for each in values)


@pytest.mark.parametrize("which", ["build", "judged", "chosen", "preferred"])
def test_their_means_are_the_headline_numbers(which, request):
    folder = request.getfixturevalue(which)
    known = headline.numbers(gather(Resampling(resamples=10, confidence=0.95, seed=1)))
    found = {name: each for name, each in records.values(folder).items() if name in known}
    assert {name: mean(each.values()) for name, each in found.items()} == pytest.approx(
        {name: known[name] for name in found}
    )
    single = {"touched", "coverage", "f1", "calibration_error", "average_precision", "byte", "low", "high"}
    assert [
        name for name in known if name not in found and not name.removesuffix("_clean").endswith(tuple(single))
    ] == []


def test_a_build_without_records_has_none(project):
    assert records.values(project) == {}


def test_texts_that_are_not_there_are_not_the_same_as_texts(build):
    assert json.loads(records.values(build)["classifier_accuracy"]["1"].asked) == [None, "code"]
