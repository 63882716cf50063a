"""The loader's speed and memory, measured on two small corpora; the figures by hand. No time is asserted."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import loader
from benchmarks.loader import TRAINING, Result
from components.windows.windows import Windows

ROOT = Path(__file__).parents[2]
MET = {
    "1 MB": Result(1000.0, 7811, before_mb=50.0, opened_mb=50.5, after_mb=51.0),
    "1,000 MB": Result(900.0, 7_812_498, before_mb=50.0, opened_mb=60.5, after_mb=52.0),
    TRAINING: Result(90.0),
}


@pytest.fixture(autouse=True)
def in_root(monkeypatch):
    """Stand where the presets are."""
    monkeypatch.chdir(ROOT)


def test_the_shards_hold_as_many_bytes_of_the_same_seeded_ids(tmp_path):
    for name in ("one", "two"):
        loader.write_shards(tmp_path / name, 3_000_000)
    one, two = (Windows(tmp_path / name, "train") for name in ("one", "two"))
    assert one.ids == 1_500_000
    assert sum(shard.nbytes for shard in one.shards) == 3_000_000
    assert len(one) == (1_500_000 - 128 + 63) // 64
    assert all(np.array_equal(one[k], two[k]) for k in (0, 15_625, len(one) - 1))
    assert {int(one.shards[0].min()), int(one.shards[0].max())} == {0, 4095}


def test_each_size_and_the_training_take_turns_in_processes_of_their_own(tmp_path):
    folders = {"small": tmp_path / "small", "large": tmp_path / "large"}
    for folder, size_bytes in zip(folders.values(), (10_000, 200_000), strict=True):
        loader.write_shards(folder, size_bytes)
    results = loader.measure(folders, rounds=1, round_s=0.01)
    assert list(results) == ["small", "large", TRAINING]
    assert all(each.tokens_per_second > 0 for each in results.values())
    assert (results["small"].windows, results["large"].windows) == (77, 1561)
    assert results["large"].before_mb > 20  # Python and torch alone


def test_targets_that_are_met_leave_nothing_to_say():
    # 10.5 MB added by the largest, 1.0 by the smallest; 900 is ten times 90.
    assert loader.missed(MET) == []
    assert loader.table(MET).splitlines()[2:] == [
        "| 1 MB | 7,811 | 1,000 | 11 | 50.0 | 50.5 | 51.0 |",
        "| 1,000 MB | 7,812,498 | 900 | 10 | 50.0 | 60.5 | 52.0 |",
        f"| {TRAINING} |  | 90 |  |  |  |  |",
    ]


def test_a_slow_loader_and_memory_that_grows_are_named():
    slow = MET | {"1 MB": Result(899.0, 7811, 50.0, 50.5, 51.0)}
    assert loader.missed(slow) == ["1 MB: 10.0 times the training rate; expected 10 or more"]
    grown = MET | {"1,000 MB": Result(900.0, 7_812_498, 50.0, 112.5, 52.0)}
    assert loader.missed(grown) == ["1,000 MB holds 61.5 MB more than 1 MB; expected at most 10"]
