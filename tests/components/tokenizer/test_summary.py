import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.tokenizer import table
from components.tokenizer.summary import summary
from components.tokenizer.table import Row

ROWS = [
    Row(0, "os", "train", "a.jsonl line 1", 0, 6, 6, np.array([3, 1, 4])),
    Row(1, "re", "validation", "b.txt", 7, 12, 10, np.array([9, 2]), replacements=1),
    Row(2, "re", "train", "c.txt", 0, 0, 0, np.array([], dtype=int)),
    Row(3, "sys", "train", "d.txt", 0, 3, 3, np.array([255, 0])),
]


@pytest.fixture
def small_groups(monkeypatch):
    """Row groups of seven: three ids and one more, two and one more: the first two documents of ROWS."""
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 7)


def test_each_row_group_and_split_has_its_scalars_and_places(tmp_path, small_groups):
    table.write(ROWS, tmp_path, 256)
    parts, _ = summary(tmp_path, 256)
    first, second, third = parts.to_dict("records")
    assert first["schema"] == table.columns(256)
    del first["schema"]
    assert {name: value for name, value in first.items() if value is not None and value == value} == {
        "part": "00000.parquet group 1 train",
        "split": "train",
        "documents": 1,
        "disordered": 0,
        "count": 3,
        "size_bytes": 6,
        "least_count": 3,
        "most_count": 3,
        "least_bytes": 6,
        "most_bytes": 6,
        "most_replaced_share": 0.0,
        "min_id": 1,
        "max_id": 4,
        **{
            f"{name}_place": "a.jsonl line 1"
            for name in (
                *("least_count", "most_count", "least_bytes", "most_bytes", "most_replaced_share", "min_id", "max_id"),
            )
        },
    }
    assert (second["part"], second["min_id"], second["max_id"]) == ("00000.parquet group 1 validation", 2, 9)
    assert (second["most_replaced_share"], second["most_replaced_share_place"]) == (0.25, "b.txt")  # 3 of 12 bytes
    assert third["part"] == "00000.parquet group 2 train"
    assert [third[name] for name in ("documents", "count", "size_bytes", "least_count", "most_count")] == [
        2,
        2,
        3,
        0,
        2,
    ]
    assert [third[f"{name}_place"] for name in ("least_count", "most_bytes", "min_id")] == ["c.txt", "d.txt", "d.txt"]
    assert [third[name] for name in ("least_bytes", "min_id", "max_id")] == [0, 0, 255]
    assert str(parts["min_id"].dtype) == "Int64"


def test_each_split_has_its_sums(tmp_path, small_groups):
    table.write(ROWS, tmp_path, 256)
    _, splits = summary(tmp_path, 256)
    assert splits.drop(columns="bits_per_token").to_dict("records") == [
        {"split": "train", "documents": 3, "count": 5, "size_bytes": 9, "characters": 9, "replacements": 0},
        {"split": "validation", "documents": 1, "count": 2, "size_bytes": 12, "characters": 10, "replacements": 1},
    ]


def test_entropy_is_bits_per_token_of_a_part_and_of_its_split(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 1025)
    halves = [np.repeat([1, 2], 512), np.full(1024, 3)]
    table.write([Row(n, "a", "train", f"{n}.txt", 0, 9, 9, ids) for n, ids in enumerate(halves)], tmp_path, 256)
    parts, splits = summary(tmp_path, 256)
    assert parts["bits_per_token"].tolist() == [1.0, 0.0]
    assert splits["bits_per_token"].tolist() == [1.5]  # 1/4, 1/4, 1/2


def test_a_few_tokens_have_no_entropy(tmp_path):
    table.write([Row(0, "a", "train", "a.txt", 0, 9, 9, np.full(1023, 7))], tmp_path, 256)
    parts, splits = summary(tmp_path, 256)
    assert parts["bits_per_token"].isna().tolist() == splits["bits_per_token"].isna().tolist() == [True]


def test_documents_without_ids_have_no_least_id(tmp_path):
    table.write([ROWS[2]], tmp_path, 256)
    parts, _ = summary(tmp_path, 256)
    assert parts["count"].tolist() == [0]
    assert parts[["min_id", "max_id"]].isna().all(axis=None)


def test_documents_out_of_order_are_counted_and_the_first_is_named(tmp_path, small_groups):
    table.write([ROWS[0], ROWS[3], ROWS[1], ROWS[1]], tmp_path, 256)  # 0, 3; 1, 1
    parts, _ = summary(tmp_path, 256)
    assert parts["disordered"].tolist() == [0, 2]
    assert parts["disordered_place"].tolist()[1] == "b.txt"


def test_an_id_outside_the_vocabulary_is_told_and_takes_no_memory(tmp_path):
    table.write([Row(0, "a", "train", "a.txt", 0, 9, 9, np.array([2**32 - 1, 5]))], tmp_path, 2**32)
    written = pq.read_table(tmp_path / "00000.parquet")
    assert str(written.schema.field("ids").type.value_type) == "uint32"
    parts, _ = summary(tmp_path, 70_000)
    assert parts["max_id"].tolist() == [2**32 - 1]


def test_of_another_schema_nothing_but_the_schema_is_told(tmp_path):
    table.write(ROWS, tmp_path, 256)
    written = pq.read_table(tmp_path / "00000.parquet")
    place = written.schema.get_field_index("count")
    pq.write_table(written.set_column(place, "count", written["count"].cast(pa.float64())), tmp_path / "00000.parquet")
    parts, splits = summary(tmp_path, 256)
    assert parts["part"].tolist() == ["00000.parquet group 1"]
    assert "count double, size_bytes int64 not null" in parts["schema"][0]
    assert parts.drop(columns=["part", "schema"]).isna().all(axis=None)
    assert len(splits) == 0


def test_no_rows_have_no_summary(tmp_path):
    table.write([], tmp_path, 256)
    assert [len(frame) for frame in summary(tmp_path, 256)] == [0, 0]
