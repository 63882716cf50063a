"""The numbers are those that findings/test_calibration.py works out."""

import pytest

from components.page.facts import Estimate, Table
from components.page.page import html
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import calibration, page

HOW = Resampling(resamples=500, confidence=0.95, seed=1)


def test_each_judge_has_a_row_with_how_many_it_scored_and_a_dash_for_no_correlation(calibrated):
    (made,) = calibration.sections(gather(HOW))
    (table,) = made.blocks
    assert isinstance(table, Table)
    assert table.title == "Each judge beside GPT-4"
    one = Estimate(pytest.approx(1.0), pytest.approx(1.0), pytest.approx(1.0))
    assert table.rows == (
        ("chrF", 3, 3, one, one, one),
        ("Llama", 2, 1, None, None, None),
        ("mute", 1, 0, None, None, None),
    )


def test_the_page_has_the_section_where_there_is_a_calibration(calibrated):
    facts = page.facts(gather(HOW))
    assert "The judges judged" in [section.title for section in facts.sections]
    assert "Each judge beside GPT-4" in html(facts)
