import itertools

import pytest

from components.tasks.rows import bucketed, endless, in_order, shuffled, steps_per_epoch


def test_an_epoch_shows_every_row_once():
    assert sorted(itertools.chain(*(shuffled(step, 12, 4, seed=1) for step in range(3)))) == list(range(12))


def test_the_next_epoch_has_another_order():
    first, second = ([shuffled(step, 12, 4, seed=1) for step in range(start, start + 3)] for start in (0, 3))
    assert first != second
    assert sorted(itertools.chain(*second)) == list(range(12))


def test_any_batch_can_be_asked_for_again():
    later = shuffled(1000, 12, 5, seed=1)
    shuffled(0, 12, 5, seed=2)
    assert shuffled(1000, 12, 5, seed=1) == later


def test_neighbouring_seeds_share_no_epoch():
    assert shuffled(3, 12, 4, seed=0) != shuffled(0, 12, 4, seed=1)


def test_the_short_rest_of_an_epoch_is_left_out():
    assert steps_per_epoch(11, 4) == 2


@pytest.mark.parametrize("batch_size", [0, 12])
def test_a_batch_larger_than_the_rows_or_empty_is_refused(batch_size: int):
    with pytest.raises(ValueError, match=rf"batch_size is {batch_size}; expected 1..11"):
        steps_per_epoch(11, batch_size)


def test_endless_batches_leave_no_row_out_and_may_be_larger_than_an_epoch():
    taken = list(itertools.chain(*(endless(index, 5, 4, seed=1) for index in range(5))))
    epochs = [taken[start : start + 5] for start in range(0, 20, 5)]
    assert [sorted(epoch) for epoch in epochs] == [[0, 1, 2, 3, 4]] * 4
    assert epochs[0] != epochs[1]
    assert sorted(endless(0, 2, 4, seed=1)) == [0, 0, 1, 1]


def test_in_order_ends_with_a_short_batch():
    assert [list(rows) for rows in in_order(5, 2)] == [[0, 1], [2, 3], [4]]


LENGTHS = [length for length in range(1, 11) for _ in range(4)]  # 4 rows of each length, in order


def test_rows_of_like_length_share_a_batch():
    assert all(len({LENGTHS[row] for row in batch}) == 1 for batch in bucketed(0, LENGTHS, 4, seed=1))


def test_a_bucketed_epoch_shows_every_row_once_in_another_order_each_time():
    first, second = (bucketed(epoch, LENGTHS, 4, seed=1) for epoch in (0, 1))
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == list(range(40))
    assert first != second
    assert [LENGTHS[batch[0]] for batch in first] != sorted(LENGTHS[batch[0]] for batch in first)


def test_the_rest_of_a_bucketed_epoch_is_drawn_from_short_and_long_rows():
    left_out = set()
    for epoch in range(20):
        left_out |= {LENGTHS[row] for row in set(range(40)) - set(itertools.chain(*bucketed(epoch, LENGTHS, 7, 1)))}
    assert {1, 10} <= left_out  # the longest alone, were the rows sorted first


def test_a_bucketed_epoch_is_a_function_of_seed_and_number():
    assert bucketed(3, LENGTHS, 4, seed=1) == bucketed(3, LENGTHS, 4, seed=1)
    assert bucketed(3, LENGTHS, 4, seed=1) != bucketed(3, LENGTHS, 4, seed=2)
