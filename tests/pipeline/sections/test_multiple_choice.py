from components.page.facts import Estimate, Text
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import multiple_choice

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def test_without_items_there_is_no_section(build):
    assert multiple_choice.sections(gather(HOW)) == ()


def test_right_endings_stand_beside_chance_and_lengths(chosen):
    (section,) = multiple_choice.sections(gather(HOW))
    said, table = section.blocks
    assert said == Text(
        "Of 4 items the base model completes 0.0 % rightly, by character and behind 0 worked examples. "
        "Chance is right on 50.0 %."
    )
    never, always = Estimate(0.0, 0.0, 0.0), Estimate(100.0, 100.0, 100.0)
    assert table.rows == (
        ("0", Estimate(75.0, 25.0, 100.0), never, always, 50.0, 0.0, 100.0, 1),
        ("1", Estimate(75.0, 25.0, 100.0), never, always, 50.0, 0.0, 100.0, 0),
    )
