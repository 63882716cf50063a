import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.tokenizer import table
from components.tokenizer.table import Row

ROWS = [
    Row(0, "os", "train", "a.jsonl line 1", 0, 6, 6, np.array([3, 1, 4])),
    Row(1, "re", "validation", "b.txt", 7, 2, 2, np.array([9, 2]), replacements=1),
    Row(2, "re", "train", "c.txt", 0, 0, 0, np.array([], dtype=int)),
    Row(3, "sys", "train", "d.txt", 0, 3, 3, np.array([255, 0])),
]


def fields(row):
    return (row.document, row.source, row.split, row.place, row.begin, row.count, row.size_bytes, row.ids.tolist())


def test_rows_come_back_as_they_were_written_in_order(tmp_path):
    table.write(ROWS, tmp_path / "tokens", 256)
    assert [fields(row) for row in table.read(tmp_path / "tokens")] == [
        (0, "os", "train", "a.jsonl line 1", 0, 3, 6, [3, 1, 4]),
        (1, "re", "validation", "b.txt", 7, 2, 2, [9, 2]),
        (2, "re", "train", "c.txt", 0, 0, 0, []),
        (3, "sys", "train", "d.txt", 0, 2, 3, [255, 0]),
    ]


def test_one_split_can_be_read_alone(tmp_path):
    table.write(ROWS, tmp_path / "tokens", 256)
    assert [row.document for row in table.read(tmp_path / "tokens", "validation")] == [1]
    assert list(table.read(tmp_path / "tokens", "test")) == []


@pytest.mark.parametrize(("vocab_size", "name"), [(257, "uint16"), (65_536, "uint16"), (65_537, "uint32")])
def test_ids_take_two_bytes_up_to_a_vocabulary_of_65536(tmp_path, vocab_size, name):
    rows = [Row(0, "a", "train", "a.txt", 0, 1, 1, np.array([vocab_size - 1]))]
    table.write(rows, tmp_path, vocab_size)
    schema = pq.read_schema(tmp_path / "00000.parquet")
    assert schema.names == [
        "document",
        "source",
        "split",
        "place",
        "begin",
        "count",
        "size_bytes",
        "characters",
        "replacements",
        "ids",
    ]
    assert str(schema.field("ids").type.value_type) == name
    (row,) = table.read(tmp_path)
    assert (row.ids.dtype, row.ids.tolist()) == (np.dtype(name), [vocab_size - 1])


def test_any_parquet_reader_sees_plain_columns(tmp_path):
    table.write(ROWS, tmp_path / "tokens", 256)
    read = pq.read_table(tmp_path / "tokens")
    assert read.column("ids").to_pylist() == [[3, 1, 4], [9, 2], [], [255, 0]]
    assert read.schema.metadata is None


def many(generator):
    sizes = generator.integers(0, 3000, size=1500)
    return [
        Row(n, f"source-{n % 7}", "train", f"{n}.txt", 0, int(size), int(size), generator.integers(0, 4096, size=size))
        for n, size in enumerate(sizes)
    ]


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def small_files(monkeypatch):
    """Row groups of 100,000 ids, files of 500,000."""
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 100_000)
    monkeypatch.setattr(table, "_FILE_IDS", 500_000)


def test_equal_rows_give_equal_bytes_whatever_type_and_iterable_they_come_in(tmp_path):
    rows = many(np.random.default_rng(0))
    table.write(rows, tmp_path / "a", 4096)
    narrow = (replace(row, ids=row.ids.astype(np.uint16)) for row in rows)
    table.write(narrow, tmp_path / "b", 4096)
    table.write(table.read(tmp_path / "a"), tmp_path / "c", 4096)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")


def test_a_long_table_is_cut_into_files_and_comes_back_in_order(tmp_path, small_files):
    rows = many(np.random.default_rng(0))
    table.write(rows, tmp_path, 4096)
    assert sorted(contents(tmp_path)) == [f"{n:05d}.parquet" for n in range(5)]  # 2.2 million ids
    assert [fields(row) for row in table.read(tmp_path)] == [fields(row) for row in rows]


