import hashlib
import json

import numpy as np
import pytest

from components.windows.shards import (
    ShardSettings,
    document,
    plan,
    write,
    write_index,
    write_shard,
    write_starts,
)
from components.windows.windows import Windows
from tests.components.windows.small import write_documents, write_split


def test_ids_are_stored_once_and_in_files_of_the_asked_size(tmp_path):
    write_split(tmp_path, list(range(25)), context_length=4, stride=1, shard_size=10)
    files = sorted(path.name for path in tmp_path.glob("*.npy"))
    assert files == ["train-00000.npy", "train-00001.npy", "train-00002.npy", "train-documents.npy"]
    stored = np.concatenate([np.load(tmp_path / name) for name in files[:3]])
    assert stored.tolist() == list(range(25))


@pytest.mark.parametrize(("vocab_size", "name"), [(257, "uint16"), (65_536, "uint16"), (65_537, "uint32")])
def test_ids_take_two_bytes_up_to_a_vocabulary_of_65536(tmp_path, vocab_size, name):
    ids = [0, vocab_size - 1, 5]
    windows = write_split(tmp_path, ids, context_length=2, stride=1, vocab_size=vocab_size)
    assert (windows[0].dtype, windows[0].tolist()) == (np.dtype(name), ids)
    assert windows.vocab_size == vocab_size


def test_each_document_is_followed_by_the_end_of_text_and_its_place_is_kept(tmp_path):
    documents = [(3, [1, 2]), (5, []), (9, [4, 5, 6])]
    windows = write_documents(
        tmp_path, documents, "train", 99, context_length=7, stride=1, shard_size=4, vocab_size=100
    )  # fmt: skip
    assert windows[0].tolist() == [1, 2, 99, 99, 4, 5, 6, 99]
    assert np.load(tmp_path / "train-documents.npy").tolist() == [[3, 0], [5, 3], [9, 4]]


def test_the_index_counts_what_was_written(tmp_path):
    how = {"end_of_text": 50, "vocab_size": 51, "shard_size": 10}
    documents = [document(0, np.arange(9)), document(1, np.arange(4))]
    splits = [
        write(documents, tmp_path, "train", size_bytes=33, **how),
        write([document(2, np.arange(6))], tmp_path, "validation", size_bytes=12, **how),
    ]
    write_index(tmp_path, splits, context_length=4, stride=2, vocab_size=51)

    def described(name, ids):
        return {"name": name, "ids": ids, "sha256": hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}

    assert json.loads((tmp_path / "index.json").read_text()) == {
        "context_length": 4,
        "stride": 2,
        "vocab_size": 51,
        "dtype": "uint16",
        "splits": {
            "train": {
                "documents": 2,
                "ids": 15,
                "size_bytes": 33,
                "files": [described("train-00000.npy", 10), described("train-00001.npy", 5)],
                "windows": 6,
            },
            "validation": {
                "documents": 1,
                "ids": 7,
                "size_bytes": 12,
                "files": [described("validation-00000.npy", 7)],
                "windows": 2,
            },
        },
    }
    windows = Windows(tmp_path, "validation")
    assert (len(windows), windows.ids, windows.size_bytes) == (2, 7, 12)
    assert [window.tolist() for window in windows] == [[0, 1, 2, 3, 4], [2, 3, 4, 5, 50]]  # no id of train


def test_equal_ids_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_split(tmp_path / name, list(range(30)), context_length=4, stride=2, shard_size=12)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 5
    assert names == sorted(path.name for path in (tmp_path / "b").iterdir())
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_split_shorter_than_a_window_is_refused_with_both_numbers(tmp_path, count):
    message = rf"validation: {count} ids are too few for one window of context_length \+ 1 = 5; add text or lower"
    with pytest.raises(ValueError, match=message):
        write_split(tmp_path, list(range(count)), "validation", context_length=4, stride=4)
    assert not (tmp_path / "index.json").exists()


@pytest.mark.parametrize("id_", [100, -1, 65_536 + 5])
def test_an_id_outside_the_vocabulary_is_refused_before_it_is_narrowed(tmp_path, id_):
    with pytest.raises(ValueError, match=r"document 0 has ids .*; the vocabulary of 100 tokens has 0\.\.99"):
        write_split(tmp_path, [1, id_, 2], context_length=2, stride=1)
    assert list(tmp_path.iterdir()) == []


