import pytest

from components.page.facts import Estimate, Headline, Text
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import headline

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def found(build):
    return gather(HOW)


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_headline_holds_each_number_beside_what_it_must_beat(found):
    made = headline.section(found)
    (figures,) = blocks(made, Headline)
    base, classifier, assistant = figures.figures
    assert base.value == Estimate(*map(pytest.approx, (1.5, 1.0, 3.0)))
    assert (base.unit, base.note) == ("bits per byte", "xz on the same held-out text 2.00")
    assert (classifier.value.value, classifier.unit) == (75.0, "%")
    assert classifier.note == "untuned 50.0, bag of words 50.0, majority 50.0"
    assert (assistant.label, assistant.value.value, assistant.value.low) == ("Assistant, exact match", 75.0, 25.0)
    assert assistant.note == "untuned 0.0, untuned (shown examples) 50.0, best constant 25.0, copied input 25.0"
    (text,) = blocks(made, Text)
    assert text.text == (
        "By exact match, on 4 held-out questions, the tuned model is better than untuned (the interval of the "
        "difference excludes zero). It is not told apart from untuned (shown examples), best constant and copied input "
        "(the interval of the difference does not exclude zero).\n\n"
        "Brackets hold 95 % bootstrap intervals; questions of one group (a module) are drawn together."
    )


def test_a_likelihood_is_told_in_words_and_takes_no_figures_place(likely):
    made = headline.section(gather(HOW))
    (figures,), (text,) = blocks(made, Headline), blocks(made, Text)
    assert [each.label for each in figures.figures][2:] == ["Assistant, exact match"]
    assert "By likelihood of the expected answer, on 3 held-out questions, the tuned model is better" in text.text
