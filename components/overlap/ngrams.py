"""Which texts stand in others, whole or in part: the few are hashed and kept, the many stream by."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.overlap import words
from components.overlap.encoded import Encoded

WORDS = 13
"""Words of a run; Brown et al. 2020, Language Models are Few-Shot Learners, appendix C."""

Hashes = tuple[NDArray[np.uint64], NDArray[np.int64]]
"""The hashes of some texts end to end, and where each text's begin: (text + 1,)."""

_BITS = 16
"""Bits of the first look for each hash that is sought, at least: of 300 hashes that are not, one needs the second."""
_MARKS = 4
"""Of these, how many are set for it."""
_AT_ONCE = 1 << 14
"""Hashes that are looked up at once: what is made of them stays in a processor's cache."""


def exact(texts: Sequence[str], which: NDArray[np.bool_] | None = None) -> Hashes:
    """Return a hash of each text, the same only for the same characters, of which none is left out.

    Of texts that `which` leaves out (text,) there is none.
    """
    encoded = Encoded.of(texts)
    chosen = np.ones(len(encoded), bool) if which is None else which
    numbers = np.flatnonzero(chosen).tolist()
    digests = b"".join(hashlib.blake2b(encoded.utf8(number).data, digest_size=8).digest() for number in numbers)
    return np.frombuffer(digests, np.uint64), np.concatenate([np.zeros(1, np.int64), np.cumsum(chosen)])


def runs(texts: Sequence[str]) -> Hashes:
    """Return a hash of every 13 words in a row, as `words.ngrams` has them.

    A text of fewer words gives one, of all its words, which only the same words and no more have as well.
    """
    return words.ngrams(texts, WORDS)


@dataclass(frozen=True)
class Met:
    """What was met of a text that is sought."""

    share: float
    """Share of its hashes that were met; above 0, at most 1."""
    place: str
    """Where the first of them was met first."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What texts that stream by have of what is sought."""

    numbers: NDArray[np.int64]
    """The numbers of the hashes met (hash,)."""
    texts: NDArray[np.int64]
    """The number of the text that has each (hash,), from 0."""


class Sought:
    """The hashes of some texts, looked for among those of others.

    They come in parts, which stay as they are. Memory beside these: 15 bytes a hash that is sought, 18 while it is
    made, whatever streams by.

    >>> sought = Sought([runs(["to be, or not to be", "that is the question"])])
    >>> sought.keep(sought.look(runs(["What?", "To be or not to be!"])), ["a", "b"])
    >>> sought.met()
    [Met(share=1.0, place='b'), None]
    """

    def __init__(self, parts: Sequence[Hashes]) -> None:
        self._parts = parts
        self._known = _Known(_unique([hashes for hashes, _ in parts]))
        self._places = np.full(len(self._known.hashes), -1, np.int32)
        self._names: list[str] = []

    def look(self, hashes: Hashes) -> Seen:
        """Return what some texts have; changes nothing, so that threads may look at once."""
        every, begins = hashes
        at, numbers = self._known.find(every)
        return Seen(numbers, np.searchsorted(begins, at, side="right") - 1)

    def keep(self, seen: Seen, places: Sequence[str]) -> None:
        """Take over what was seen of texts that stand at these places; a hash stays where it was met first."""
        numbers, first = np.unique(seen.numbers, return_index=True)
        is_new = self._places[numbers] < 0
        texts, names = np.unique(seen.texts[first[is_new]], return_inverse=True)
        self._places[numbers[is_new]] = len(self._names) + names
        self._names += [places[text] for text in texts]

    def met(self) -> list[Met | None]:
        """Return for each text what was met of it, None where nothing was or the text has no hash."""
        is_met = self._places >= 0
        known, places = _Known(self._known.hashes[is_met]), self._places[is_met]
        return [each for part in self._parts for each in self._met(*part, known, places)]

    def _met(
        self, hashes: NDArray[np.uint64], begins: NDArray[np.int64], known: "_Known", places: NDArray[np.int32]
    ) -> list[Met | None]:
        at, numbers = known.find(hashes)
        edges = np.searchsorted(at, begins)
        found: list[Met | None] = [None] * (len(begins) - 1)
        for text in np.flatnonzero(np.diff(edges)).tolist():
            share = (edges[text + 1] - edges[text]) / (begins[text + 1] - begins[text])
            found[text] = Met(float(share), self._names[places[numbers[edges[text]]]])
        return found


class _Known:
    """Hashes in their order (hash,), each once, to be found among others.

    What is not there is told by a blocked Bloom filter, one look at 64 bits, and but seldom by a search in all.
    Source: Putze, Sanders, Singler 2009, Cache-, hash-, and space-efficient Bloom filters, section 3.
    """

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        self.hashes = hashes
        bits = max(len(hashes) * _BITS // 64, 1).bit_length()
        self._shift = np.uint64(64 - bits)
        self._blocks = np.zeros(1 << bits, np.uint64)
        for begin in range(0, len(hashes), _AT_ONCE):
            some = hashes[begin : begin + _AT_ONCE]
            np.bitwise_or.at(self._blocks, self._block(some), _marks(some))

    def find(self, every: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where among some hashes each stands that is known (found,), and its number here (found,)."""
        parts = [self._likely(every[begin : begin + _AT_ONCE]) + begin for begin in range(0, len(every), _AT_ONCE)]
        likely = np.concatenate([np.zeros(0, np.int64), *parts])
        numbers = np.searchsorted(self.hashes, every[likely])
        is_known = numbers < len(self.hashes)
        is_known[is_known] = self.hashes[numbers[is_known]] == every[likely[is_known]]
        return likely[is_known], numbers[is_known]

    def _likely(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        marks = _marks(hashes)
        return np.flatnonzero(self._blocks[self._block(hashes)] & marks == marks)

    def _block(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return (hashes >> self._shift).view(np.int64)  # an index that needs no conversion


def _marks(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return for each hash the bits that its block has, from its low bits; the block is known from the high ones."""
    marks = np.zeros(len(hashes), np.uint64)
    for mark in range(_MARKS):
        marks |= np.uint64(1) << (hashes >> np.uint64(6 * mark) & np.uint64(63))
    return marks


def _unique(parts: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Return all hashes in their order, each once; with less memory than np.unique."""
    ordered = np.concatenate([np.zeros(0, np.uint64), *parts])
    ordered.sort()
    is_first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return ordered[is_first]
