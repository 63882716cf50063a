"""What comes out of packed files, up to a limit; nothing is unpacked to disk."""

import gzip
import io
import os
from typing import Any

import pyarrow as pa

from components.corpus.texts import ReadingSettings


def content(opened: io.BufferedReader, packing: str, settings: ReadingSettings) -> io.BufferedReader:
    """Return a file's bytes, unpacked if its ending says that it is packed: `.gz` or `.zst`, or empty."""
    if not packing:
        return opened
    packed = gzip.GzipFile(fileobj=opened) if packing == ".gz" else pa.CompressedInputStream(opened, "zstd")
    return unpacked(packed, os.fstat(opened.fileno()).st_size, settings)


def unpacked(packed: Any, packed_bytes: int, settings: ReadingSettings) -> io.BufferedReader:
    """Return what comes out of a packed stream; reading more than `most_unpacked_bytes` raises ValueError."""
    return io.BufferedReader(_Unpacked(packed, packed_bytes, settings.most_unpacked_bytes))


class _Unpacked(io.RawIOBase):
    """What comes out of a packed stream, up to a limit. A short read is passed on: bytes before damage are not lost."""

    def __init__(self, packed: Any, packed_bytes: int, most_bytes: int) -> None:
        self._packed = packed
        self._packed_bytes = packed_bytes
        self._most_bytes = most_bytes
        self._bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._packed.read1(len(buffer))
        self._bytes += len(content)
        if self._bytes > self._most_bytes:
            raise ValueError(
                f"{self._packed_bytes:,} packed bytes become more than {self._most_bytes:,}, which is "
                f"most_unpacked_bytes"
            )
        buffer[: len(content)] = content
        return len(content)
