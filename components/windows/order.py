"""A seeded order of any number of things, each place of which is computed by itself: no list of them is held.

Source: Luby and Rackoff 1988 (a Feistel network is a bijection); Black and Rogaway 2002, section 3 (cycle walking: it
is applied again until the result is one of the things); Steele et al. 2014 (splitmix64, which mixes).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

ROUNDS = 6


def shuffled(places: Int64[np.ndarray, " place"], count: int, seed: Sequence[int]) -> Int64[np.ndarray, " place"]:
    """Return which of `count` things, 0 up, stand at `places` of the order that `seed` names.

    Over all places each thing comes once.

    >>> shuffled(np.arange(6), 6, seed=[1]).tolist()
    [1, 4, 5, 3, 2, 0]
    """
    half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))  # bits on each side
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.SeedSequence(seed).generate_state(ROUNDS, np.uint64)
    found = places.astype(np.uint64)
    is_out = np.ones(len(found), dtype=np.bool_)
    while is_out.any():
        left, right = found[is_out] >> half, found[is_out] & mask
        for key in keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        found[is_out] = (left << half) | right
        is_out = found >= count
    return found.astype(np.int64)


def _mixed(numbers: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return numbers each of whose bits depends on each of the given ones', modulo 2^64."""
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
