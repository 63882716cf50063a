"""What reading has found, laid by on disk in its order: a corpus that is wanted twice is read and sifted once."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from components.corpus.documents import Document
from components.corpus.texts import Refused

_AT_ONCE = 1024
_AT_ONCE_CHARACTERS = 2**22
"""Documents and refusals, and characters of these, after which what is held is written; a longer text is too."""

_WORDS = ("kind", "place", "reason", "source", "split", "encoding")
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in _WORDS]
    + [("index", pa.int64()), ("begin", pa.int64()), ("text", pa.large_string())]
)
"""A document has no kind and no reason, a refusal these and its place alone."""


def keep(found: Iterable[Document | Refused], path: Path) -> Iterator[Document | Refused]:
    """Pass on what is found; when all of it was asked for the file has it, and before there is none.

    Memory holds four million characters, or the longest text. The file is an Arrow stream, packed.

    Raises OSError where the disk has no room.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            with pa.ipc.new_stream(file, _SCHEMA, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
                held: list[Document | Refused] = []
                size = 0
                for each in found:
                    held.append(each)
                    size += len(each.text) if isinstance(each, Document) else 0
                    if size >= _AT_ONCE_CHARACTERS or len(held) >= _AT_ONCE:
                        writer.write_batch(_batch(held))
                        held, size = [], 0
                    yield each
                writer.write_batch(_batch(held))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path, on_read: Callable[[int], object]) -> Iterator[Document | Refused]:
    """Yield what was kept, in order; `on_read` is told how many bytes of the file were read, each time some were.

    A refusal is one of its kind, without what a subclass knows besides.
    """
    with path.open("rb") as file, pa.ipc.open_stream(file) as reader:
        before = 0
        for batch in reader:
            on_read(file.tell() - before)
            before = file.tell()
            for row in batch.to_pylist():
                kind, reason = row.pop("kind"), row.pop("reason")
                yield Document(**row) if kind is None else Refused(row["place"], reason, kind=kind)


def _batch(held: list[Document | Refused]) -> pa.RecordBatch:
    rows = [
        asdict(each) if isinstance(each, Document) else {"place": each.place, "reason": each.reason, "kind": each.kind}
        for each in held
    ]
    return pa.RecordBatch.from_pylist(rows, _SCHEMA)
