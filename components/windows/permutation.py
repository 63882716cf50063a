"""A seeded permutation of any number of indices, computed index by index: no list of them is held.

Source: Luby and Rackoff 1988 (a Feistel network is a bijection); Black and Rogaway 2002, Ciphers with Arbitrary Finite
Domains (cycle walking: it is applied again until the result is in range); Steele et al. 2014 (splitmix64, which mixes).
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

ROUNDS = 6  # Luby and Rackoff prove 4 for a mixing that is random; two more for one that is not


def permuted(indices: Int64[np.ndarray, " index"], count: int, seed: Sequence[int]) -> Int64[np.ndarray, " index"]:
    """Return where each index is sent by the permutation of 0..count - 1 that `seed` names.

    >>> permuted(np.arange(6), 6, seed=[1]).tolist()
    [1, 4, 5, 3, 2, 0]

    Raises ValueError for an index out of range: cycle walking might never end.
    """
    if ((indices < 0) | (indices >= count)).any():
        raise ValueError(f"indices are {indices.min()}..{indices.max()}; expected 0..{count - 1}")
    half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))  # bits on each side
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.SeedSequence(seed).generate_state(ROUNDS, np.uint64)
    found = indices.astype(np.uint64)
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
