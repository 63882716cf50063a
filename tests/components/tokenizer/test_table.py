import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.tokenizer import table
from components.tokenizer.table import Row

ROWS = [
    Row.of(document=0, source="os", split="train", text="h\u00e9llo", ids=[3, 1, 4]),
    Row.of(document=1, source="re", split="validation", text="ab", ids=[9, 2]),
    Row.of(document=2, source="re", split="train", text="", ids=[]),
    Row.of(document=3, source="sys", split="train", text="abc", ids=[255, 0]),
]


def fields(row):
    return (row.document, row.source, row.split, row.count, row.size_bytes, row.ids.tolist())


def test_rows_come_back_as_they_were_written_in_order(tmp_path):
    assert table.write(ROWS, tmp_path / "tokens.parquet", 256) == 4
    assert [fields(row) for row in table.read(tmp_path / "tokens.parquet")] == [
        (0, "os", "train", 3, 6, [3, 1, 4]),
        (1, "re", "validation", 2, 2, [9, 2]),
        (2, "re", "train", 0, 0, []),
        (3, "sys", "train", 2, 3, [255, 0]),
    ]


def test_one_split_can_be_read_alone(tmp_path):
    table.write(ROWS, tmp_path / "tokens.parquet", 256)
    assert [row.document for row in table.read(tmp_path / "tokens.parquet", "validation")] == [1]
    assert list(table.read(tmp_path / "tokens.parquet", "test")) == []


@pytest.mark.parametrize(("vocab_size", "name"), [(257, "uint16"), (65_536, "uint16"), (65_537, "uint32")])
def test_ids_take_two_bytes_up_to_a_vocabulary_of_65536(tmp_path, vocab_size, name):
    path = tmp_path / "tokens.parquet"
    rows = [Row.of(document=0, source="a", split="train", text="x", ids=[vocab_size - 1])]
    table.write(rows, path, vocab_size)
    schema = pq.read_schema(path)
    assert schema.names == ["document", "source", "split", "count", "size_bytes", "ids"]
    assert str(schema.field("ids").type.value_type) == name
    (row,) = table.read(path)
    assert (row.ids.dtype, row.ids.tolist()) == (np.dtype(name), [vocab_size - 1])


def test_any_parquet_reader_sees_plain_columns(tmp_path):
    table.write(ROWS, tmp_path / "tokens.parquet", 256)
    read = pq.read_table(tmp_path / "tokens.parquet")
    assert read.column("ids").to_pylist() == [[3, 1, 4], [9, 2], [], [255, 0]]
    assert read.schema.metadata is None


def many(generator):
    sizes = generator.integers(0, 3000, size=1500)
    return [
        Row(n, f"source-{n % 7}", "train", int(size), generator.integers(0, 4096, size=size))
        for n, size in enumerate(sizes)
    ]


def test_equal_rows_give_equal_bytes_whatever_type_and_iterable_they_come_in(tmp_path):
    rows = many(np.random.default_rng(0))
    table.write(rows, tmp_path / "a.parquet", 4096)
    narrow = (Row(row.document, row.source, row.split, row.size_bytes, row.ids.astype(np.uint16)) for row in rows)
    table.write(narrow, tmp_path / "b.parquet", 4096)
    table.write(table.read(tmp_path / "a.parquet"), tmp_path / "c.parquet", 4096)
    a, b, c = ((tmp_path / f"{name}.parquet").read_bytes() for name in "abc")
    assert a == b == c


def test_a_large_table_is_cut_into_row_groups_and_loses_nothing(tmp_path):
    rows = many(np.random.default_rng(1))
    table.write(rows, tmp_path / "tokens.parquet", 4096)
    assert pq.ParquetFile(tmp_path / "tokens.parquet").num_row_groups == 3  # 2.2 million ids, a million a group
    read = list(table.read(tmp_path / "tokens.parquet"))
    assert [fields(row) for row in read] == [fields(row) for row in rows]
    assert not read[0].ids.flags.owndata


@pytest.mark.parametrize("id_", [256, -1])
def test_an_id_outside_the_vocabulary_is_refused_and_nothing_is_written(tmp_path, id_):
    rows = [*ROWS, Row.of(document=7, source="bad", split="train", text="x", ids=[5, id_])]
    with pytest.raises(ValueError, match=r"document 7 \(bad\) has ids .*; the vocabulary of 256 tokens has 0\.\.255"):
        table.write(rows, tmp_path / "tokens.parquet", 256)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_the_old_table_and_no_other_file(tmp_path):
    path = tmp_path / "tokens.parquet"
    table.write(ROWS, path, 256)
    before = path.read_bytes()

    def failing():
        yield ROWS[0]
        raise ValueError("the reader stopped")

    with pytest.raises(ValueError, match="the reader stopped"):
        table.write(failing(), path, 256)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["tokens.parquet"]


def test_no_rows_are_a_table_without_rows(tmp_path):
    assert table.write([], tmp_path / "tokens.parquet", 256) == 0
    assert list(table.read(tmp_path / "tokens.parquet")) == []
    assert len(table.summary(tmp_path / "tokens.parquet")) == 0


def test_the_summary_has_scalars_of_every_document(tmp_path):
    table.write(ROWS, tmp_path / "tokens.parquet", 256)
    summary = table.summary(tmp_path / "tokens.parquet")
    assert list(summary.columns) == ["document", "source", "split", "count", "min_id", "max_id", "size_bytes"]
    assert summary.iloc[0].tolist() == [0, "os", "train", 3, 1, 4, 6]
    assert summary["max_id"].tolist() == [4, 9, pd.NA, 255]
    assert summary["min_id"].tolist() == [1, 2, pd.NA, 0]
    assert summary["size_bytes"].tolist() == [6, 2, 0, 3]


def test_a_file_that_is_no_table_is_refused_by_name(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"not parquet at all")
    pq.write_table(pa.table({"document": [1]}), tmp_path / "b.parquet")
    for name, message in (
        ("a.parquet", "a.parquet: cannot be read as Parquet"),
        ("b.parquet", "b.parquet: no table of tokens; it lacks the columns source, split, count, size_bytes, ids"),
        ("c.parquet", "c.parquet: cannot be read as Parquet"),
    ):
        with pytest.raises(ValueError, match=message):
            list(table.read(tmp_path / name))
