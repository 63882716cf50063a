"""Orders computed place by place, against what a shuffled list must be."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.windows.order import shuffled


def restated(place: int, count: int, keys: list[int]) -> int:
    """Return where one place leads, in whole numbers without a width."""
    half = max(1, ((count - 1).bit_length() + 1) // 2)
    while True:
        left, right = place >> half, place % 2**half
        for key in keys:
            z = right ^ key
            z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
            z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
            left, right = right, left ^ ((z ^ (z >> 31)) % 2**half)
        place = left * 2**half + right
        if place < count:
            return place


@pytest.mark.parametrize("count", [1, 2, 11, 1000, 10**9])
def test_the_order_is_the_one_written_down_here(count):
    # Exact: another order redraws every run.
    keys = [int(key) for key in np.random.SeedSequence([123, 4]).generate_state(6, np.uint64)]
    places = np.arange(min(count, 50))
    assert shuffled(places, count, [123, 4]).tolist() == [restated(int(place), count, keys) for place in places]


@given(count=st.integers(1, 3000), seed=st.lists(st.integers(0, 2**63), min_size=1, max_size=3))
def test_each_thing_comes_once(count, seed):
    assert sorted(shuffled(np.arange(count), count, seed).tolist()) == list(range(count))


def test_a_place_is_the_same_whatever_is_asked_for_with_it():
    whole = shuffled(np.arange(1000), 1000, [7, 1])
    for places in ([5], [999, 0, 5], list(range(16, 32))):
        assert shuffled(np.array(places), 1000, [7, 1]).tolist() == whole[places].tolist()


def test_another_seed_is_another_order():
    orders = {tuple(shuffled(np.arange(50), 50, [seed, epoch]).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_neighbours_are_strangers():
    # Of a random order of n a neighbour is the next number once in all, and the correlation is about 1 / sqrt(n).
    order = shuffled(np.arange(100_000), 100_000, [3])
    assert (np.diff(order) == 1).sum() < 10
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.015
    assert abs(np.corrcoef(order, np.arange(100_000))[0, 1]) < 0.015


def test_what_comes_first_is_anything_with_equal_chance():
    counts = Counter(int(shuffled(np.array([0]), 40, [seed])[0]) for seed in range(8000))
    assert len(counts) == 40
    # Chi-square with 39 degrees of freedom is below 72.1 in 999 of 1,000 cases.
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 72.1


@pytest.mark.parametrize("count", [10**9, 10**12])
def test_many_things_take_no_more_memory_than_the_places_asked_for(count):
    found = shuffled(np.array([0, 1, count - 1]), count, [0])
    assert len(set(found.tolist())) == 3
    assert ((found >= 0) & (found < count)).all()
