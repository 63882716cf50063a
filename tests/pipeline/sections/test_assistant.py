"""The numbers are those that findings/test_assistant.py works out."""

import json

import pytest

from components.page.facts import Dot, Estimate, Intervals, Table, Text
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import assistant

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def blocks(build):
    return assistant.scores(gather(HOW))


def test_every_models_score_is_a_percentage_with_its_interval(blocks):
    drawn = blocks[0]
    assert isinstance(drawn, Intervals)
    assert (drawn.title, drawn.unit) == ("Scores by exact match", "%")
    assert drawn.rows[0] == Dot("tuned", Estimate(75.0, 25.0, 100.0))
    assert drawn.rows[1] == Dot("untuned", Estimate(0.0, 0.0, 0.0))
    assert drawn.note == "95 % bootstrap intervals over 4 questions, those of one group drawn together."


def test_each_difference_says_plainly_whether_it_excludes_zero(blocks):
    assert isinstance(blocks[1], Table)
    assert blocks[1].rows == (
        ("untuned", 75.0, 0.0, Estimate(75.0, 25.0, 100.0), "excludes zero, better"),
        ("untuned (shown examples)", 75.0, 50.0, Estimate(25.0, 0.0, 75.0), "does not exclude zero"),
        ("best constant", 75.0, 25.0, Estimate(50.0, 0.0, 100.0), "does not exclude zero"),
        ("copied input", 75.0, 25.0, Estimate(50.0, -50.0, 100.0), "does not exclude zero"),
    )
    assert [column.unit for column in blocks[1].columns] == ["", "%", "%", "points", ""]


def test_differences_by_kind_name_those_that_do_not_lie_above_zero(blocks):
    drawn = blocks[2]
    assert isinstance(drawn, Intervals)
    assert drawn.rows[0] == Dot("untuned", Estimate(100.0, 100.0, 100.0), "count")
    assert [row.group for row in drawn.rows] == ["count"] * 4 + ["name"] * 4
    assert drawn.note == (
        "95 % bootstrap intervals; questions: count 2, name 2. These do not exclude zero: count against untuned, "
        "name against untuned, count against untuned (shown examples), name against untuned (shown examples), "
        "count against best constant, name against best constant, count against copied input and name against copied "
        "input. The others exclude zero and lie above it."
    )


def test_a_model_that_is_worse_is_said_to_be_worse(build):
    path = build / "data/scores/scores.jsonl"
    path.write_text(
        path.read_text().replace('"tuned"', '"x"').replace('"untuned"', '"tuned"').replace('"x"', '"other"')
    )
    found = gather(HOW)
    assert assistant.scores(found)[1].rows[0][-1] == "excludes zero, worse"
    assert assistant.conclusion(found, "exact_match") == (
        "By exact match, on 4 held-out questions, the tuned model is worse than other (the interval of the difference "
        "excludes zero). It is not told apart from untuned (shown examples), best constant and copied input "
        "(the interval of the difference does not exclude zero)."
    )


def test_a_judging_model_shows_how_many_verdicts_could_be_read(judged):
    drawn, differences = assistant.scores(gather(HOW))  # one kind of question: no figure by kind
    assert drawn.unit == "points"
    assert [row.label for row in drawn.rows] == ["tuned", "untuned"]
    assert drawn.note == (
        "95 % bootstrap intervals over 4 questions, those of one group drawn together. Verdicts that could be read: "
        "tuned 3 of 4, untuned 3 of 4, untuned (shown examples) 0 of 4."
    )
    assert differences.rows == (("untuned", 60.0, 5.0, Estimate(55.0, 40.0, 70.0), "excludes zero, better"),)
    assert "on 2 questions" in differences.note


def test_a_judge_that_was_never_readable_is_told_in_a_sentence(judged):
    path = judged / "data/scores/scores.jsonl"
    path.write_text('{"model": "tuned", "id": "c1", "judge": "j", "value": null, "unit": "points", "reason": "?"}\n')
    found = gather(HOW)
    assert assistant.scores(found) == [Text("No verdict of j could be read: tuned 0 of 1.")]
    assert assistant.conclusion(found, "j") == "By j the tuned model could not be compared."
    assert assistant.answers("j") == []


def test_right_and_wrong_answers_stand_beside_the_untuned_models(build):
    right, wrong = assistant.answers("exact_match")
    assert right.title == "Right answers"
    assert right.rows == (
        ("How many parameters?\ndef f(a)", "1", "1", "no c1"),
        ("How many parameters?\ndef g(a, b)", "2", "2", "no c2"),
        ("What is it called?\ndef h()", "h", "h", "no n1"),
    )
    assert wrong.rows == (("What is it called?\ndef k()", "k", "no n2", "no n2"),)


def test_a_judging_models_best_and_worst_come_first(judged):
    best, worst = assistant.answers("llama3:8b")
    assert (best.title, worst.title) == ("Best answers", "Worst answers")
    assert [row[1] for row in best.rows] == ["1", "2"]  # 80 and 60 points; the unread one is nowhere
    assert [row[1] for row in worst.rows] == ["k"]  # 40 points


def test_long_answers_are_cut_and_empty_ones_named(build):
    path = build / "data/responses/responses.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[3]["answer"], rows[7]["answer"] = "x  y\n" + "x" * 98, " "
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, wrong = assistant.answers("exact_match")
    assert wrong.rows[0][2:] == ("x y " + "x" * 96 + " ...", "(nothing)")


def test_a_likelihood_is_shown_in_nats_with_how_many_were_measured(likely):
    found = gather(HOW)
    drawn, differences = (block for block in assistant.scores(found)[3:5])
    assert (drawn.title, drawn.unit, drawn.digits) == (
        "Scores by likelihood of the expected answer",
        "nats per token",
        2,
    )
    assert drawn.note.endswith("the nearer to 0, the likelier. Scored: tuned 4 of 4, untuned 3 of 4.")
    assert differences.rows[0][0] == "untuned"
    assert differences.rows[0][3] == Estimate(4.5, 3.75, 5.25)
    assert [column.digits for column in differences.columns] == [None, 2, 2, 2, None]


def test_answers_are_sorted_by_a_judge_of_answers_never_by_likelihood(likely):
    path = likely / "data/scores/scores.jsonl"
    rows = [line for line in path.read_text().splitlines(keepends=True) if "likelihood" in line]
    path.write_text("".join(rows))
    made = assistant.section(gather(HOW))
    assert [getattr(block, "title", "")[:6] for block in made.blocks] == ["Traini", "Scores", "The tu", "The tu"]