def test_of_several_documents_the_one_with_the_foreign_id_is_named(tmp_path):
    batch = (np.array([4, 7, 9]), np.array([2, 0, 2]), np.array([1, 2, 3, 100]))
    with pytest.raises(ValueError, match=r"document 9 has ids 3\.\.100; the vocabulary of 100 tokens has 0\.\.99"):
        write([batch], tmp_path, "train", end_of_text=None, vocab_size=100, shard_size=10, size_bytes=4)


@pytest.mark.parametrize("end_of_text", [None, 99])
def test_documents_together_are_written_as_one_by_one(tmp_path, end_of_text):
    ids = np.arange(12, dtype=np.uint16)
    documents = [(1, ids[:5]), (2, ids[:0]), (4, ids[5:11]), (8, ids[:0]), (9, ids[11:])]
    together = (np.array([1, 2, 4, 8, 9]), np.array([5, 0, 6, 0, 1]), ids)
    how = {"end_of_text": end_of_text, "vocab_size": 100, "shard_size": 7, "size_bytes": 12}
    apart = write([document(*each) for each in documents], tmp_path / "apart", "train", **how)
    assert write([together], tmp_path / "together", "train", **how) == apart
    files = sorted(path.name for path in (tmp_path / "apart").iterdir())
    assert [(tmp_path / "apart" / name).read_bytes() for name in files] == [
        (tmp_path / "together" / name).read_bytes() for name in files
    ]


@pytest.mark.parametrize("end_of_text", [None, 99])
@pytest.mark.parametrize("shard_size", [1, 3, 5, 9, 100])
def test_shards_written_each_alone_are_those_of_a_stream(tmp_path, shard_size, end_of_text):
    parts = [  # of the second nothing is in the split, and the fourth has a document without an id
        (np.array([0, 2]), np.array([3, 2]), np.array([1, 2, 3, 4, 5])),
        (np.array([], np.int64), np.array([], np.int64), np.array([], np.int64)),
        (np.array([5]), np.array([7]), np.arange(7)),
        (np.array([6]), np.array([0]), np.array([], np.int64)),
        (np.array([7, 8]), np.array([0, 1]), np.array([9])),
    ]
    how = {"end_of_text": end_of_text, "vocab_size": 100, "shard_size": shard_size}
    together = write(parts, tmp_path / "together", "train", size_bytes=7, **how)
    alone = tmp_path / "alone"
    alone.mkdir()
    counts = [(numbers, counts) for numbers, counts, _ in parts]
    starts, places = plan(counts, has_separator=end_of_text is not None, shard_size=shard_size)
    files = [
        write_shard(parts[part:], alone, "train", n, skip=skip, **how)
        for n, (part, skip) in reversed([*enumerate(places)])
    ]
    assert write_starts(alone, "train", starts, reversed(files), 7) == together
    content = {path.name: path.read_bytes() for path in alone.iterdir()}
    assert content == {path.name: path.read_bytes() for path in (tmp_path / "together").iterdir()}


def test_a_shard_begins_in_a_part_after_what_the_earlier_ones_hold():
    counts = [(np.array([0, 1]), np.array([3, 2])), (np.array([2]), np.array([4]))]
    starts, places = plan(counts, has_separator=True, shard_size=5)  # 4 + 3 ids, then 5
    assert starts.tolist() == [[0, 0], [1, 4], [2, 7]]
    assert places == [(0, 0), (0, 5), (1, 3)]
    assert plan([], has_separator=True, shard_size=5)[1] == []


def test_a_separator_outside_the_vocabulary_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"end_of_text is 100; expected an id of the vocabulary, 0\.\.99"):
        write([], tmp_path, "train", end_of_text=100, vocab_size=100, shard_size=10, size_bytes=0)


def test_what_was_written_is_said(tmp_path):
    written = write(
        [document(4, np.arange(12))], tmp_path, "train", end_of_text=None, vocab_size=12, shard_size=8, size_bytes=40
    )
    assert (written.split, written.documents, written.ids, written.size_bytes) == ("train", 1, 12, 40)
    assert [(each.name, each.ids) for each in written.files] == [("train-00000.npy", 8), ("train-00001.npy", 4)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context_length": 0}, "context_length is 0; expected 1 or more"),
        ({"stride": 0}, r"stride is 0; expected 1\.\.8 \(context_length\)"),
        ({"stride": 9}, r"stride is 9; expected 1\.\.8 \(context_length\)"),
        ({"shard_size": 0}, "shard_size is 0; expected 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused_by_name_and_value(change, message):
    fitting = {"context_length": 8, "stride": 8, "separator": "none", "shard_size": 100}
    ShardSettings(**fitting)
    with pytest.raises(ValueError, match=message):
        ShardSettings(**fitting | change)
