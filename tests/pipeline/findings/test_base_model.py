"""The passages are those of conftest.py: two of one source at 1 bit a byte, 150 bytes, and one of 50 bytes at 3."""

import pytest

from pipeline.findings import base_model
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def test_a_byte_counts_as_much_as_any_other_and_passages_of_a_source_are_drawn_together(build):
    found = base_model.bits_per_byte(HOW, base_model.passages())
    # Both draws of two sources are the one, or the other, in a quarter of the resamples each.
    assert (found.mean, found.low, found.high) == tuple(map(pytest.approx, (1.5, 1.0, 3.0)))
    assert found.count == 3


def test_some_passages_have_a_number_of_their_own(build):
    found = base_model.bits_per_byte(HOW, base_model.passages()[:2])
    assert found.mean == pytest.approx(1.0)
