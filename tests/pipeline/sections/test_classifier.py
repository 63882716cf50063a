import pytest

from components.page.facts import ConfusionMatrix, Table, Text
from pipeline import findings
from pipeline.findings import Resampling
from pipeline.sections import classifier

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def found(build):
    return findings.gather(HOW)


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_classifier_stands_beside_both_baselines_with_the_gap_in_points(found):
    made = classifier.section(found)
    (results,) = blocks(made, Table)
    assert results.rows == (
        ("classifier", 75.0, 80.0, 70.0, 60.0),
        ("bag of words", 50.0, 50.0, 50.0, 70.0),
        ("majority", 25.0, 10.0, 50.0, 20.0),
    )
    (text,) = blocks(made, Text)
    assert text.text == (
        "On 4 test texts the classifier is right on 75.0 % (95 % interval 25.0 to 100.0). "
        "Its accuracy is 25.0 points above that of bag of words, its F1 10.0 points below."
    )
    (matrix,) = blocks(made, ConfusionMatrix)
    assert (matrix.labels, matrix.counts) == (("code", "prose"), ((1, 1), (0, 2)))
