"""The numbers are those that findings/test_preferences.py works out."""

import dataclasses

from components.page.facts import Curves, Estimate, Table, Text
from components.page.page import html
from components.scoring.statistics import Interval
from pipeline.findings.assistant import Comparison
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import page, preferences

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def test_without_a_step_there_is_no_section(build):
    assert preferences.sections(gather(HOW)) == ()


def test_the_section_holds_what_it_comes_to_the_curve_the_pairs_and_what_has_changed(preferred):
    (section,) = preferences.sections(gather(HOW))
    assert [type(block) for block in section.blocks] == [Text, Curves, Table, Table]
    assert section.blocks[0].text == (
        "By exact match, on 4 held-out questions, the preferred model is not told apart from the tuned one: 50.0 "
        "against 75.0 %, interval of the difference -75.0 to 0.0."
    )
    assert section.blocks[2].rows[1] == (
        "test",
        2,
        Estimate(0.0, 0.0, 0.0),
        Estimate(100.0, 100.0, 100.0),
        Estimate(1.0, 1.0, 1.0),
        Estimate(100.0, 100.0, 100.0),
    )
    assert section.blocks[3].rows == (("How many parameters?\ndef f(a)", "1", "no c1"),)
    assert section.blocks[3].note == "The first of 1 that differ, of 4; not chosen by hand."


def test_the_section_stands_behind_the_assistants(preferred):
    facts = page.facts(gather(HOW))
    titles = [section.title for section in facts.sections]
    assert titles[titles.index("The assistant") + 1] == "Preferences"
    assert "Answers that have changed" in html(facts)


def test_better_and_worse_are_told_of_the_preferred_model():
    worse = Comparison("chrf", "chrF", "preferred", None, 50.0, 40.0, Interval(10.0, 5.0, 15.0, 9))
    assert preferences.conclusion(worse) == (
        "By chrF, on 9 held-out questions, the preferred model is worse than the tuned one: 40.0 against 50.0 chrF, "
        "interval of the difference -15.0 to -5.0."
    )
    better = dataclasses.replace(worse, difference=Interval(-10.0, -15.0, -5.0, 9))
    assert "the preferred model is better than the tuned one" in preferences.conclusion(better)
    assert preferences.conclusion(better).endswith("interval of the difference 5.0 to 15.0.")


def test_weights_that_no_step_moved_are_said_to_be_the_tuned_models(preferred):
    for name in ("responses/responses", "scores/scores"):
        path = preferred / f"data/{name}.jsonl"
        path.write_text("".join(line for line in path.read_text().splitlines(True) if "preferred" not in line))
    (section,) = preferences.sections(gather(HOW))
    assert section.blocks[0].text.startswith("The preferred model has the tuned model's weights")
    assert len(section.blocks) == 3
