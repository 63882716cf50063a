"""Token ids on disk: a split is one stream of them, cut into files of `shard_size`; `windows` reads them."""

import hashlib
import io
import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.unsignedinteger[Any]]
"""Token ids (token,): uint16, or uint32 for a vocabulary above 65,536."""

Documents = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.integer[Any]]]
"""Some documents: the number of each and how many ids it has (document,), and the ids of all end to end (token,)."""


@dataclass(frozen=True)
class ShardSettings:
    """How ids become windows."""

    context_length: int
    """Ids that the model reads at once; 1 or more."""
    stride: int
    """Step between window starts, ids; 1..context_length, so that every id is read."""
    separator: Literal["end_of_text", "none"]
    """What follows each document: the end-of-text id, or nothing (the book's way, for a corpus of one document)."""
    shard_size: int
    """Ids in one file, held in memory while it is written; 1 or more. The windows do not depend on it."""

    def __post_init__(self) -> None:
        for name in ("context_length", "shard_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 1 or more")
        if not 1 <= self.stride <= self.context_length:
            raise ValueError(f"stride is {self.stride}; expected 1..{self.context_length} (context_length)")


@dataclass(frozen=True)
class Shard:
    """A file of a split."""

    name: str
    """Its name in the folder."""
    ids: int
    """Ids in it."""
    sha256: str
    """Of the whole file, in hexadecimal."""


@dataclass(frozen=True)
class Split:
    """What was written of one split."""

    split: str
    """Its name: "train" or "validation"."""
    documents: int
    """Documents in it."""
    ids: int
    """Ids in it, separators included."""
    size_bytes: int
    """UTF-8 bytes of its text."""
    files: tuple[Shard, ...]
    """Its shards, in order."""


def document(number: int, ids: npt.NDArray[np.integer[Any]]) -> Documents:
    """Return a single document as `write` takes them."""
    return np.array([number]), np.array([len(ids)]), ids


