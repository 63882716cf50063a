"""Tables whose documents are of many ids, or of one only; two of 1,200 ids fill a row group."""

import numpy as np
import pytest

from components.tokenizer import table
from components.tokenizer.sifting import sift
from components.tokenizer.table import Row


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch):
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 2400)


def row(number, *, is_dull=False, split="train"):
    ids = np.full(1200, 7) if is_dull else np.arange(1200) % 256
    return Row(number, "a", split, f"{number}.txt", 0, 1200, 1200, ids)


def sifted(folder, rows):
    """Return the numbers of the documents that are kept, and of those left out with the entropy that they are told."""
    table.write(rows, folder / "tokens", 256)
    before = (folder / "tokens/00000.parquet").read_bytes()
    left_out = []

    def leave_out(row, bits):
        left_out.append((row.document, bits))

    kept = sift(folder / "tokens", folder / "sifted", 256, least_bits=1.0, leave_out=leave_out)
    assert (folder / "tokens/00000.parquet").read_bytes() == before
    return kept, [each.document for each in table.read(kept)], left_out


def test_the_documents_of_a_part_of_too_little_entropy_are_left_out_and_no_others(tmp_path):
    rows = [row(0), row(1), row(2, is_dull=True), row(3, is_dull=True), row(4), row(5)]
    kept, numbers, left_out = sifted(tmp_path, rows)
    assert kept == tmp_path / "sifted/0"
    assert (numbers, left_out) == ([0, 1, 4, 5], [(2, 0.0), (3, 0.0)])


def test_a_row_group_keeps_its_other_split(tmp_path):
    rows = [row(0, is_dull=True, split="validation"), row(1)]
    assert sifted(tmp_path, rows)[1:] == ([1], [(0, 0.0)])


def test_rows_that_move_up_are_judged_where_they_come_to(tmp_path):
    dull = {0, 3, 4}  # beside a lively one each, until 0 is left out: then 3 and 4 share a row group
    rows = [row(n, is_dull=n in dull, split="validation" if n == 1 else "train") for n in range(6)]
    kept, numbers, left_out = sifted(tmp_path, rows)
    assert (kept, numbers) == (tmp_path / "sifted/1", [1, 2, 5])
    assert left_out == [(0, 0.0), (3, 0.0), (4, 0.0)]
    assert list((tmp_path / "sifted").iterdir()) == [kept]


def test_where_all_parts_have_enough_the_table_stays_where_it_is(tmp_path):
    kept, numbers, left_out = sifted(tmp_path, [row(0), row(1)])
    assert (kept, numbers, left_out) == (tmp_path / "tokens", [0, 1], [])


def test_a_part_of_few_ids_has_no_entropy_to_be_left_out_for(tmp_path):
    few = Row(0, "a", "train", "0.txt", 0, 9, 9, np.full(1023, 7))
    assert sifted(tmp_path, [few])[1] == [0]


def test_all_may_be_left_out(tmp_path):
    kept, numbers, left_out = sifted(tmp_path, [row(0, is_dull=True)])
    assert (table.count(kept), numbers, left_out) == (0, [], [(0, 0.0)])
