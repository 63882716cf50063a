import re
from pathlib import Path

import pytest

from benchmarks import contracts

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared/data"


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_a_missed_target_is_the_status(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contracts, "DEFAULT", ROOT / "presets/default.yaml")
    monkeypatch.setattr(contracts, "MOST_OF_TOKENIZING", 1e-6)
    assert contracts.main(["--shared", str(SHARED), "--megabytes", "1", "--rounds", "1"]) == 1
    told, missed = capsys.readouterr()
    assert re.fullmatch(r"missed: contracts take \d+\.\d+ of tokenizing; expected 1e-06\n", missed)
    assert re.search(r"\| tokenizing \| \d+\.\d\d \| .* \| 1\.000 \|", told)
    assert "| judging documents |" in told
    assert "| checking the table |" in told
    assert list((tmp_path / ".work").iterdir()) == []


def test_a_target_that_is_just_met_is_not_missed():
    assert contracts.missed(0.2) == []
    assert contracts.missed(0.201) == ["contracts take 0.201 of tokenizing; expected 0.2"]
