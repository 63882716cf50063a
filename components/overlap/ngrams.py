"""Which texts stand in others, whole or in part: the few are hashed and kept, the many stream by."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.overlap import words

WORDS = 13
"""Words of a run; Brown et al. 2020, Language Models are Few-Shot Learners, appendix C."""

Hashes = tuple[NDArray[np.uint64], NDArray[np.int64]]
"""The hashes of some texts end to end, and where each text's begin: (text + 1,)."""

_SLOTS = 16
"""Bits of the first look for each hash that is sought: of 16 hashes that are not, one needs the second."""


def exact(texts: Sequence[str]) -> Hashes:
    """Return a hash of each text, the same only for the same characters, of which none is left out."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint64), np.arange(len(texts) + 1)


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

    Memory: some 30 bytes a hash that is sought, whatever streams by.

    >>> sought = Sought(runs(["to be, or not to be", "that is the question"]))
    >>> sought.keep(sought.look(runs(["What?", "To be or not to be!"])), ["a", "b"])
    >>> sought.met()
    [Met(share=1.0, place='b'), None]
    """

    def __init__(self, hashes: Hashes) -> None:
        every, self._begins = hashes
        self._hashes, self._numbers = np.unique(every, return_inverse=True)
        self._places = np.full(len(self._hashes), -1, np.int64)
        self._names: list[str] = []
        bits = max(len(self._hashes) * _SLOTS, 8).bit_length()
        self._shift = np.uint64(64 - bits)
        self._slots = np.zeros(1 << bits - 3, np.uint8)
        np.bitwise_or.at(self._slots, *_slots(self._hashes >> self._shift))

    def look(self, hashes: Hashes) -> Seen:
        """Return what some texts have; changes nothing, so that threads may look at once."""
        every, begins = hashes
        byte, bit = _slots(every >> self._shift)
        likely = np.flatnonzero(self._slots[byte] & bit)
        at = np.searchsorted(self._hashes, every[likely])
        is_met = at < len(self._hashes)
        is_met[is_met] = self._hashes[at[is_met]] == every[likely[is_met]]
        return Seen(at[is_met], np.searchsorted(begins, likely[is_met], side="right") - 1)

    def keep(self, seen: Seen, places: Sequence[str]) -> None:
        """Take over what was seen of texts that stand at these places; a hash stays where it was met first."""
        numbers, first = np.unique(seen.numbers, return_index=True)
        is_new = self._places[numbers] < 0
        texts, names = np.unique(seen.texts[first[is_new]], return_inverse=True)
        self._places[numbers[is_new]] = len(self._names) + names
        self._names += [places[text] for text in texts]

    def met(self) -> list[Met | None]:
        """Return for each text what was met of it, None where nothing was or the text has no hash."""
        found: list[Met | None] = []
        for begin, end in zip(self._begins[:-1], self._begins[1:], strict=True):
            places = self._places[self._numbers[begin:end]]
            known = places[places >= 0]
            found.append(Met(len(known) / len(places), self._names[known[0]]) if len(known) else None)
        return found


def _slots(slots: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Return for each slot the number of its byte, and that byte with the slot's bit alone."""
    return slots >> np.uint64(3), np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8)
