"""From the table of ids to memory-mapped shards."""

import json

import numpy as np
import pytest

from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.windows.windows import Windows
from pipeline import checks, paths
from pipeline.stages import shard


def test_shards_hold_the_documents_with_the_end_token_after_each(project):
    end = Tokenizer.load(paths.TOKENIZER).end_of_text
    first = next(iter(table.read(paths.TOKENS, "train")))
    ids = np.load(paths.SHARDS / "train-00000.npy", mmap_mode="r")
    assert ids[: first.count].tolist() == first.ids.tolist()
    assert ids[first.count] == end


def test_the_numbers_count_ids_and_windows(project):
    numbers = json.loads(paths.metrics("shard").read_text())
    tokens = json.loads(paths.metrics("tokenize").read_text())
    assert numbers["train_ids"] == tokens["train_tokens"] + tokens["train_documents"]  # an end token each
    assert numbers["train_windows"] == len(Windows(paths.SHARDS, "train")) == (numbers["train_ids"] - 1) // 64


def test_without_a_separator_the_ids_are_the_tokens_in_as_many_files_as_asked(run):
    tokens = json.loads(paths.metrics("tokenize").read_text())
    run("shard", {"separator": "none", "shard_size": 1_000_000, "stride": 32})
    numbers = json.loads(paths.metrics("shard").read_text())
    assert numbers["train_ids"] == tokens["train_tokens"]
    assert numbers["train_windows"] == len(range(0, numbers["train_ids"] - 64, 32))
    assert len(list(paths.SHARDS.glob("train-0*.npy"))) == -(-numbers["train_ids"] // 1_000_000)
    assert json.loads(paths.checks("shards").read_text())["rows"] >= 3


def test_a_corpus_shorter_than_the_context_is_one_line(failure):
    said = failure("shard", {"context_length": 5_000_000, "stride": 1})
    assert "ids are too few for one window of context_length + 1 = 5000001; add text or lower context_length" in said
    assert not paths.SHARDS.exists()


def test_a_shard_that_is_not_as_it_was_written_breaks_the_check(project):
    file = paths.SHARDS / "train-00000.npy"
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)
    with pytest.raises(checks.CheckFailed, match=r"column=is_damaged.* file train-00000\.npy"):
        shard.check.fn()


@pytest.mark.parametrize("stride", [0, 65])
def test_a_stride_outside_the_window_is_one_line_before_anything_starts(failure, stride):
    assert failure("shard", {"stride": stride}) == f"shard.stride is {stride}; expected 1..64 (context_length)"


def test_each_split_is_written_from_its_own_parts_in_their_order():
    parts = [(split, (split, n)) for n in range(9) for split in ("train", "validation")]
    written = shard.in_threads(lambda split, its: (split, list(its)), parts)
    assert written == [(split, [(split, n) for n in range(9)]) for split in ("train", "validation")]


def test_a_split_that_cannot_be_written_holds_up_no_other_and_is_told():
    taken = []

    def write(split, its):
        if split == "train":
            raise ValueError("document 3 has ids 0..99")
        taken.extend(its)

    with pytest.raises(ValueError, match="document 3 has ids"):
        shard.in_threads(write, [(split, n) for n in range(50) for split in ("train", "validation")])
    assert taken == list(range(50))


def test_a_table_that_cannot_be_read_on_is_told_and_no_thread_waits():
    def parts():
        yield "train", 1
        raise ValueError("00001.parquet: cannot be read as Parquet")

    with pytest.raises(ValueError, match=r"00001\.parquet"):
        shard.in_threads(lambda _, its: list(its), parts())
