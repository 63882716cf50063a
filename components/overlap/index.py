"""Signatures of texts on disk, found again by what they have in common."""

import tempfile
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

COMPARED = 32
"""Most entries that are gone through for a key, the latest first: what half a corpus shares shall not stop it."""

_ENTRY = np.dtype([("key", "<u4"), ("before", "<u4")])  # before: 1 + the entry met before in the same bucket, or 0
_FIRST_BUCKETS = 1 << 12
_RELINKED = 1 << 16


class Index:
    """Texts by number, from 0; each has a signature, a place and some keys, by which it is found.

    All lies in files that nobody else sees and that go when it is closed. In memory are 4 to 8 bytes a key, and of the
    files what the system likes to keep. The layout is a hash table of chains: an entry for each key of each text, the
    first of each chain in memory.
    """

    def __init__(self, permutations: int, keys: int) -> None:
        """Make one without texts, for signatures of so many numbers and so many keys a text."""
        self._keys = keys
        self._signatures = _Rows(np.uint32, permutations)
        self._entries = _Rows(_ENTRY)
        self._places = _Rows(np.uint8)
        self._place_ends = _Rows(np.int64)
        self._last = np.zeros(_FIRST_BUCKETS, np.uint32)  # 1 + the last entry of each bucket, or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for rows in (self._signatures, self._entries, self._places, self._place_ends):
            rows.close()

    def signatures(self, numbers: NDArray[np.int64]) -> NDArray[np.uint32]:
        """Return the signatures of some texts: (text, permutation)."""
        found: NDArray[np.uint32] = self._signatures.array[numbers]
        return found

    def place(self, number: int) -> str:
        """Return where a text stands."""
        ends = self._place_ends.array
        begin = int(ends[number - 1]) if number else 0
        return self._places.array[begin : int(ends[number])].tobytes().decode()

    def having(self, keys: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return pairs of a row of keys (row, key) and the number of a text with one of its keys, each pair once.

        They are sorted by row, then number. A key is any 32 bits: it may lead to a text that has another.
        """
        rows = np.repeat(np.arange(len(keys)), self._keys)
        wanted = keys.reshape(-1)
        entries = self._last[self._buckets(wanted)]
        found = [np.zeros(0, np.int64)]
        for _ in range(COMPARED):
            some = np.flatnonzero(entries)
            if not len(some):
                break
            rows, wanted, entries = rows[some], wanted[some], entries[some] - np.uint32(1)
            met = self._entries.array[entries]
            is_same = met["key"] == wanted
            found.append(rows[is_same] << 32 | entries[is_same] // self._keys)
            entries = met["before"]
        pairs = np.unique(np.concatenate(found))
        return pairs >> 32, pairs & (2**32 - 1)

    def add(self, signatures: NDArray[np.uint32], keys: NDArray[np.uint32], places: list[str]) -> None:
        """Give the next numbers to texts with these signatures (text, permutation), keys (text, key) and places.

        Raises OSError where the disk has no room.
        """
        if self._entries.count + keys.size >= 2**32:
            raise ValueError(f"{self._signatures.count:,} texts are in the index; it has no room for more")
        encoded = [place.encode() for place in places]
        try:
            self._signatures.append(signatures)
            self._place_ends.append(self._places.count + np.cumsum([len(each) for each in encoded], dtype=np.int64))
            self._places.append(np.frombuffer(b"".join(encoded), np.uint8))
            self._entries.append(self._linked(self._entries.count, keys.reshape(-1)))
            if self._entries.count > len(self._last):
                self._relink()
        except OSError as error:
            raise OSError(
                f"the index of near duplicates cannot be written: {error}; set TMPDIR to a folder with room"
            ) from error

    def _buckets(self, keys: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return keys & np.uint32(len(self._last) - 1)

    def _linked(self, begin: int, keys: NDArray[np.uint32]) -> NDArray[np.void]:
        """Return entries for keys, the first of which has the number `begin`, each linked to its bucket's last."""
        buckets = self._buckets(keys)
        order = np.argsort(buckets, kind="stable")
        numbers = (order + begin + 1).astype(np.uint32)
        buckets = buckets[order]
        is_first = np.diff(buckets, prepend=-1) != 0
        is_last = np.diff(buckets, append=-1) != 0
        before = np.where(is_first, self._last[buckets], np.roll(numbers, 1))
        self._last[buckets[is_last]] = numbers[is_last]
        entries = np.zeros(len(keys), _ENTRY)
        entries["key"] = keys
        entries["before"][order] = before
        return entries

    def _relink(self) -> None:
        """Spread all entries over enough buckets that a chain has about one."""
        self._last = np.zeros(1 << int(2 * self._entries.count - 1).bit_length(), np.uint32)
        for begin in range(0, self._entries.count, _RELINKED):
            keys = self._entries.array[begin : min(begin + _RELINKED, self._entries.count)]["key"]
            self._entries.write(begin, self._linked(begin, keys))


class _Rows:
    """Rows of one kind in a file: written, and so refused where the disk is full, and read as an array."""

    def __init__(self, dtype: DTypeLike, *shape: int) -> None:
        self.count = 0
        self.array: NDArray[Any] = np.zeros((0, *shape), dtype)
        self._row_bytes = np.zeros(shape, dtype).nbytes
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close

    def append(self, rows: NDArray[Any]) -> None:
        end = self.count + len(rows)
        if end > len(self.array):
            length = max(end, 2 * len(self.array))
            self._file.truncate(length * self._row_bytes)  # what is not written takes no room
            self.array = np.memmap(self._file, rows.dtype, "r", shape=(length, *rows.shape[1:]))
        self.write(self.count, rows)
        self.count = end

    def write(self, begin: int, rows: NDArray[Any]) -> None:
        self._file.seek(begin * self._row_bytes)
        self._file.write(rows.tobytes())
        self._file.flush()

    def close(self) -> None:
        self.array = self.array[:0]
        self._file.close()
