import pytest

from components.gpt.batching import by_length


def test_shorter_texts_come_first_and_equal_ones_in_their_order():
    assert by_length([[1, 2], [], [3], [4, 5], [6]], 2) == [[1, 2], [4, 0], [3]]


def test_no_texts_are_no_batches():
    assert by_length([], 3) == []


def test_a_batch_of_none_is_refused():
    with pytest.raises(ValueError, match="batch_size is 0; expected at least 1"):
        by_length([[1]], 0)
