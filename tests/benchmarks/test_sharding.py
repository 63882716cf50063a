import numpy as np

from benchmarks import sharding
from components.tokenizer import table
from components.windows.windows import Windows


def test_the_shards_hold_the_tables_ids(tmp_path):
    rows = list(sharding.rows(40))
    table.write(rows, tmp_path / "tokens", sharding.VOCAB_SIZE)
    seconds, memory_mib = sharding.write(tmp_path / "tokens", tmp_path / "shards")
    assert seconds > 0
    assert memory_mib > 20
    windows = Windows(tmp_path / "shards", "validation")
    assert windows.ids == 4 * (sharding.IDS + 1)
    assert np.array_equal(windows[0][: sharding.IDS], rows[0].ids)
    assert sharding.open_(tmp_path / "shards") > 0


def test_a_missed_target_is_the_status(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sharding, "LEAST_MB_A_SECOND", 1e9)
    monkeypatch.setattr(sharding, "MOST_OPENING_S", 60.0)
    assert sharding.main(["--documents", "40", "--rounds", "1"]) == 1
    told, missed = capsys.readouterr()
    assert "| 40 |" in told
    assert missed.endswith(" MB of ids a second; expected 1000000000\n")


def test_targets_that_are_just_met_are_not_missed():
    assert sharding.missed(150.0, 0.05) == []
    assert sharding.missed(149.0, 0.0501) == [
        "149 MB of ids a second; expected 150",
        "50.1 ms to open; expected at most 50",
    ]
