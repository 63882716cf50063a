"""Word n-grams of texts as 64-bit hashes, many texts at once.

They are gone through in pieces, so that what is made of one stays in a processor's cache, and by numpy alone, which
lets go of Python's lock: threads work at once.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from components.overlap.encoded import Encoded

BLOCK = 1 << 17
"""Bytes whose words are hashed at once."""
AT_ONCE = 1 << 18
"""Bytes of texts whose n-grams are, or those of one longer text."""

_SEPARATOR = re.compile(rb"[^0-9A-Za-z\x80-\xff]")
_ALPHABET = np.uint8(26)
_EIGHT = 8
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(_EIGHT + 1)], np.uint64)
STEP = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: Steele, Lea and Flood 2014, section 5


def ngrams(texts: Sequence[str], n: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes of every n words in a row, the texts' end to end, and where each text's begin: (text + 1,).

    A word is a run of letters and digits; every character beyond ASCII counts as a letter. A to Z are taken as a to z;
    everything else separates words and leaves no trace. No n-gram crosses a text. A text of fewer than n words gives
    one hash, of all its words, so that short texts can be compared too; it differs from that of any n words. A text
    without words gives none. Equal n-grams have equal hashes everywhere; others differ but for a chance of 2^-64.

    >>> hashes, begins = ngrams(["To be, or not to be", "to BE"], 2)
    >>> begins.tolist(), bool(hashes[0] == hashes[4] == hashes[5])
    ([0, 5, 6], True)

    Raises ValueError for n below 1.
    """
    if n < 1:
        raise ValueError(f"n-grams of {n} words; expected at least 1")
    encoded = Encoded.of(texts)
    found, counts = [np.zeros(0, np.uint64)], [np.zeros(1, np.int64)]
    begin = 0
    for ends in np.split(encoded.ends, np.flatnonzero(np.diff(encoded.ends // AT_ONCE)) + 1):
        end = int(ends[-1]) if len(ends) else begin
        its, count = _ngrams(encoded.data[begin:end], ends - begin, n)
        found.append(its)
        counts.append(count)
        begin = end
    return np.concatenate(found), np.cumsum(np.concatenate(counts))


def mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return hashes of which each bit depends on every bit of what came: SplitMix64's finalizer, in place.

    Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators, figure 17 with variant 13.
    """
    hashes ^= hashes >> np.uint64(30)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(27)
    hashes *= np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(31)
    return hashes


def _ngrams(data: NDArray[np.uint8], ends: NDArray[np.int64], n: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hashes of the n-grams of some texts end to end, and how many each text has (text,)."""
    words, counts = _padded(*_words(data, ends), n)
    inside = np.ones(max(len(words) - n + 1, 0), bool)
    last = np.cumsum(counts[counts > 0]) - 1
    for word in range(n - 1):  # what begins so close to a text's end reaches into the next
        inside[last[last - word < len(inside)] - word] = False
    return _grams(words, n)[inside], np.maximum(counts - n + 1, 0)


def _words(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hash of each word, and the number of words of each text (text,)."""
    hashes, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for begin, end in _blocks(data):
        found, starts = _block(data[begin:end])
        hashes.append(found)
        places.append(starts + begin)
    return np.concatenate(hashes), np.diff(np.searchsorted(np.concatenate(places), ends), prepend=0)


def _blocks(data: NDArray[np.uint8]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of pieces of about BLOCK bytes; none parts a word."""
    begin = 0
    while begin < len(data):
        found = _SEPARATOR.search(data.data, begin + BLOCK)
        end = found.start() if found else len(data)
        yield begin, end
        begin = end


def _block(data: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hash of each word of some bytes, and where it begins.

    A word is taken eight bytes at a time, each eight mixed with their number in the word; the sum is its hash. The few
    words of more than eight are gone through once more.
    """
    lowered = np.zeros(len(data) + _EIGHT, np.uint8)  # what is beyond the end is masked
    is_ascii = (data < np.uint8(0x80)).view(np.uint8)
    np.bitwise_or(data, is_ascii * np.uint8(0x20), out=lowered[: len(data)])  # a is A with that bit, which digits have
    is_letter = np.zeros(len(data) + 2, bool)
    its = is_letter[1:-1]
    np.less(lowered[: len(data)] - np.uint8(ord("a")), _ALPHABET, out=its)  # wraps around below a
    its |= data - np.uint8(ord("0")) < np.uint8(10)
    its |= data >= np.uint8(0x80)
    edges = np.flatnonzero(is_letter[1:] != is_letter[:-1])
    starts, sizes = edges[::2], edges[1::2] - edges[::2]
    eights = np.ndarray(len(data), "<u8", lowered, strides=(1,))  # one begins at each byte
    hashes = mixed(eights.take(starts) & _FIRST_BYTES[np.minimum(sizes, _EIGHT)])
    long = np.flatnonzero(sizes > _EIGHT)
    if len(long):
        more = (sizes[long] - 1) >> 3
        first = np.cumsum(more) - more
        number = np.arange(1, more.sum() + 1) - np.repeat(first, more)
        left = np.repeat(sizes[long], more) - _EIGHT * number
        pieces = eights[np.repeat(starts[long], more) + _EIGHT * number] & _FIRST_BYTES[np.minimum(left, _EIGHT)]
        hashes[long] += np.add.reduceat(mixed(pieces + number.astype(np.uint64) * STEP), first)
    return hashes, starts


def _grams(words: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """Return the mixed hash of every n words in a row: the sum of each word's times a power of STEP, the last's first.

    That of k words gives those of 2 k and k + 1: for thirteen 2, 3, 6, 12, 13.
    """
    grams, size = words.copy(), 1
    for bit in f"{n:b}"[1:]:
        grams = grams[:-size] * np.uint64(pow(int(STEP), size, 2**64)) + grams[size:]
        size *= 2
        if bit == "1":
            grams = grams[: len(words) - size] * STEP + words[size:]
            size += 1
    return mixed(grams)


def _padded(
    words: NDArray[np.uint64], counts: NDArray[np.int64], n: int
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the words and their counts with each text that has any, but fewer than n, filled up with zeros."""
    padded = np.where(counts > 0, np.maximum(counts, n), 0)
    if padded.sum() == len(words):
        return words, counts
    filled = np.zeros(padded.sum(), np.uint64)
    shift = np.cumsum(padded - counts) - (padded - counts)  # zeros before each text
    filled[np.arange(len(words)) + np.repeat(shift, counts)] = words
    return filled, padded
