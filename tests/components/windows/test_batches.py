import threading

import numpy as np
import pytest
import torch

from components.training import losses
from components.windows.batches import IGNORED, Batches, in_order
from components.windows.shards import document, write, write_index
from components.windows.windows import Windows


@pytest.fixture
def windows(tmp_path):
    """Eleven windows of four ids and their next, starting at 0, 4, 8, ..., over two files."""
    split = write(
        [document(0, np.arange(45))], tmp_path, "train", end_of_text=None, vocab_size=100, shard_size=23, size_bytes=45
    )
    write_index(tmp_path, [split], context_length=4, stride=4, vocab_size=100)
    return Windows(tmp_path, "train")


def starts(batch):
    return batch[0][:, 0].tolist()


def test_a_batch_is_int64_inputs_and_the_same_ids_one_later(windows):
    inputs, targets = Batches(windows, 3, seed=0)(0)
    assert inputs.shape == targets.shape == (3, 4)
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.is_contiguous()
    assert targets.is_contiguous()
    assert torch.equal(targets, inputs + 1)


def test_ids_above_32767_stay_positive(tmp_path):
    ids = np.array([65_535, 40_000, 1])
    split = write(
        [document(0, ids)], tmp_path, "train", end_of_text=None, vocab_size=65_536, shard_size=9, size_bytes=3
    )
    write_index(tmp_path, [split], context_length=2, stride=2, vocab_size=65_536)
    inputs, targets = Batches(Windows(tmp_path, "train"), 1, seed=0)(0)
    assert inputs.tolist() == [[65_535, 40_000]]
    assert targets.tolist() == [[40_000, 1]]


def test_a_batch_can_be_changed_without_changing_the_shards(windows):
    inputs, _ = Batches(windows, 11, seed=0)(0)
    inputs.zero_()
    assert sorted(starts(Batches(windows, 11, seed=0)(0))) == list(range(0, 44, 4))


def test_a_batch_depends_on_seed_and_index_alone(windows):
    forwards = Batches(windows, 2, seed=7)
    expected = [starts(forwards(index)) for index in range(20)]
    backwards = Batches(windows, 2, seed=7)
    assert [starts(backwards(index)) for index in reversed(range(20))] == expected[::-1]
    assert starts(Batches(windows, 2, seed=7)(13)) == expected[13]
    assert [starts(Batches(windows, 2, seed=8)(index)) for index in range(20)] != expected


def test_the_global_random_state_is_neither_read_nor_moved(windows):
    torch.manual_seed(1)
    np.random.seed(1)
    first = starts(Batches(windows, 4, seed=3)(1))
    torch.manual_seed(2)
    np.random.seed(2)
    before = torch.get_rng_state()
    assert starts(Batches(windows, 4, seed=3)(1)) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_reads_every_window_once_and_the_next_in_another_order(windows):
    batches = Batches(windows, 1, seed=0)
    assert batches.steps_per_epoch == 11
    first, second = ([starts(batches(11 * epoch + step))[0] for step in range(11)] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(0, 44, 4))
    assert first != second
    assert first != sorted(first)


def test_windows_that_do_not_fill_a_batch_are_left_out_of_the_epoch(windows):
    batches = Batches(windows, 4, seed=0)
    assert batches.steps_per_epoch == 2
    epoch = starts(batches(0)) + starts(batches(1))
    assert len(set(epoch)) == 8
    left_out = set(range(0, 44, 4)) - set(epoch)
    later = {start for index in range(2, 12) for start in starts(batches(index))}
    assert left_out <= later


def test_threads_that_ask_for_different_epochs_get_their_own_batches(windows):
    batches = Batches(windows, 2, seed=5)
    expected = [starts(Batches(windows, 2, seed=5)(index)) for index in range(40)]
    found = {}

    def ask(indices):
        for index in indices:
            found[index] = starts(batches(index))

    threads = [threading.Thread(target=ask, args=(range(offset, 40, 4),)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[index] for index in range(40)] == expected


@pytest.mark.parametrize("batch_size", [12, 0])
def test_a_batch_size_that_the_windows_cannot_fill_is_refused_with_both_numbers(windows, batch_size):
    with pytest.raises(ValueError, match=rf"batch_size is {batch_size}, but there are 11 windows; expected 1\.\.11"):
        Batches(windows, batch_size, seed=0)


def test_a_negative_index_is_refused(windows):
    with pytest.raises(IndexError, match="batch -1; expected 0 or more"):
        Batches(windows, 2, seed=0)(-1)


def test_in_order_gives_all_windows_once_and_the_last_batch_short(windows):
    batches = list(in_order(windows, 4))
    assert [starts(batch) for batch in batches] == [[0, 4, 8, 12], [16, 20, 24, 28], [32, 36, 40]]
    assert batches[2][1].tolist() == [[33, 34, 35, 36], [37, 38, 39, 40], [41, 42, 43, 44]]
    assert batches[0][0].dtype == torch.int64


def test_in_order_scores_no_id_twice_where_windows_overlap(tmp_path):
    split = write(
        [document(0, np.arange(11))], tmp_path, "train", end_of_text=None, vocab_size=11, shard_size=9, size_bytes=11
    )
    write_index(tmp_path, [split], context_length=4, stride=3, vocab_size=11)
    (inputs, targets), (last, of_last) = in_order(Windows(tmp_path, "train"), 2)
    assert inputs.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6]]
    assert targets.tolist() == [[1, 2, 3, 4], [-100, 5, 6, 7]]
    assert (last.tolist(), of_last.tolist()) == ([[6, 7, 8, 9]], [[-100, 8, 9, 10]])
    assert IGNORED == losses.IGNORED
