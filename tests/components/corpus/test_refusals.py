"""What damage leaves of a file survives, and refusals are kept."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.corpus.reading import Refused, Text, quarantine, read
from tests.components.corpus.folders import SETTINGS, zst


@pytest.mark.parametrize("pack", [gzip.compress, zst])
def test_what_stands_before_a_files_damage_survives(tmp_path: Path, pack) -> None:
    rows = [{"source": "a", "text": f"{n} {n * 7919 % 10_007}"} for n in range(10_000)]
    packed = pack("".join(json.dumps(row) + "\n" for row in rows).encode())
    (tmp_path / f"rows.jsonl.{'gz' if pack is gzip.compress else 'zst'}").write_bytes(packed[:-5])
    *good, bad = read(tmp_path, replace(SETTINGS, most_unpacked_bytes=1_000_000))
    assert len(good) > 7000  # zstd gives whole blocks of 128 kB alone
    assert [each.text for each in good if isinstance(each, Text)] == [row["text"] for row in rows[: len(good)]]
    assert isinstance(bad, Refused)
    assert f"; nothing is read after {good[-1].place}" in bad.reason


@pytest.mark.parametrize(
    "rows", [[], [("a.txt", "blank"), ("b.jsonl line 2", "not JSON")], [(f"{n}.txt", "blank") for n in range(10_000)]]
)
def test_refusals_are_kept_as_parquet_also_when_there_are_none(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    with quarantine(tmp_path / "new/documents.parquet") as add:
        for row in rows:
            add(Refused(*row))
    table = pq.read_table(tmp_path / "new/documents.parquet")
    assert table.schema.names == ["place", "reason"]
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows
