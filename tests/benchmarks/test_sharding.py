import numpy as np
import pytest

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


@pytest.mark.parametrize(("rate", "status"), [(1e-6, 0), (1e9, 1)])
def test_a_missed_target_is_the_status(tmp_path, monkeypatch, capsys, rate, status):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sharding, "LEAST_MB_A_SECOND", rate)
    monkeypatch.setattr(sharding, "MOST_OPENING_S", 60.0)
    assert sharding.main(["--documents", "40", "--rounds", "1"]) == status
    assert "| 40 |" in capsys.readouterr().out
