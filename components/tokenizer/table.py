"""The table of tokenized documents: a row per document in a folder of Parquet files, the same bytes whatever wrote it.

The files are 00000.parquet, 00001.parquet, ... in order. Each appears whole; a writer that was stopped goes on there.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_ROW_GROUP_IDS = 2**20
"""Ids after which a row group is full: what is held in memory, 2 to 4 MB; a longer document is a group of its own."""
_FILE_IDS = 2**25
"""Ids after which a file is full: 64 to 128 MB before it is packed; what a writer that is stopped has to do again."""
_STORED = {
    "compression": "zstd",
    "use_dictionary": ["source", "split"],
    "column_encoding": {"ids.list.element": "BYTE_STREAM_SPLIT"},
}
"""How columns are stored: ids as all their low bytes, then all their high bytes, which is smaller and faster."""
_PARTIAL = ".partial"
_SCALARS = ["document", "source", "split", "place", "begin", "size_bytes", "characters", "replacements"]
_COLUMNS = [*_SCALARS, "count", "ids"]

Ids = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
"""Of some documents: the number of each and how many ids it has (document,), the ids of all end to end (token,)."""


@dataclass(frozen=True, eq=False)
class Row:
    """One document's ids, and what they were made from."""

    document: int
    """Number of the document in the corpus, from 0."""
    source: str
    """Where the text came from, such as a file or a module."""
    split: str
    """"train" or "validation"."""
    place: str
    """Where its text stands, such as a line of a file."""
    begin: int
    """UTF-8 bytes of that text before the document."""
    size_bytes: int
    """UTF-8 bytes of the document, for bits per byte."""
    characters: int
    """Unicode characters of the document, of which a split by position has its share."""
    ids: npt.NDArray[np.integer[Any]]
    """The document's ids, (token,); may be empty."""
    replacements: int = 0
    """Characters U+FFFD in the document: each stands where text could not be decoded."""

    @property
    def count(self) -> int:
        """Return the number of ids."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Group:
    """Some documents' ids, end to end."""

    documents: list[int]
    """The number of each in the corpus."""
    places: list[str]
    """Where the text of each stands."""
    size_bytes: int
    """UTF-8 bytes of all."""
    ids: npt.NDArray[Any]
    """The ids of all (token,)."""
    offsets: npt.NDArray[Any]
    """Where those of each begin and end (document + 1,)."""


def write(rows: Iterable[Row], folder: Path, vocab_size: int) -> None:
    """Write the rows as Parquet files after those that the folder has already.

    Columns: document, source, split, place, begin, count, size_bytes, characters, replacements, ids (uint16, or uint32
    above 65,536 tokens).
    Equal rows give equal bytes (with one version of pyarrow), also where a writer was stopped and another goes on with
    row `count(folder)`. Memory holds a row group, never the corpus.

    Raises ValueError for an id outside 0..vocab_size - 1, naming the document; the files that were full stay.
    """
    schema = _schema(vocab_size)
    folder.mkdir(parents=True, exist_ok=True)
    number = len(_files(folder))
    partial = folder / _PARTIAL
    partial.unlink(missing_ok=True)
    groups = _grouped(rows)
    while (group := next(groups, None)) or number == 0:
        ids = 0
        try:
            with pq.ParquetWriter(partial, schema, **_STORED) as writer:
                while group:
                    writer.write_table(_table(group, schema, vocab_size), row_group_size=len(group))
                    ids += sum(row.count for row in group)
                    group = next(groups, None) if ids < _FILE_IDS else None
            _sync(partial)
            partial.rename(folder / f"{number:05d}.parquet")
            _sync(folder)
        finally:
            partial.unlink(missing_ok=True)
        number += 1


def count(folder: Path) -> int:
    """Return the number of rows in a folder that is there or not.

    Raises ValueError if one of its files is no table of tokens.
    """
    return sum(_opened(path).metadata.num_rows for path in _files(folder))