def write(
    documents: Iterable[Documents],
    folder: Path,
    split: str,
    *,
    end_of_text: int | None,
    vocab_size: int,
    shard_size: int,
    size_bytes: int,
) -> Split:
    """Write a split's ids as `{split}-00000.npy`, ... and return what was written, for `write_index`.

    `documents` come in the order of the stream, some at a time; `end_of_text` follows each, unless it is None.
    `{split}-documents.npy` says where they begin: int64 (document, 2), each document's number and its first id's place.
    `size_bytes` is the length of the split's text in UTF-8; the index carries it. Memory holds one shard.

    Raises ValueError for an id outside 0..vocab_size - 1, naming the document.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starts = [np.empty((0, 2), np.int64)]
    files: list[Shard] = []
    for n, ids in enumerate(_cut(_stream(documents, starts, end_of_text, vocab_size), shard_size)):
        name = f"{split}-{n:05d}.npy"
        files.append(Shard(name, len(ids), _save(folder / name, ids)))
    return write_starts(folder, split, np.concatenate(starts), files, size_bytes)


def plan(
    counts: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]], *, has_separator: bool, shard_size: int
) -> tuple[npt.NDArray[np.int64], list[tuple[int, int]]]:
    """Return where a split's documents begin, as `write` has it, and where its shards do: what writes each alone.

    `counts` are the numbers of documents and how many ids each has, some at a time; a shard begins in one of these
    parts, so many ids after that part's first, separators included.

    >>> parts = [(np.array([0, 1]), np.array([3, 2])), (np.array([2]), np.array([4]))]
    >>> plan(parts, has_separator=True, shard_size=5)[1]
    [(0, 0), (0, 5), (1, 3)]
    """
    starts = [np.empty((0, 2), np.int64)]
    begins: list[int] = []
    position = 0
    for numbers, its_counts in counts:
        ends = position + np.cumsum(its_counts + has_separator)
        starts.append(np.stack([numbers, ends - its_counts - has_separator], axis=1))
        begins.append(position)
        position = int(ends[-1]) if len(ends) else position
    cuts = range(0, position, shard_size)
    parts = [bisect_right(begins, cut) - 1 for cut in cuts]
    return np.concatenate(starts), [(part, cut - begins[part]) for part, cut in zip(parts, cuts, strict=True)]


def write_shard(
    documents: Iterable[Documents],
    folder: Path,
    split: str,
    n: int,
    *,
    skip: int,
    end_of_text: int | None,
    vocab_size: int,
    shard_size: int,
) -> Shard:
    """Write shard `n` of a split alone, the same file as `write` does; `documents` begin `skip` ids before it.

    Raises ValueError for an id outside 0..vocab_size - 1, naming the document.
    """
    stream = _stream(documents, [], end_of_text, vocab_size)
    first = next(stream)[skip:]
    ids = next(_cut(chain([first], stream), shard_size))
    name = f"{split}-{n:05d}.npy"
    return Shard(name, len(ids), _save(folder / name, ids))


def write_starts(
    folder: Path, split: str, starts: npt.NDArray[np.int64], files: Iterable[Shard], size_bytes: int
) -> Split:
    """Write `{split}-documents.npy`, the starts of `plan`, beside the shards; return what `write_index` takes."""
    _save(folder / f"{split}-documents.npy", starts)
    files = tuple(files)
    return Split(split, len(starts), sum(each.ids for each in files), size_bytes, files)


def window_count(ids: int, context_length: int, stride: int) -> int:
    """Return the number of windows in a stream of so many ids.

    >>> window_count(10, context_length=4, stride=4)
    2
    """
    return len(range(0, ids - context_length, stride))


def write_index(folder: Path, splits: Iterable[Split], *, context_length: int, stride: int, vocab_size: int) -> None:
    """Write `index.json`: the shape of the windows, the vocabulary, and what each split holds and in which files.

    Raises ValueError if a split has no window: fewer than context_length + 1 ids.
    """
    entries: dict[str, dict[str, Any]] = {}
    for split in splits:
        if split.ids <= context_length:
            raise ValueError(
                f"{split.split}: {split.ids} ids are too few for one window of context_length + 1 = "
                f"{context_length + 1}; add text or lower context_length"
            )
        entry = asdict(split) | {"windows": window_count(split.ids, context_length, stride)}
        entries[entry.pop("split")] = entry
    index = {
        "context_length": context_length,
        "stride": stride,
        "vocab_size": vocab_size,
        "dtype": id_type(vocab_size).name,
        "splits": entries,
    }
    text = json.dumps(index, indent=2) + "\n"
    with _whole(folder / "index.json") as file:
        file.write(text.encode("utf-8"))


def id_type(vocab_size: int) -> np.dtype[np.unsignedinteger[Any]]:
    """Return the type that ids are stored in: two bytes wherever the vocabulary lets them, little-endian."""
    return np.dtype("<u2" if vocab_size <= 2**16 else "<u4")


def _stream(
    documents: Iterable[Documents], starts: list[npt.NDArray[np.int64]], end_of_text: int | None, vocab_size: int
) -> Iterator[Ids]:
    """Yield the documents' ids and separators, checked and in the stored type; add to `starts` where each begins."""
    if end_of_text is not None and not 0 <= end_of_text < vocab_size:
        raise ValueError(f"end_of_text is {end_of_text}; expected an id of the vocabulary, 0..{vocab_size - 1}")
    position = 0
    for numbers, counts, ids in documents:
        ends = np.cumsum(counts)
        if len(ids) and (ids.min() < 0 or ids.max() >= vocab_size):
            n = np.searchsorted(ends, np.flatnonzero((ids < 0) | (ids >= vocab_size))[0], "right")
            its = ids[ends[n] - counts[n] : ends[n]]
            raise ValueError(
                f"document {numbers[n]} has ids {its.min()}..{its.max()}; "
                f"the vocabulary of {vocab_size} tokens has 0..{vocab_size - 1}"
            )
        its_ids: Ids = ids.astype(id_type(vocab_size), copy=False)
        if end_of_text is not None:
            its_ids = np.insert(its_ids, ends, end_of_text)
            counts = counts + 1
        starts.append(np.stack([numbers, position + np.cumsum(counts) - counts], axis=1))
        position += len(its_ids)
        yield its_ids


def _cut(pieces: Iterable[Ids], size: int) -> Iterator[Ids]:
    """Yield the joined pieces in arrays of `size` ids; the last may be shorter; each is lost when the next is made."""
    held: list[Ids] = []
    room = size
    joined: Ids | None = None  # once: memory that is asked for anew is slow to come
    for piece in pieces:
        while len(piece) >= room:
            joined = np.concatenate([*held, piece[:room]], out=joined)
            yield joined
            held, piece, room = [], piece[room:], size
        held.append(piece)
        room -= len(piece)
    if room < size:
        yield np.concatenate(held)


def _save(path: Path, array: npt.NDArray[Any]) -> str:
    """Write an array as .npy and return the file's hash."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    content = array.reshape(-1).view(np.uint8).data
    digest = hashlib.sha256(header.getvalue())
    digest.update(content)
    with _whole(path) as file:  # not by np.save, which copies
        file.write(header.getvalue())
        file.write(content)
    return digest.hexdigest()


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to be written under a temporary name and renamed, so that it appears whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
