import math

import pytest

from components.scoring.passage import Passage


def test_bits_per_byte_are_the_nats_in_bits_over_the_bytes():
    passage = Passage("document 0 (a.txt), passage 1", "a", "hash", tokens=3, size_bytes=8, nats=16 * math.log(2))
    assert passage.bits_per_byte == pytest.approx(2.0)
