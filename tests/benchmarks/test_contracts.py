import re
from pathlib import Path

import pytest

from benchmarks import contracts

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared/data"


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
@pytest.mark.parametrize(("most", "status"), [(1e6, 0), (1e-6, 1)])
def test_a_missed_target_is_the_status(tmp_path, monkeypatch, capsys, most, status):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contracts, "DEFAULT", ROOT / "presets/default.yaml")
    monkeypatch.setattr(contracts, "MOST_OF_TOKENIZING", most)
    assert contracts.main(["--shared", str(SHARED), "--megabytes", "1", "--rounds", "1"]) == status
    told = capsys.readouterr().out
    assert re.search(r"\| tokenizing \| \d+\.\d\d \| .* \| 1\.000 \|", told)
    assert "| judging documents |" in told
    assert "| checking the table |" in told
    assert list((tmp_path / ".work").iterdir()) == []