def read(folder: Path, split: str | None = None) -> Iterator[Row]:
    """Yield the rows of a table in order, of one split or of all; ids are read-only views in the stored type.

    Raises ValueError if the folder holds no table of tokens.
    """
    for _, group in row_groups(folder, _COLUMNS):
        yield from (row for row in rows(group) if split in (None, row.split))


def rows(group: pa.Table) -> Iterator[Row]:
    """Yield the rows of a row group with all its columns; ids are read-only views."""
    offsets, its_ids = lists(group)
    for n, facts in enumerate(group.select(_SCALARS).to_pylist()):
        yield Row(ids=its_ids[offsets[n] : offsets[n + 1]], **facts)


def groups(folder: Path, split: str) -> Iterator[Group]:
    """Yield the documents of a split, those of a row group together, in order; ids are in the stored type."""
    for _, group in row_groups(folder, ["split", "document", "place", "size_bytes", "ids"]):
        if len(its := group.filter(pc.equal(group["split"], split))):
            offsets, its_ids = lists(its)
            size_bytes = int(its["size_bytes"].to_numpy().sum())
            yield Group(its["document"].to_pylist(), its["place"].to_pylist(), size_bytes, its_ids, offsets)


def counts(folder: Path, split: str) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield for each row group the numbers of a split's documents in it, and how many ids each has (document,)."""
    for _, group in row_groups(folder, ["document", "split", "count"]):
        its = group.filter(pc.equal(group["split"], split))
        yield its["document"].to_numpy(), its["count"].to_numpy()


def ids(folder: Path, split: str, first: int = 0) -> Iterator[Ids]:
    """Yield the ids of a split, a row group at a time, from the row group `first` on."""
    for _, group in row_groups(folder, ["document", "split", "ids"], first):
        if split in pc.unique(group["split"]).to_pylist():
            yield _of(group, split)


def ids_by_split(folder: Path) -> Iterator[tuple[str, Ids]]:
    """Yield the splits of each row group, in alphabetical order, each with its ids."""
    for _, group in row_groups(folder, ["document", "split", "ids"]):
        for split in sorted(pc.unique(group["split"]).to_pylist()):
            yield split, _of(group, split)


def find(folder: Path, document: int) -> Row:
    """Return the row of a document.

    Raises ValueError where the table has no such document.
    """
    found = pq.read_table(_files(folder), filters=pc.field("document") == document) if count(folder) else pa.table({})
    if len(found) != 1:
        raise ValueError(f"{folder}: no document {document} among {count(folder)}; what was left out keeps its number")
    (facts,) = found.select(_SCALARS).to_pylist()
    return Row(ids=lists(found)[1], **facts)


def sources(folder: Path, split: str) -> set[str]:
    """Return the sources of a split's documents."""
    found: set[str] = set()
    for _, group in row_groups(folder, ["source", "split"]):
        found.update(group.filter(pc.equal(group["split"], split))["source"].to_pylist())
    return found


def sizes(folder: Path) -> pd.DataFrame:
    """Return for each split (the index) how many documents, ids (count) and UTF-8 bytes (size_bytes) it has."""
    sums = [("count", "count"), ("count", "sum"), ("size_bytes", "sum")]
    groups = row_groups(folder, ["split", "count", "size_bytes"])
    parts = [group.group_by("split").aggregate(sums) for _, group in groups]
    columns = {"count_count": "documents", "count_sum": "count", "size_bytes_sum": "size_bytes"}
    frame = pa.concat_tables(parts).to_pandas() if parts else pd.DataFrame(columns=["split", *columns])
    return frame.rename(columns=columns).groupby("split", sort=False).sum()


def row_groups(folder: Path, columns: list[str] | None = None, first: int = 0) -> Iterator[tuple[str, pa.Table]]:
    """Yield each row group from `first` on, all or some of its columns, with its name: "00000.parquet group 1".

    Groups without rows are left out and do not count. Another thread reads the next one meanwhile. Raises ValueError if
    the folder holds no table of tokens.
    """
    files = _files(folder)
    if not files:
        raise ValueError(f"{folder}: no table of tokens; expected a folder with 00000.parquet")
    with ThreadPoolExecutor(1) as other:
        groups = _read(files, columns, first)
        coming = other.submit(next, groups, None)
        while (group := coming.result()) is not None:
            coming = other.submit(next, groups, None)
            yield group


