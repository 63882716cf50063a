import numpy as np
import pytest

from components.windows.shards import window_count
from components.windows.windows import Windows
from tests.components.windows.small import write_documents, write_split


def by_the_book(ids, max_length, stride):
    """The rule of the book's GPTDatasetV1 (Raschka, chapter 2.6), as it is printed there."""
    input_ids, target_ids = [], []
    for i in range(0, len(ids) - max_length, stride):
        input_chunk = ids[i : i + max_length]
        target_chunk = ids[i + 1 : i + max_length + 1]
        input_ids.append(input_chunk)
        target_ids.append(target_chunk)
    return list(zip(input_ids, target_ids, strict=True))


@pytest.mark.parametrize("shard_size", [1000, 20, 19, 7, 4, 1])
@pytest.mark.parametrize(("length", "stride"), [(4, 4), (4, 1), (4, 3), (1, 1), (5, 2), (19, 19), (18, 1), (10, 10)])
def test_windows_are_those_of_the_book_whatever_the_shard_size(tmp_path, length, stride, shard_size):
    ids = list(range(20))
    windows = write_split(tmp_path, ids, context_length=length, stride=stride, shard_size=shard_size)
    assert [(window[:-1].tolist(), window[1:].tolist()) for window in windows] == by_the_book(ids, length, stride)
    assert len(windows) == window_count(20, length, stride)


def test_windows_of_ten_ids_by_eye(tmp_path):
    windows = write_split(tmp_path, list(range(10)), context_length=4, stride=4)
    assert [window.tolist() for window in windows] == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8]]


def test_the_verdict_has_as_many_windows_as_the_book_prints():
    # Raschka, chapter 5.1.3: 9 batches of training and 1 of validation, each of 2 windows of 256 tokens.
    assert window_count(4612, context_length=256, stride=256) == 9 * 2
    assert window_count(534, context_length=256, stride=256) == 1 * 2


def test_a_last_window_that_just_fits_is_kept_and_one_that_does_not_is_not(tmp_path):
    assert len(write_split(tmp_path / "nine", list(range(9)), context_length=4, stride=4)) == 2
    assert len(write_split(tmp_path / "eight", list(range(8)), context_length=4, stride=4)) == 1


def test_a_window_is_a_read_only_view_of_the_memory_map(tmp_path):
    windows = write_split(tmp_path, list(range(50)), context_length=4, stride=3)
    assert isinstance(windows.shards[0], np.memmap)
    for window in windows:
        assert isinstance(window, np.memmap)
        assert np.shares_memory(window, windows.shards[0])
        assert not window.flags.writeable


def test_only_a_window_across_two_files_is_joined(tmp_path):
    windows = write_split(tmp_path, list(range(20)), context_length=3, stride=2, shard_size=10)
    assert [len(shard) for shard in windows.shards] == [10, 10]
    views = [any(np.shares_memory(window, shard) for shard in windows.shards) for window in windows]
    assert views == [True, True, True, True, False, True, True, True, True]  # the fifth is 8, 9 | 10, 11


def test_a_window_that_is_not_there_is_an_index_error(tmp_path):
    windows = write_split(tmp_path, list(range(10)), context_length=4, stride=4)
    for k in (2, -1):
        with pytest.raises(IndexError, match=f"window {k} of 2"):
            windows[k]


def test_a_folder_that_holds_no_shards_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no folder of shards, its index\.json cannot be read"):
        Windows(tmp_path, "train")
    write_split(tmp_path, list(range(10)), context_length=4, stride=4)
    with pytest.raises(ValueError, match="no split 'validation'; it has train"):
        Windows(tmp_path, "validation")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "splits is None; expected dict"),
        ("[]", "splits is None; expected dict"),
        ('{"splits": []}', r"splits is \[\]; expected dict"),
        ('{"splits": {"train": {}}}', "context_length is None; expected int"),
        ('{"splits": {"train": 3}, "context_length": 4, "stride": 4, "vocab_size": 9}', "ids is None; expected int"),
        ('{"splits": {"train": {}}, "context_length": "4"}', "context_length is '4'; expected int"),
    ],
)
def test_an_index_that_is_none_is_refused_by_its_file(tmp_path, text, message):
    (tmp_path / "index.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^{tmp_path / 'index.json'}: {message}"):
        Windows(tmp_path, "train")


def test_shards_that_do_not_fit_their_index_are_refused(tmp_path):
    write_split(tmp_path, list(range(10)), context_length=4, stride=4)
    shard = tmp_path / "train-00000.npy"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2])
    with pytest.raises(ValueError, match=r"train-00000\.npy: cannot be read as a shard"):
        Windows(tmp_path, "train")
    np.save(shard, np.arange(10, dtype=np.float32))
    with pytest.raises(ValueError, match="expected one row of uint16, got float32"):
        Windows(tmp_path, "train")
    np.save(shard, np.arange(9, dtype=np.uint16))
    with pytest.raises(ValueError, match=r"the shards of train hold 9 ids; index\.json counts 10"):
        Windows(tmp_path, "train")
    shard.unlink()
    with pytest.raises(ValueError, match=r"train-00000\.npy: cannot be read as a shard"):
        Windows(tmp_path, "train")


def test_a_window_tells_the_documents_that_it_is_made_of(tmp_path):
    documents = [(3, [10, 11, 12]), (5, []), (6, [20]), (9, [30, 31, 32, 33])]  # 10 11 12 0 | 0 | 20 0 | 30 31 32 33 0
    windows = write_documents(tmp_path, documents, "train", 0, context_length=3, stride=2, shard_size=5, vocab_size=100)
    assert [windows.documents(k) for k in range(len(windows))] == [
        [(3, 0, 4)],
        [(3, 2, 4), (5, 0, 1), (6, 0, 1)],
        [(5, 0, 1), (6, 0, 2), (9, 0, 1)],
        [(6, 1, 2), (9, 0, 3)],
        [(9, 1, 5)],
    ]
    with pytest.raises(IndexError, match="window 5 of 5"):
        windows.documents(5)
    assert windows.starts.tolist() == [[3, 0], [5, 4], [6, 5], [9, 7]]


def test_a_document_without_an_id_and_without_a_separator_is_in_no_window(tmp_path):
    documents = [(0, [1, 2]), (1, []), (2, [3])]
    how = {"context_length": 2, "stride": 1, "shard_size": 9, "vocab_size": 9}
    windows = write_documents(tmp_path, documents, "train", None, **how)
    assert windows.documents(0) == [(0, 0, 2), (2, 0, 1)]


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), (np.arange(3), "expected rows of int64")])
def test_a_damaged_list_of_documents_is_refused_where_it_is_asked(tmp_path, content, message):
    windows = write_split(tmp_path, list(range(10)), context_length=4, stride=4)
    (tmp_path / "train-documents.npy").unlink()
    if content is not None:
        np.save(tmp_path / "train-documents.npy", content)
    assert len(Windows(tmp_path, "train")) == 2
    with pytest.raises(ValueError, match=rf"train-documents\.npy: {message}"):
        windows.documents(0)
