"""The build's numbers are those of conftest.py; the clean ones are worked out in findings/test_leakage.py."""

import pytest

from components.overlap.found import Overlap
from components.page.facts import Estimate, Table, Text
from components.page.page import html
from components.tasks.files import write_records
from pipeline.findings.base_model import passages
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import leakage, page

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def found(build):
    return gather(HOW)


def test_the_table_has_each_pair_of_sides_with_its_share_and_the_most(build):
    drawn = leakage.overlaps()
    assert drawn.rows == (("classification test", "classification train", "13-gram", 4, 1, 25.0, 50.0),)
    assert "data/overlap/overlaps.jsonl" in drawn.note


def test_a_side_without_texts_has_no_share(build):
    path = build / "data/overlap/counts.json"
    path.write_text(path.read_text().replace('"items": 4, "touched": 1', '"items": 0, "touched": 0'))
    assert leakage.overlaps().rows[0][3:6] == (0, 0, None)


def test_scores_without_what_overlaps_stand_beside_those_on_all(found):
    _, losses, labels, table = leakage.section(found).blocks
    assert losses.items == (
        ("bits per byte on clean passages", Estimate(*map(pytest.approx, (1.0, 1.0, 1.0)))),
        ("bits per byte on all", Estimate(*map(pytest.approx, (1.5, 1.0, 3.0)))),
    )
    assert losses.note.startswith("Of the 3 passages of the validation text 1 are touched, by any measure. 95 %")
    assert isinstance(labels, Table)
    assert labels.rows[0][:3] == (
        "classifier",
        Estimate(pytest.approx(200 / 3), 0.0, 100.0),
        Estimate(75.0, 25.0, 100.0),
    )
    assert [row[0] for row in labels.rows] == ["classifier", "untuned", "bag of words", "majority"]
    assert labels.note == (
        "Of the classifier's 4 test texts 1 are touched, by any measure; 3 are clean. 95 % intervals."
    )
    assert isinstance(table, Table)
    assert table.rows[0] == ("tuned", 3, Estimate(pytest.approx(200 / 3), 0.0, 100.0), 4, Estimate(75.0, 25.0, 100.0))
    assert len(table.rows) == 5
    assert table.note == "1 questions are touched, by any measure. 95 % intervals."


def test_where_nothing_overlaps_sentences_say_so(build):
    (build / "data/overlap/overlaps.jsonl").write_text("")
    assert leakage.section(gather(HOW)).blocks[1:] == (
        Text("None of the 3 passages of the validation text is touched."),
        Text("None of the 4 test texts of the classifier is touched."),
        Text("None of the assistant's test questions is touched."),
    )


def test_where_all_overlaps_sentences_say_so(build):
    ids = {"classification test": "1234", "judge items": ["c1", "c2", "n1", "n2"]}
    ids["corpus validation"] = [each.id for each in passages()]
    overlaps = [Overlap(side, "train", "exact", id, "a.txt", 1.0) for side, its in ids.items() for id in its]
    write_records(overlaps, build / "data/overlap/overlaps.jsonl")
    found = gather(HOW)
    assert leakage.section(found).blocks[1:] == (
        Text("Each of the 3 passages of the validation text is touched: none is left to score."),
        Text("Each of the 4 test texts of the classifier is touched: none is left to score."),
        Text("Each of the 4 test questions is touched: none is left to score."),
    )


def test_a_build_judged_by_a_model_that_could_not_be_read_on_some_answers_has_the_table_too(judged):
    found = gather(HOW)
    table = leakage.section(found).blocks[-1]
    assert table.rows[0][:2] == ("tuned", 2)
    assert table.rows[2] == ("untuned (shown examples)", 0, None, 0, None)
    assert "Held out and trained on" in html(page.facts(found))