def lists(group: pa.Table) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return where each row's ids begin and end (row + 1,), and the ids of all end to end (token,)."""
    its = group["ids"].combine_chunks()
    offsets = its.offsets.to_numpy()
    return offsets - offsets[0], its.flatten().to_numpy()


def columns(vocab_size: int) -> str:
    """Return the columns that a table has, as `described` tells them."""
    return described(_schema(vocab_size))


def described(schema: pa.Schema) -> str:
    """Return columns and their types in one line.

    >>> described(pa.schema([pa.field("count", pa.int64(), nullable=False)]))
    'count int64 not null'
    """
    return ", ".join(f"{each.name} {each.type}{'' if each.nullable else ' not null'}" for each in schema)


def _of(group: pa.Table, split: str) -> Ids:
    is_in = pc.equal(group["split"], split).to_numpy()
    offsets, its_ids = lists(group)
    edges = np.flatnonzero(np.diff(is_in, prepend=False, append=False))  # where runs of its documents begin and end
    runs = [its_ids[begin:end] for begin, end in offsets[edges].reshape(-1, 2).tolist()]
    return group["document"].to_numpy()[is_in], np.diff(offsets)[is_in], np.concatenate([its_ids[:0], *runs])


def _schema(vocab_size: int) -> pa.Schema:
    """Return the columns; ids take two bytes wherever the vocabulary lets them."""
    id_type = pa.uint16() if vocab_size <= 2**16 else pa.uint32()
    columns = {
        "document": pa.int64(),
        "source": pa.string(),
        "split": pa.string(),
        "place": pa.string(),
        "begin": pa.int64(),
        "count": pa.int64(),
        "size_bytes": pa.int64(),
        "characters": pa.int64(),
        "replacements": pa.int64(),
        "ids": pa.list_(pa.field("element", id_type, nullable=False)),
    }
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in columns.items()])


def _grouped(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the rows in groups whose borders depend on the rows alone; a row counts one id more, for empty ones."""
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += row.count + 1
        if size >= _ROW_GROUP_IDS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _table(rows: list[Row], schema: pa.Schema, vocab_size: int) -> pa.Table:
    list_type = schema.field("ids").type
    offsets = np.cumsum([0, *(row.count for row in rows)], dtype=np.int32)
    ids = np.concatenate([row.ids for row in rows])
    if len(ids) and (ids.min() < 0 or ids.max() >= vocab_size):
        row = next(row for row in rows if row.count and (row.ids.min() < 0 or row.ids.max() >= vocab_size))
        raise ValueError(
            f"document {row.document} ({row.source}) has ids {row.ids.min()}..{row.ids.max()}; "
            f"the vocabulary of {vocab_size} tokens has 0..{vocab_size - 1}"
        )
    stored = ids.astype(list_type.value_type.to_pandas_dtype(), copy=False)
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in list(schema)[:-1]]
    return pa.Table.from_arrays([*columns, pa.ListArray.from_arrays(offsets, stored, type=list_type)], schema=schema)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.parquet"))


def _read(files: Iterable[Path], columns: list[str] | None, first: int) -> Iterator[tuple[str, pa.Table]]:
    for path in files:
        with _opened(path) as file:
            filled = [n for n in range(file.num_row_groups) if file.metadata.row_group(n).num_rows]
            for n in filled[first:]:
                yield f"{path.name} group {n + 1}", file.read_row_group(n, columns=columns)
            first = max(first - len(filled), 0)


def _opened(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path}: cannot be read as Parquet: {error}") from error
    if missing := [name for name in _COLUMNS if name not in file.schema_arrow.names]:
        raise ValueError(f"{path}: no table of tokens; it lacks the columns {', '.join(missing)}")
    return file


def _sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
