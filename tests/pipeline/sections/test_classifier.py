"""The build's numbers are those of conftest.py; the scores are worked out in findings/test_classifier.py."""

import json
from dataclasses import replace

import pytest

from components.page.facts import ConfusionMatrix, Curves, Estimate, Intervals, Table, Text
from components.scoring.statistics import Interval
from pipeline import paths
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import classifier

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def found(build):
    return gather(HOW)


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_every_score_stands_with_its_interval_beside_those_of_the_others(found):
    results, labels = blocks(classifier.section(found), Table)
    assert [row[0] for row in results.rows] == ["classifier", "untuned", "bag of words", "majority"]
    assert results.rows[0][1] == Estimate(75.0, 25.0, 100.0)
    assert [cell.value for cell in results.rows[0][1:]] == pytest.approx([75.0, 100 * 11 / 15, 25.0, 100.0])
    assert all(isinstance(cell, Estimate) for row in results.rows for cell in row[1:])
    assert [(row[0], row[1], row[2].value, row[3].value) for row in labels.rows] == [
        ("code", 2, 100.0, 50.0),
        ("prose", 2, pytest.approx(200 / 3), 100.0),
    ]


def test_what_cannot_be_told_apart_is_said(found):
    text, _ = blocks(classifier.section(found), Text)
    assert text.text == (
        "On 4 test texts the classifier is right on 75.0 % (95 % interval 25.0 to 100.0). It is not told apart from "
        "untuned, bag of words and majority (the interval of the difference does not exclude zero)."
    )


def test_what_it_is_better_and_worse_than_is_said(found):
    ends = ((0.25, 0.125, 0.5), (-0.25, -0.5, -0.125), (0.25, 0.0, 0.5))
    differences = tuple(
        replace(each, accuracy=Interval(*three, 4))
        for each, three in zip(found.classifier.differences, ends, strict=True)
    )
    told_apart = replace(found, classifier=replace(found.classifier, differences=differences))
    said = classifier.section(told_apart).blocks[0].text
    assert said.endswith(
        "Its accuracy is above that of untuned (the interval of the difference excludes zero). Its accuracy is below "
        "that of bag of words (the interval of the difference excludes zero). It is not told apart from majority (the "
        "interval of the difference does not exclude zero)."
    )


def test_the_differences_are_drawn_about_zero(found):
    (chart,) = blocks(classifier.section(found), Intervals)
    assert chart.reference == 0.0
    assert [(row.group, row.label) for row in chart.rows[:3]] == [
        ("accuracy", "minus untuned"),
        ("accuracy", "minus bag of words"),
        ("accuracy", "minus majority"),
    ]
    assert chart.rows[0].estimate == Estimate(25.0, -50.0, 100.0)


def test_precision_and_recall_are_drawn_label_by_label_between_their_interval(found):
    drawn, training = blocks(classifier.section(found), Curves)
    assert [panel.y_label for panel in drawn.panels] == ["precision of code (%)", "precision of prose (%)"]
    lines = {line.label: line.y for line in drawn.panels[0].lines}
    assert list(lines) == ["classifier", "interval, low", "interval, high", "bag of words"]
    assert set(lines["classifier"]) == {100.0}
    assert drawn.panels[0].lines[0].x == tuple(float(5 * k) for k in range(1, 21))
    assert training.title == "Training of the classifier"


def test_the_confusion_matrix_counts_texts(found):
    (matrix,) = blocks(classifier.section(found), ConfusionMatrix)
    assert (matrix.labels, matrix.counts) == (("code", "prose"), ((1, 1), (0, 2)))


def test_the_step_whose_weights_were_kept_is_said(build):
    said = classifier.section(gather(HOW)).blocks[-1].text
    assert said == "Kept are the weights after step 1 of 2 (counted from 0), with a validation loss of 2.250 nats."
    path = paths.metrics("finetune_classifier")
    given = {name: value for name, value in json.loads(path.read_text()).items() if not name.startswith("kept")}
    path.write_text(json.dumps(given))
    assert classifier.section(gather(HOW)).blocks[-1].text.startswith("No step was made")