@pytest.mark.parametrize("stop", [0, 3, 700, 1499])
def test_a_writer_that_was_stopped_is_gone_on_with_to_the_same_bytes(tmp_path, small_files, stop):
    rows = many(np.random.default_rng(0))
    table.write(rows, tmp_path / "whole", 4096)

    def stopped():
        yield from rows[:stop]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.write(stopped(), tmp_path / "parts", 4096)
    (tmp_path / "parts/.partial").write_bytes(b"half")  # what a kill leaves
    done = table.count(tmp_path / "parts")
    assert done <= stop
    assert (done > 0) == (stop >= 700)
    table.write(rows[done:], tmp_path / "parts", 4096)
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_table_that_is_all_there_is_left_as_it_is(tmp_path):
    table.write(ROWS, tmp_path, 256)
    before = contents(tmp_path)
    table.write([], tmp_path, 256)
    assert contents(tmp_path) == before


def test_a_large_table_is_cut_into_row_groups_and_loses_nothing(tmp_path):
    rows = many(np.random.default_rng(1))
    table.write(rows, tmp_path / "tokens", 4096)
    assert pq.ParquetFile(tmp_path / "tokens/00000.parquet").num_row_groups == 3  # 2.2 million ids, a million a group
    read = list(table.read(tmp_path / "tokens"))
    assert [fields(row) for row in read] == [fields(row) for row in rows]
    assert not read[0].ids.flags.owndata


@pytest.mark.parametrize("id_", [256, -1])
def test_an_id_outside_the_vocabulary_is_refused_and_nothing_is_written(tmp_path, id_):
    rows = [*ROWS, Row(7, "bad", "train", "bad.txt", 0, 1, 1, np.array([5, id_]))]
    with pytest.raises(ValueError, match=r"document 7 \(bad\) has ids .*; the vocabulary of 256 tokens has 0\.\.255"):
        table.write(rows, tmp_path, 256)
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_a_table_without_rows(tmp_path):
    table.write([], tmp_path, 256)
    assert list(table.read(tmp_path)) == []
    assert len(table.sizes(tmp_path)) == 0


def test_rows_are_counted_in_a_folder_that_is_there_or_not(tmp_path):
    assert table.count(tmp_path / "tokens") == 0
    table.write(ROWS, tmp_path / "tokens", 256)
    assert table.count(tmp_path / "tokens") == 4


def test_the_ids_of_a_split_come_by_row_group_end_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 7)  # documents 0 and 1, then 2 and 3
    table.write(ROWS, tmp_path, 256)
    train = [tuple(each.tolist() for each in arrays) for arrays in table.ids(tmp_path, "train")]
    assert train == [([0], [3], [3, 1, 4]), ([2, 3], [0, 2], [255, 0])]
    ((numbers, counts, ids),) = table.ids(tmp_path, "validation")
    assert (numbers.tolist(), counts.tolist(), ids.tolist()) == ([1], [2], [9, 2])
    assert [numbers.tolist() for numbers, _, _ in table.ids(tmp_path, "train", first=1)] == [[2, 3]]


def test_the_ids_of_both_splits_come_together_as_each_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 7)
    table.write(ROWS, tmp_path, 256)
    together = [(split, *(each.tolist() for each in arrays)) for split, arrays in table.ids_by_split(tmp_path)]
    for split in ("train", "validation"):
        alone = [(split, *(each.tolist() for each in arrays)) for arrays in table.ids(tmp_path, split)]
        assert [each for each in together if each[0] == split] == alone
    assert len(together) == 3  # validation is in the first row group alone


def test_the_documents_of_a_split_come_by_row_group(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 7)  # documents 0 and 1, then 2 and 3
    table.write(ROWS, tmp_path, 256)
    first, second = table.groups(tmp_path, "train")
    assert (first.documents, first.places, first.size_bytes) == ([0], ["a.jsonl line 1"], 6)
    assert (second.documents, second.places, second.size_bytes) == ([2, 3], ["c.txt", "d.txt"], 3)
    assert (second.offsets.tolist(), second.ids.tolist()) == ([0, 0, 2], [255, 0])
    (only,) = table.groups(tmp_path, "validation")
    assert (only.documents, only.offsets.tolist(), only.ids.tolist()) == ([1], [0, 2], [9, 2])


