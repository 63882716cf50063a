"""The build is that of conftest.py: one passage, one test text and one question overlap something."""

import pytest

from components.overlap.found import Overlap
from components.tasks.files import write_records
from pipeline.findings import base_model, headline, leakage
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def test_the_clean_part_is_what_overlaps_nothing_by_any_measure(build):
    clean = gather(HOW).clean
    assert (clean.passages, clean.bits_per_byte.mean, clean.bits_per_byte.count) == (1, pytest.approx(1.0), 2)
    # Left of the texts are one wrong label and two right ones; of the questions c2, n1 and n2.
    accuracy = clean.classifier.scores[0].accuracy
    assert (clean.texts, accuracy.mean, accuracy.count) == (1, pytest.approx(2 / 3), 3)
    assert clean.questions == 1
    assert [(each.model, each.mean.mean, each.answers) for each in clean.standings] == [
        ("tuned", pytest.approx(2 / 3), 3),
        ("untuned", 0.0, 3),
        ("untuned, shown examples", pytest.approx(1 / 3), 3),
        ("best constant", 0.0, 3),
        ("copied input", pytest.approx(1 / 3), 3),
    ]


def test_where_nothing_overlaps_nothing_is_scored_twice(build):
    (build / "data/overlap/overlaps.jsonl").write_text("")
    found = gather(HOW)
    assert found.clean == leakage.Clean(0, None, 0, None, 0, ())
    assert not [name for name in headline.numbers(found) if "clean" in name]


def test_where_all_overlaps_nothing_is_left_to_score(build):
    ids = {"classification test": "1234", "judge items": ["c1", "c2", "n1", "n2"]}
    ids["corpus validation"] = [each.id for each in base_model.passages()]
    found = [Overlap(side, "train", "exact", id, "a.txt", 1.0) for side, its in ids.items() for id in its]
    write_records(found, build / "data/overlap/overlaps.jsonl")
    assert gather(HOW).clean == leakage.Clean(3, None, 4, None, 4, ())


def test_what_overlaps_in_validation_is_scored_all_the_same(build):
    path = build / "data/overlap/overlaps.jsonl"
    path.write_text(path.read_text().replace("test", "validation").replace("judge items", "instructions validation"))
    clean = gather(HOW).clean
    assert (clean.texts, clean.classifier, clean.questions, clean.standings) == (0, None, 0, ())
