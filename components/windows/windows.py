"""Windows over the ids that `shards` has written: views of a memory map.

They slide over a split's stream and know nothing of the files: another `shard_size` gives the same windows. They start
at 0, stride, 2 stride, ... while start < ids - context_length (the book, chapter 2); each has context_length + 1 ids,
inputs and targets being all but one end.
"""

import json
from bisect import bisect_left, bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.unsignedinteger[Any]]
"""Token ids (token,): uint16, or uint32 for a vocabulary above 65,536."""

Kind = TypeVar("Kind")


class Windows:
    """The windows of one split: `len(windows)` of them, each `windows[k]` ids (context_length + 1,), read-only.

    A window within one file is a view of the memory map; one that crosses a file's end is joined (a copy).

    Raises ValueError if the folder holds no such split or its files do not fit its index.
    """

    def __init__(self, folder: Path | str, split: str) -> None:
        folder = Path(folder)
        path = folder / "index.json"
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder}: no folder of shards, its index.json cannot be read: {error}") from error
        splits = _field(index, "splits", dict, path)
        if split not in splits:
            raise ValueError(f"{folder}: no split {split!r}; it has {', '.join(splits)}")
        entry = splits[split]
        self.context_length = _field(index, "context_length", int, path)
        self.stride = _field(index, "stride", int, path)
        self.vocab_size = _field(index, "vocab_size", int, path)
        self.ids = _field(entry, "ids", int, path)
        self.size_bytes = _field(entry, "size_bytes", int, path)
        dtype = _field(index, "dtype", str, path)
        names = [_field(each, "name", str, path) for each in _field(entry, "files", list, path)]
        self.shards = [_mapped(folder / name, dtype) for name in names]
        self._ends = list(accumulate(len(shard) for shard in self.shards))
        if (found := sum(len(shard) for shard in self.shards)) != self.ids:
            raise ValueError(f"{folder}: the shards of {split} hold {found} ids; index.json counts {self.ids}")
        self._count = _field(entry, "windows", int, path)
        self._documents = folder / f"{split}-documents.npy"

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, k: int) -> Ids:
        if not 0 <= k < self._count:
            raise IndexError(f"window {k} of {self._count}")
        start = k * self.stride
        stop = start + self.context_length + 1
        parts = []
        for n in range(bisect_right(self._ends, start), bisect_left(self._ends, stop) + 1):
            begin = self._ends[n] - len(self.shards[n])
            parts.append(self.shards[n][max(start - begin, 0) : stop - begin])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """Return each document's number and the place of its first id in the stream (document, 2), memory-mapped.

        Raises ValueError if their file cannot be read.
        """
        return _mapped(self._documents, "int64", 2)

    def documents(self, k: int) -> list[tuple[int, int, int]]:
        """Return what window `k` is made of: for each document its number, and from which of its ids to before which.

        A separator counts as an id after its document's last.

        Raises ValueError if the file of the documents' places cannot be read.
        """
        if not 0 <= k < self._count:
            raise IndexError(f"window {k} of {self._count}")
        start = k * self.stride
        stop = start + self.context_length + 1
        starts = self.starts
        begins = starts[:, 1]
        found = []
        for n in range(int(np.searchsorted(begins, start, "right")) - 1, int(np.searchsorted(begins, stop, "left"))):
            number, begin = map(int, starts[n])
            end = int(begins[n + 1]) if n + 1 < len(begins) else self.ids
            found.append((number, max(start - begin, 0), min(stop, end) - begin))
        return [(number, first, last) for number, first, last in found if first < last]


def _field(values: Any, name: str, kind: type[Kind], path: Path) -> Kind:
    """Return a field of an object in index.json; ValueError if there is no object, or no such field of that kind."""
    value = values.get(name) if isinstance(values, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"{path}: {name} is {value!r}; expected {kind.__name__}; was it written by `write_index`?")
    return value


def _mapped(path: Path, dtype: str, n_dims: int = 1) -> npt.NDArray[Any]:
    try:
        ids: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: cannot be read as a shard: {error}") from error
    if ids.dtype.name != dtype or ids.ndim != n_dims:
        raise ValueError(
            f"{path}: expected {'one row' if n_dims == 1 else 'rows'} of {dtype}, got {ids.dtype} of shape {ids.shape}"
        )
    return ids
