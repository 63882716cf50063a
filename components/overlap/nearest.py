"""Which texts are nearly others, by their MinHash signatures: those of the few are kept, the many stream by."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from components.overlap.ngrams import Met

Signatures = NDArray[np.uint32]
"""(text, permutation), as `near.signatures` makes them."""

_WORDLESS = np.uint32(2**32 - 1)  # what a text without words has everywhere


class Nearest:
    """The nearest of others to each of some texts; a text without words is near none.

    Memory: some 40 bytes for each number of a signature that is kept. Time grows with the numbers that are the same,
    not with the pairs.
    """

    def __init__(self, signatures: Signatures) -> None:
        texts, placed = _placed(signatures)
        self._values, columns = np.unique(placed, return_inverse=True)
        self._ones = _ones(columns, texts, (len(self._values), len(signatures)))
        self._same = np.zeros(len(signatures), np.int64)
        self._names = [""] * len(signatures)
        self._size = signatures.shape[1]

    def keep(self, signatures: Signatures, places: Sequence[str]) -> None:
        """Compare with texts that stand at these places; of two as near the first is kept."""
        texts, placed = _placed(signatures)
        columns = np.searchsorted(self._values, placed)  # not np.isin, whose hash table these numbers make slow
        is_known = columns < len(self._values)
        is_known[is_known] = self._values[columns[is_known]] == placed[is_known]
        theirs = _ones(texts[is_known], columns[is_known], (len(signatures), len(self._values)))
        same = (theirs @ self._ones).T.tocsr()  # (text, theirs); this way the few are gone through, not the kept
        for text in np.flatnonzero(np.diff(same.indptr)).tolist():
            row = slice(same.indptr[text], same.indptr[text + 1])
            most = same.data[row].max()
            if most > self._same[text]:
                self._same[text] = most
                self._names[text] = places[same.indices[row][same.data[row] == most].min()]

    def met(self, least: float) -> list[Met | None]:
        """Return for each text the nearest and the estimated Jaccard similarity; None where that is below `least`."""
        shares = (self._same / self._size).tolist()
        found = zip(shares, self._names, strict=True)
        return [Met(share, name) if share and share >= least else None for share, name in found]


def _placed(signatures: Signatures) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the numbers of signatures, each with its place in front, and the text of each; none without words."""
    places = np.arange(signatures.shape[1], dtype=np.uint64) << np.uint64(32)
    (texts,) = (signatures != _WORDLESS).any(axis=1).nonzero()
    return np.repeat(texts, signatures.shape[1]), (signatures[texts] | places).ravel()


def _ones(rows: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]) -> sparse.csr_array:
    return sparse.csr_array((np.ones(len(rows), np.int32), (rows, columns)), shape)
