"""Word n-grams of texts as 64-bit hashes, many texts at once."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 1 << 16
"""Bytes whose words are hashed at once: what is made of them stays in a processor's cache."""

_LOWERED = bytes(range(256)).lower()  # A to Z alone
_IS_LETTER = bytes(byte >= 0x80 or chr(byte).isalnum() for byte in range(256))
_SEPARATOR = re.compile(rb"[^0-9A-Za-z\x80-\xff]")
_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)
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
    words, counts = _padded(*_words(texts), n)
    grams = np.zeros(max(len(words) - n + 1, 0), np.uint64)
    for word in range(n):
        grams *= STEP
        grams += words[word : word + len(grams)]
    inside = np.ones(len(words), bool)
    last = np.cumsum(counts[counts > 0]) - 1
    for word in range(n - 1):  # what begins so close to a text's end reaches into the next
        inside[last - word] = False
    begins = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(np.maximum(counts - n + 1, 0), out=begins[1:])
    return mixed(grams[inside[: len(grams)]]), begins


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


def _words(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hash of each word, the texts' end to end, and the number of words of each text."""
    encoded = [text.encode() for text in texts]
    data = b"\n".join(encoded)
    ends = np.cumsum([len(each) + 1 for each in encoded], dtype=np.int64)
    hashes, places = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for begin, end in _blocks(data):
        found, starts = _block(data[begin:end])
        hashes.append(found)
        places.append(starts + begin)
    return np.concatenate(hashes), np.diff(np.searchsorted(np.concatenate(places), ends), prepend=0)


def _blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield begin and end of pieces of about BLOCK bytes; none parts a word."""
    begin = 0
    while begin < len(data):
        found = _SEPARATOR.search(data, begin + BLOCK)
        end = found.start() if found else len(data)
        yield begin, end
        begin = end


def _block(data: bytes) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the hash of each word of some bytes, and where it begins.

    A word is taken eight bytes at a time, each eight mixed with their number in the word; the sum is its hash. The few
    words of more than eight are gone through once more.
    """
    is_letter = np.frombuffer(b"\0" + data.translate(_IS_LETTER) + b"\0", np.uint8)
    edges = np.flatnonzero(is_letter[1:] != is_letter[:-1])
    starts, sizes = edges[::2], edges[1::2] - edges[::2]
    eights = np.ndarray(len(data), "<u8", data.translate(_LOWERED) + bytes(7), strides=(1,))  # one begins at each byte
    hashes = mixed(eights[starts] & _FIRST_BYTES[np.minimum(sizes, 8)])
    long = np.flatnonzero(sizes > 8)
    if len(long):
        more = (sizes[long] - 1) >> 3
        first = np.cumsum(more) - more
        number = np.arange(1, more.sum() + 1) - np.repeat(first, more)
        left = np.repeat(sizes[long], more) - 8 * number
        pieces = eights[np.repeat(starts[long], more) + 8 * number] & _FIRST_BYTES[np.minimum(left, 8)]
        hashes[long] += np.add.reduceat(mixed(pieces + number.astype(np.uint64) * STEP), first)
    return hashes, starts


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
