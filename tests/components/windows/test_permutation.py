"""Permutations computed index by index, against what a shuffled list must be."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.windows.permutation import permuted


@pytest.mark.parametrize(
    ("count", "seed", "first"),
    [
        (6, [1], [1, 4, 5, 3, 2, 0]),
        (11, [0, 0], [0, 10, 3, 7, 6, 1, 9, 8, 4, 2, 5]),
        (10**9, [123, 4], [336717530, 462066124, 978873031, 501924497, 643347930]),
    ],
)
def test_a_permutation_stays_as_it_was_first_written(count, seed, first):
    # Exact: another one redraws every run. A restatement in whole numbers without a width gave the same.
    assert permuted(np.arange(len(first)), count, seed).tolist() == first


@pytest.mark.parametrize(("indices", "count"), [([0], 0), ([3], 3), ([0, -1], 5)])
def test_an_index_out_of_range_is_refused(indices, count):
    with pytest.raises(ValueError, match=rf"indices are .*; expected 0\.\.{count - 1}"):
        permuted(np.array(indices), count, [1])


@given(count=st.integers(1, 3000), seed=st.lists(st.integers(0, 2**63), min_size=1, max_size=3))
def test_each_index_comes_once(count, seed):
    assert sorted(permuted(np.arange(count), count, seed).tolist()) == list(range(count))


def test_an_index_is_sent_to_the_same_whatever_is_asked_for_with_it():
    whole = permuted(np.arange(1000), 1000, [7, 1])
    for indices in ([5], [999, 0, 5], list(range(16, 32))):
        assert permuted(np.array(indices), 1000, [7, 1]).tolist() == whole[indices].tolist()


def test_another_seed_is_another_order():
    orders = {tuple(permuted(np.arange(50), 50, [seed, epoch]).tolist()) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_neighbours_are_strangers():
    # Of a random order of n a neighbour is the next number once in all, and the correlation is about 1 / sqrt(n).
    order = permuted(np.arange(100_000), 100_000, [3])
    assert (np.diff(order) == 1).sum() < 10
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.015
    assert abs(np.corrcoef(order, np.arange(100_000))[0, 1]) < 0.015


def test_what_comes_first_is_anything_with_equal_chance():
    counts = Counter(int(permuted(np.array([0]), 40, [seed])[0]) for seed in range(8000))
    assert len(counts) == 40
    # Chi-square with 39 degrees of freedom is below 72.1 in 999 of 1,000 cases.
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 72.1


@pytest.mark.parametrize("count", [10**9, 10**12])
def test_of_many_indices_only_those_asked_for_are_computed(count):
    found = permuted(np.array([0, 1, count - 1]), count, [0])
    assert len(set(found.tolist())) == 3
    assert ((found >= 0) & (found < count)).all()