def test_the_documents_of_a_split_are_counted_for_each_row_group_whether_it_has_any_or_not(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 7)  # documents 0 and 1, then 2 and 3
    table.write(ROWS, tmp_path, 256)
    train = [tuple(each.tolist() for each in arrays) for arrays in table.counts(tmp_path, "train")]
    assert train == [([0], [3]), ([2, 3], [0, 2])]
    validation = [tuple(each.tolist() for each in arrays) for arrays in table.counts(tmp_path, "validation")]
    assert validation == [([1], [2]), ([], [])]


def test_the_row_groups_of_every_file_are_one_row_of_numbers(tmp_path, small_files):
    rows = many(np.random.default_rng(0))
    table.write(rows, tmp_path, 4096)
    every = list(table.ids(tmp_path, "train"))
    assert len(list(tmp_path.iterdir())) > 2
    assert len(every) == len(list(table.counts(tmp_path, "train"))) > 9
    for first in range(len(every) + 1):
        left = table.ids(tmp_path, "train", first)
        assert [each[0].tolist() for each in left] == [each[0].tolist() for each in every[first:]]


def test_a_document_is_found_by_its_number(tmp_path, small_files):
    rows = many(np.random.default_rng(0))
    table.write(rows, tmp_path, 4096)
    for number in (0, 801, 1499):
        assert fields(table.find(tmp_path, number)) == fields(rows[number])
    with pytest.raises(ValueError, match="no document 1500 among 1500; what was left out keeps its number"):
        table.find(tmp_path, 1500)
    with pytest.raises(ValueError, match="nowhere: no document 0 among 0"):
        table.find(tmp_path / "nowhere", 0)


def test_a_number_in_a_gap_is_no_document_and_one_after_it_is(tmp_path):
    table.write([ROWS[0], ROWS[3]], tmp_path, 256)
    assert table.find(tmp_path, 3).source == "sys"
    with pytest.raises(ValueError, match="no document 1 among 2; what was left out keeps its number"):
        table.find(tmp_path, 1)


def test_documents_ids_and_bytes_of_each_split_are_added_up(tmp_path):
    table.write(ROWS, tmp_path, 256)
    assert table.sizes(tmp_path).to_dict("index") == {
        "train": {"documents": 3, "count": 5, "size_bytes": 9},
        "validation": {"documents": 1, "count": 2, "size_bytes": 2},
    }


def test_the_sizes_of_many_documents_are_added_up_without_holding_them(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 1000)  # and as many documents, for they are empty
    nothing = np.array([], dtype=int)
    rows = (Row(n, "a", "train" if n % 2 else "validation", "a.txt", 0, 1, 1, nothing) for n in range(100_000))
    table.write(rows, tmp_path, 256)
    half = {"documents": 50_000, "count": 0, "size_bytes": 50_000}
    assert table.sizes(tmp_path).to_dict("index") == {"validation": half, "train": half}
    script = (
        "import pathlib, sys, pyarrow; from components.tokenizer import table; table.sizes(pathlib.Path(sys.argv[1]));"
        "print(pyarrow.default_memory_pool().max_memory())"
    )
    command, environment = [sys.executable, "-c", script, str(tmp_path)], {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100_000 * 16  # two numbers for each document


def test_the_sources_of_a_split_are_told(tmp_path):
    table.write(ROWS, tmp_path, 256)
    assert table.sources(tmp_path, "train") == {"os", "re", "sys"}
    assert table.sources(tmp_path, "validation") == {"re"}


def test_columns_are_told_in_a_line():
    assert table.columns(300) == (
        "document int64 not null, source string not null, split string not null, place string not null, "
        "begin int64 not null, count int64 not null, size_bytes int64 not null, characters int64 not null, "
        "replacements int64 not null, "
        "ids list<element: uint16 not null> not null"
    )
    assert table.columns(65_537).endswith("ids list<element: uint32 not null> not null")


def test_a_folder_without_a_table_is_refused_by_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/00000.parquet").write_bytes(b"not parquet at all")
    (tmp_path / "b").mkdir()
    pq.write_table(pa.table({"document": [1]}), tmp_path / "b/00000.parquet")
    for name, message in (
        ("a", "a/00000.parquet: cannot be read as Parquet"),
        (
            "b",
            "b/00000.parquet: no table of tokens; it lacks the columns source, split, place, begin, size_bytes",
        ),
        ("c", "c: no table of tokens; expected a folder with 00000.parquet"),
    ):
        with pytest.raises(ValueError, match=message):
            list(table.read(tmp_path / name))
