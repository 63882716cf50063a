"""Near duplicates: texts that have most of their words in a row in common, found by MinHash."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from components.overlap.index import Index
from components.overlap.words import STEP, mixed, ngrams

RECALL = 0.99
"""Least chance that two texts just at the threshold are compared."""

_AT_ONCE_TEXTS = 128
_AT_ONCE_CHARACTERS = 1 << 22
_WORDLESS = 2**32 - 1  # what rensa gives each permutation of an empty set


@dataclass(frozen=True)
class NearSettings:
    """When two texts are nearly the same."""

    threshold: float
    """Least share of the two texts' n-grams that both have (Jaccard similarity), above 0, at most 1; with one word of
    200 changed it is 0.95."""
    words: int
    """Words of an n-gram; fewer forgive more changed words, and take more texts for the same that are not."""
    permutations: int
    """Numbers that a text's signature has; the estimated share is off by sqrt(share (1 - share) / permutations)."""
    seed: int
    """Seed of the permutations, 0 or more."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; expected above 0, at most 1")
        for name, least in (("words", 1), ("permutations", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {least}")
        bands(self.threshold, self.permutations)


@dataclass(frozen=True, slots=True)
class Match:
    """An earlier text that is nearly the same."""

    place: str
    """Where it stands."""
    similarity: float
    """Estimated share of n-grams in common, 0..1."""


def matches(texts: Iterable[tuple[str, str] | None], settings: NearSettings) -> Iterator[Match | None]:
    """Yield for each text, given with its place, the earliest before it that is nearly the same, or None.

    The first of a group is kept; one that has a match is not, and nothing is compared with it. A text without words
    matches none, nor does None, which stands for what is no text. What is kept lies in an index on disk. Reads up to
    128 ahead.

    Raises OSError where the disk has no room for the index.
    """
    count, _ = bands(settings.threshold, settings.permutations)
    with Index(settings.permutations, count) as index:
        for some in _lists(texts):
            given = [each for each in some if each]
            made = signatures([text for text, _ in given], settings)
            found = iter(_matches(made, [place for _, place in given], settings, index))
            yield from (each and next(found) for each in some)


def signatures(texts: Sequence[str], settings: NearSettings) -> NDArray[np.uint32]:
    """Return a signature of each text's set of n-grams: (text, permutation).

    They are the same whatever texts stand beside and however many threads work. A text without words has the largest
    number everywhere, and so is similar to others without words alone.
    """
    hashes, begins = ngrams(texts, settings.words)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        hashes, begins.astype(np.uint64), settings.permutations, settings.seed
    )
    return np.array(matrix.to_rows(), np.uint32).reshape(len(texts), settings.permutations)


def similarity(some: NDArray[np.uint32], others: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Return the estimated Jaccard similarity of each pair of signatures (pair, permutation): the share that is equal.

    Source: Broder 1997, On the resemblance and containment of documents.
    """
    equal: NDArray[np.float64] = (some == others).mean(axis=1)
    return equal


def bands(threshold: float, permutations: int) -> tuple[int, int]:
    """Return into how many bands of how many rows a signature is parted, at most all of it.

    Texts are compared that have a band in common: with similarity s by a chance of 1 - (1 - s^rows)^bands. The rows are
    the most, so that the fewest are compared in vain, with which that is at least RECALL at the threshold.

    >>> bands(0.8, 128)
    (16, 6)

    Raises ValueError where the permutations are too few.
    Source: Leskovec, Rajaraman, Ullman 2020, Mining of Massive Datasets, section 3.4.2.
    """
    for rows in range(permutations, 0, -1):
        count = _bands(threshold, rows)
        if count * rows <= permutations:
            return count, rows
    raise ValueError(
        f"permutations is {permutations}; expected at least {_bands(threshold, 1)} for a threshold of {threshold}"
    )


def _lists(texts: Iterable[tuple[str, str] | None]) -> Iterator[list[tuple[str, str] | None]]:
    held: list[tuple[str, str] | None] = []
    size = 0
    try:
        for each in texts:
            held.append(each)
            size += len(each[0]) if each else 0
            if len(held) == _AT_ONCE_TEXTS or size >= _AT_ONCE_CHARACTERS:
                yield held
                held, size = [], 0
    except ValueError:  # what came before it is passed on first
        yield held
        raise
    if held:
        yield held


def _bands(threshold: float, rows: int) -> int:
    """Return the fewest bands of so many rows that give RECALL at the threshold."""
    share = min(threshold**rows, RECALL)  # from RECALL on one band does
    return math.ceil(math.log1p(-RECALL) / math.log1p(-share) - 1e-9) if share > 1e-300 else 2**62


def _matches(made: NDArray[np.uint32], places: list[str], settings: NearSettings, index: Index) -> list[Match | None]:
    """Return the matches of some texts by their signatures, and add those with words and without a match."""
    found: list[Match | None] = [None] * len(places)
    keys = _keys(made, *bands(settings.threshold, settings.permutations))
    rows, numbers = index.having(keys)
    shares = similarity(made[rows], index.signatures(numbers))
    for row, number, share in zip(rows.tolist(), numbers.tolist(), shares.tolist(), strict=True):
        if share >= settings.threshold and not found[row]:
            found[row] = Match(index.place(number), share)

    is_new = np.array([match is None for match in found], bool) & (made != _WORDLESS).any(axis=1)
    new = np.flatnonzero(is_new)
    rows, others = _sharing(keys[new])
    shares = similarity(made[new[rows]], made[new[others]])
    for row, other, share in zip(new[rows].tolist(), new[others].tolist(), shares.tolist(), strict=True):
        if share >= settings.threshold and not found[row] and not found[other]:
            found[row] = Match(places[other], share)
    kept = [row for row in new.tolist() if not found[row]]
    index.add(made[kept], keys[kept], [places[row] for row in kept])
    return found


def _keys(made: NDArray[np.uint32], count: int, rows: int) -> NDArray[np.uint32]:
    """Return a hash of each band of each signature: (text, band). No two bands have keys in common, but by chance."""
    parted = made[:, : count * rows].reshape(len(made), count, rows)
    hashes = np.tile(np.arange(1, count + 1, dtype=np.uint64), (len(made), 1))
    for row in range(rows):
        hashes = hashes * STEP + parted[:, :, row]
    return (mixed(hashes) >> np.uint64(32)).astype(np.uint32)


def _sharing(keys: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of rows that have a key (row, key) in common, the later first, sorted."""
    shares = np.zeros((len(keys), len(keys)), bool)
    for band in keys.T:
        shares |= band[:, None] == band
    rows, others = np.nonzero(np.tril(shares, -1))
    return rows, others
