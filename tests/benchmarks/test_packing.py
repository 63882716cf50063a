"""The comparison of packed and padded batches, on a model of two narrow blocks; the figures by hand."""

import pytest
import torch

from benchmarks import training
from benchmarks.packing import BOOK, FIXED, PACKED, Learned, measure, missed, report, ways
from components.gpt.model import GPTConfig
from components.tasks.instructions import Example, row

CONFIG = GPTConfig(29, 256, 16, 2, 2, 0.0, qkv_bias=True, tie_weights=True, init="gpt2")
LENGTHS = [40, 60, 50, 91, 45, 55, 70, 65, 42, 58]


def test_each_way_learns_from_the_same_records_and_says_what_it_pads():
    rows = [row(Example([], [k % 28 for k in range(length)]), 28, mask_prompt=False) for length in LENGTHS]
    rung = next(iter(training.RUNGS))
    learned = measure(CONFIG, ways(rows, 28), rounds=2, steps=1, device=torch.device("cpu"), rung=rung)
    assert list(learned) == [PACKED, BOOK, FIXED]
    assert (learned[PACKED].held, learned[FIXED].held) == (2 * 2 * 256, 2 * 8 * 256)
    assert learned[BOOK].real == learned[FIXED].real  # the same eight records twice
    assert learned[FIXED].padding_share > 0.7
    assert all(len(each.rates) == 2 and each.rate > 0 for each in learned.values())


MET = {PACKED: Learned(99, 100, [3.0, 3.0, 1.0]), BOOK: Learned(80, 100, [2.5]), FIXED: Learned(20, 100, [1.0])}


def test_medians_are_compared():
    lines = report(MET, 0.0125).splitlines()
    assert lines[2] == "| packed rows of 256 | 3 | 1..3 | 1.0% |  |  |"
    assert lines[4] == "| 8 padded to 256 | 1 | 1..1 | 80.0% | 3.00 | 3 |"
    assert lines[-1] == "Padding of an epoch's packed rows: 1.25%."
    assert missed(MET, 0.0125) == []


@pytest.mark.parametrize("name", [BOOK, FIXED])
def test_each_target_can_be_missed(name: str):
    (failure,) = missed(MET | {name: Learned(1, 1, [2.9])}, 0.0)
    assert failure.startswith("1.03 times ")
    assert name in failure


def test_padding_can_miss_its_target():
    assert missed(MET, 0.02) == ["2.00% of the packed rows is padding; expected less than 2%"]
