"""The table of tokenized documents: one Parquet row per document, the same bytes whatever wrote it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

_ROW_GROUP_IDS = 2**20
"""Ids after which a row group is full: what is held in memory, 2 to 4 MB; a longer document is a group of its own."""


@dataclass(frozen=True, eq=False)
class Row:
    """One document's ids, and what they were made from."""

    document: int
    """Number of the document in the corpus, from 0."""
    source: str
    """Where the text came from, such as a file or a module."""
    split: str
    """"train" or "validation"."""
    size_bytes: int
    """UTF-8 bytes of the text, for bits per byte."""
    ids: npt.NDArray[np.integer[Any]]
    """The document's ids, (token,); may be empty."""

    @property
    def count(self) -> int:
        """Return the number of ids."""
        return len(self.ids)

    @classmethod
    def of(cls, *, document: int, source: str, split: str, text: str, ids: Sequence[int]) -> Self:
        """Return the row of a text and its ids."""
        return cls(document, source, split, len(text.encode("utf-8")), np.array(ids, dtype=np.int64))


def write(rows: Iterable[Row], path: Path, vocab_size: int) -> int:
    """Write the rows as Parquet, whole or not at all, and return how many.

    Columns: document, source, split, count, size_bytes, ids (a list of uint16, or of uint32 above 65,536 tokens).
    Equal rows give equal bytes (with one version of pyarrow). Memory holds a row group, never the corpus.

    Raises ValueError for an id outside 0..vocab_size - 1, naming the document.
    """
    schema = _schema(vocab_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    written = 0
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for group in _grouped(rows):
                writer.write_table(_table(group, schema, vocab_size), row_group_size=len(group))
                written += len(group)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return written


def read(path: Path, split: str | None = None) -> Iterator[Row]:
    """Yield the rows of a table in order, of one split or of all; ids are read-only views in the stored type.

    Raises ValueError if the file is no table of tokens.
    """
    for group in _row_groups(path):
        lists = group["ids"].combine_chunks()
        offsets, ids = lists.offsets.to_numpy(), lists.values.to_numpy()
        scalars = zip(*(group[name].to_pylist() for name in ("document", "source", "split", "size_bytes")), strict=True)
        for n, (document, source, its_split, size_bytes) in enumerate(scalars):
            if split in (None, its_split):
                yield Row(document, source, its_split, size_bytes, ids[offsets[n] : offsets[n + 1]])


def summary(path: Path) -> pd.DataFrame:
    """Return one row of scalars per document: document, source, split, count, min_id, max_id, size_bytes.

    `min_id` and `max_id` are NA where a document has no ids. For data checks, which misjudge lists.
    """
    columns = ["document", "source", "split", "count", "min_id", "max_id", "size_bytes"]
    frame = pd.DataFrame.from_records([_scalars(row) for row in read(path)], columns=columns)
    return frame.astype({"min_id": "Int64", "max_id": "Int64"})


def _scalars(row: Row) -> tuple[int, str, str, int, int | None, int | None, int]:
    low, high = (int(row.ids.min()), int(row.ids.max())) if row.count else (None, None)
    return row.document, row.source, row.split, row.count, low, high, row.size_bytes


def _schema(vocab_size: int) -> pa.Schema:
    """Return the columns; ids take two bytes wherever the vocabulary lets them."""
    id_type = pa.uint16() if vocab_size <= 2**16 else pa.uint32()
    columns = {
        "document": pa.int64(),
        "source": pa.string(),
        "split": pa.string(),
        "count": pa.int64(),
        "size_bytes": pa.int64(),
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
    for row in rows:
        if row.count and (row.ids.min() < 0 or row.ids.max() >= vocab_size):
            raise ValueError(
                f"document {row.document} ({row.source}) has ids {row.ids.min()}..{row.ids.max()}; "
                f"the vocabulary of {vocab_size} tokens has 0..{vocab_size - 1}"
            )
    list_type = schema.field("ids").type
    offsets = np.cumsum([0, *(row.count for row in rows)], dtype=np.int32)
    ids = np.concatenate([row.ids for row in rows]).astype(list_type.value_type.to_pandas_dtype())
    columns = [
        pa.array([row.document for row in rows], pa.int64()),
        pa.array([row.source for row in rows], pa.string()),
        pa.array([row.split for row in rows], pa.string()),
        pa.array([row.count for row in rows], pa.int64()),
        pa.array([row.size_bytes for row in rows], pa.int64()),
        pa.ListArray.from_arrays(offsets, ids, type=list_type),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _row_groups(path: Path) -> Iterator[pa.Table]:
    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"{path}: cannot be read as Parquet: {error}") from error
    with file:
        if missing := [name for name in _schema(0).names if name not in file.schema_arrow.names]:
            raise ValueError(f"{path}: no table of tokens; it lacks the columns {', '.join(missing)}")
        for n in range(file.num_row_groups):
            yield file.read_row_group(n)
