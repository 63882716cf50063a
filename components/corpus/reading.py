"""Text of any usual kind, read a document at a time; what cannot be read comes as a refusal that names its place."""

import errno
import gzip
import io
import itertools
import json
import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from components.corpus.encoding import decoded, utf8

_KINDS = (".txt", ".md", ".jsonl", ".parquet")
_PACKINGS = (".gz", ".zst")
_ARCHIVE = ".zip"

_EXPECTED = "expected .txt, .md, .jsonl or .parquet, as it is, packed as .gz or .zst, or in a .zip"
_UNREADABLE = (
    *(ValueError, NotImplementedError, EOFError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException),
)
"""What a damaged file makes its readers raise, ValueError us too; and OSError, where it is not the system's."""
_GUTENBERG_START = re.compile(r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]*\*\*\*", re.M | re.I)
_GUTENBERG_END = re.compile(
    r"^(?:End of (?:the )?Project Gutenberg[^*]*)?\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG", re.M | re.I
)
_ROWS = 64
"""Rows of a Parquet file that are unpacked at once; a text that stands in many rows is stored once and may be large."""
_BUFFER_BYTES = 2**20
"""How much is read at once of a row group, and of a line that is too long, to be dropped."""
_ROWS_WRITTEN = 4096
"""Refusals that are written at once."""


@dataclass(frozen=True)
class ReadingSettings:
    """How files are read as documents."""

    text_field: str
    """Name of the text in a line of .jsonl, and of its column in .parquet."""
    source_field: str | None
    """Name of the field or column that says where a text comes from; None: the file's name without its endings."""
    gutenberg: bool
    """Leave out Project Gutenberg's header and footer, with the `*** START OF` and `*** END OF` lines."""
    most_unpacked_bytes: int
    """Bytes that one packed file, archive or Parquet row group may unpack to; what is beyond is refused."""
    most_line_bytes: int
    """Bytes that a line of .jsonl, or a text in .parquet, may have; a longer one is refused."""

    def __post_init__(self) -> None:
        for name in ("most_unpacked_bytes", "most_line_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least 1")


@dataclass(frozen=True, slots=True)
class Text:
    """A document as it was found."""

    source: str
    """Where it comes from: what its line or row says, or its file's name without endings."""
    text: str
    """Never blank, without a byte order mark; line ends are line feeds, except a carriage return that stands alone."""
    place: str
    """Where it stands: file, member of an archive, line or row, such as `news.jsonl.gz line 7`; both count from 1."""
    encoding: str = "utf-8"
    """What it was decoded from, as Python calls it."""
    begin: int = 0
    """UTF-8 bytes of what stands there before the text; 0 unless it was cut."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is left out."""

    place: str
    """Where it stands, as in Text; a file or member alone where none, or no more, of it could be read."""
    reason: str
    """What was expected, what came."""


def read(
    where: Path | Iterable[Path], settings: ReadingSettings, on_read: Callable[[int], object] | None = None
) -> Iterator[Text | Refused]:
    """Yield every document of a folder's files, or of the files given, sorted by path, and what is refused between.

    A .txt or .md file is a document, and so is a line of .jsonl or a row of .parquet; each file may be packed as .gz or
    .zst, or stand in a .zip. Nothing is unpacked to disk. Memory holds a document, or 64 rows of Parquet, or all of a
    Parquet file that is packed once more. Files named with a dot first are left out, links to folders not followed.
    `on_read` is told how many bytes were read of a file, each time some were; `size_bytes` is their sum,
    but for Parquet of which some columns are read, and for files that are refused.

    .jsonl and .parquet are UTF-8 (RFC 8259, section 8.1). A .txt or .md that is not is decoded from another encoding
    where that is certain: it has a byte order mark, declares it, or no other reading is nearly as likely.

    Raises ValueError where there is no file, and, at the end, where nothing could be read. An OSError of the system (a
    failing disk, a missing right) is passed on: it says nothing about the text.
    """
    first: Refused | None = None
    refused = 0
    is_readable = False
    for place, file in _files(where):
        for found in _or_empty(place, _told(place, _file(file, place, settings, on_read))):
            if isinstance(found, Text):
                is_readable = True
            else:
                first = first or found
                refused += 1
            yield found
    shown = where if isinstance(where, Path) else "the files given"
    if first is None and not is_readable:
        raise ValueError(f"{shown}: the corpus is empty; {_EXPECTED}")
    if first is not None and not is_readable:
        raise ValueError(f"{shown}: nothing can be read; {refused} refused, first {first.place}: {first.reason}")


def size_bytes(where: Path | Iterable[Path]) -> int:
    """Return the size of the files that `read` would read, as they lie on disk."""
    return sum(file.stat().st_size for _, file in _files(where) if file.is_file())


@contextmanager
def quarantine(path: Path) -> Iterator[Callable[[Refused], None]]:
    """Yield what adds a refusal to a Parquet file with the columns place and reason; there may be none."""
    schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("place", "reason")])
    held: list[dict[str, str]] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(held, schema))
            held.clear()

        def add(refused: Refused) -> None:
            held.append({"place": refused.place, "reason": refused.reason})
            if len(held) == _ROWS_WRITTEN:
                flush()

        yield add
        flush()


def _files(where: Path | Iterable[Path]) -> list[tuple[str, Path]]:
    """Return each file and what it is called, sorted by path."""
    if not isinstance(where, Path):
        return [(_printable(file.as_posix()), file) for file in sorted(where)]
    if not where.is_dir():
        raise ValueError(f"{where}: no such folder; expected one with text files")
    found: list[Path] = []
    for folder, folders, files in os.walk(where, onerror=_raise):
        links = [name for name in folders if Path(folder, name).is_symlink()]
        found += [Path(folder, name) for name in files + links if not name.startswith(".")]
    return [(_printable(file.relative_to(where).as_posix()), file) for file in sorted(found)]


def _raise(error: OSError) -> None:
    raise error


def _printable(name: str) -> str:
    """Return a name without the halves of surrogates that stand for bytes that are not UTF-8."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _told(place: str, found: Iterator[Text | Refused]) -> Iterator[Text | Refused]:
    """Pass on what is found; what ends it before its time becomes a refusal."""
    last = ""
    try:
        for each in found:
            last = each.place
            yield each
    except (*_UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # EINVAL: a zip that leads before 0
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        yield Refused(place, f"{reason}; nothing is read after {last}" if last else reason)


def _or_empty(place: str, found: Iterator[Text | Refused]) -> Iterator[Text | Refused]:
    first = next(found, None)
    yield first or Refused(place, "no text in it")
    yield from found


class _Counted(io.FileIO):
    """A file that tells how many bytes are read of it."""

    def __init__(self, path: Path, on_read: Callable[[int], object] | None) -> None:
        super().__init__(path)
        self._on_read = on_read

    def readinto(self, buffer: Any) -> int | None:
        count = super().readinto(buffer)
        self._tell(count or 0)
        return count

    def readall(self) -> bytes:
        content = super().readall()
        self._tell(len(content))
        return content

    def _tell(self, count: int) -> None:
        if self._on_read is not None:
            self._on_read(count)


def _file(
    file: Path, place: str, settings: ReadingSettings, on_read: Callable[[int], object] | None
) -> Iterator[Text | Refused]:
    stem, kind, packing = _kind(place)
    if file.is_dir():
        raise ValueError("a link to a folder, which may lead in a circle; expected the folder itself")
    if not file.is_file():
        raise ValueError("no file; expected one, or a link to one")
    is_archive = kind == _ARCHIVE and not packing
    if kind not in _KINDS and not is_archive:
        raise ValueError(f"of no kind that is read; {_EXPECTED}")
    with cast(io.BufferedReader, io.BufferedReader(_Counted(file, on_read), _BUFFER_BYTES)) as opened:
        if is_archive:
            yield from _members(opened, place, settings)
        else:
            with _content(opened, packing, settings) as stream:
                yield from _documents(stream, place, stem, kind, settings)


def _kind(name: str) -> tuple[str, str, str]:
    """Return a file's name without its endings, and these.

    >>> _kind("old/news.2024.jsonl.gz")
    ('news.2024', '.jsonl', '.gz')
    """
    path = PurePosixPath(name)
    packing = path.suffix.lower() if path.suffix.lower() in _PACKINGS else ""
    inner = PurePosixPath(path.stem) if packing else path
    return inner.stem, inner.suffix.lower(), packing


def _members(opened: io.BufferedReader, place: str, settings: ReadingSettings) -> Iterator[Text | Refused]:
    with zipfile.ZipFile(opened) as archive:
        every = sorted(archive.infolist(), key=lambda each: each.filename)
        members = [each for each in every if not each.filename.endswith("/") and not _is_hidden(each.filename)]
        size = sum(each.file_size for each in members)  # zipfile reads no more of a member than it announces
        if size > settings.most_unpacked_bytes:
            raise ValueError(f"{size:,} bytes unpacked; most_unpacked_bytes is {settings.most_unpacked_bytes:,}")
        for member in members:
            its = f"{place} member {member.filename}"
            yield from _or_empty(its, _told(its, _member(archive, member, its, settings)))


def _is_hidden(name: str) -> bool:
    return PurePosixPath(name.replace("\\", "/")).name.startswith(".")


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: str, settings: ReadingSettings
) -> Iterator[Text | Refused]:
    path = PurePosixPath(member.filename)
    stem, kind, packing = _kind(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        raise ValueError("its name leads out of the archive; expected a relative path without ..")
    if packing or kind == _ARCHIVE:
        raise ValueError("packed inside an archive; expected it as it is")
    if kind not in _KINDS:
        raise ValueError(f"of no kind that is read; expected {', '.join(_KINDS)}")
    if member.flag_bits & 1:
        raise ValueError("encrypted; expected it without a password")
    with archive.open(member) as packed, _unpacked(packed, member.compress_size, settings) as stream:
        yield from _documents(stream, place, stem, kind, settings)


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


def _content(opened: io.BufferedReader, packing: str, settings: ReadingSettings) -> io.BufferedReader:
    if not packing:
        return opened
    packed = gzip.GzipFile(fileobj=opened) if packing == ".gz" else pa.CompressedInputStream(opened, "zstd")
    return _unpacked(packed, os.fstat(opened.fileno()).st_size, settings)


def _unpacked(packed: Any, packed_bytes: int, settings: ReadingSettings) -> io.BufferedReader:
    return io.BufferedReader(_Unpacked(packed, packed_bytes, settings.most_unpacked_bytes))


def _documents(
    stream: io.BufferedReader, place: str, stem: str, kind: str, settings: ReadingSettings
) -> Iterator[Text | Refused]:
    if kind == ".jsonl":
        yield from _lines(stream, place, stem, settings)
    elif kind == ".parquet":
        # Parquet is read from its end: packed, it cannot be streamed.
        yield from _rows(stream if stream.seekable() else io.BytesIO(stream.read()), place, stem, settings)
    else:
        text, encoding = decoded(stream.read())
        yield Text(stem, _clean(text, settings), place, encoding)


def _lines(stream: io.BufferedReader, place: str, stem: str, settings: ReadingSettings) -> Iterator[Text | Refused]:
    most = settings.most_line_bytes
    for number in itertools.count(1):
        line = stream.readline(most + 1)
        if not line:
            return
        its = f"{place} line {number}"
        if len(line) > most and not line.endswith(b"\n"):
            size = len(line) + _skipped(stream)
            yield Refused(its, f"a line of {size:,} bytes; most_line_bytes is {most:,}")
        elif not line.isspace():
            yield _line(line, its, stem, settings)


def _skipped(stream: io.BufferedReader) -> int:
    """Read to the end of the line and return how many bytes that was, its line feed left out."""
    size = 0
    while part := stream.readline(_BUFFER_BYTES):
        size += len(part)
        if part.endswith(b"\n"):
            return size - 1
    return size


def _line(line: bytes, place: str, stem: str, settings: ReadingSettings) -> Text | Refused:
    try:
        record = json.loads(utf8(line).removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        return Refused(place, f"not JSON ({error}); expected one object a line")
    except ValueError as error:
        return Refused(place, str(error))
    except RecursionError:
        return Refused(place, "JSON that is nested too deep; expected one object a line")
    if not isinstance(record, dict):
        return Refused(place, f"{type(record).__name__}; expected an object with a string {settings.text_field!r}")
    return _text(record.get(settings.text_field), record.get(settings.source_field or ""), place, stem, settings)


def _rows(stream: Any, place: str, stem: str, settings: ReadingSettings) -> Iterator[Text | Refused]:
    with pq.ParquetFile(stream, buffer_size=_BUFFER_BYTES, pre_buffer=False) as file:
        columns = [name for name in (settings.text_field, settings.source_field) if name is not None]
        for name in columns:
            _refuse_other_columns(file.schema_arrow, name)
        row = 0
        for number in range(file.num_row_groups):
            its = f"{place} row group {number + 1}"
            yield from _told(its, _row_group(file, number, row, columns, place, stem, settings))
            row += file.metadata.row_group(number).num_rows


def _refuse_other_columns(schema: Any, name: str) -> None:
    index = schema.get_field_index(name)
    if index < 0:
        raise ValueError(f"no column {name!r}, or two; it has {', '.join(schema.names)}")
    its = schema.field(index).type
    if pa.types.is_dictionary(its):
        its = its.value_type
    if not (pa.types.is_string(its) or pa.types.is_large_string(its) or pa.types.is_string_view(its)):
        raise ValueError(f"column {name!r} is {its}; expected strings")


def _row_group(
    file: Any, number: int, row: int, columns: list[str], place: str, stem: str, settings: ReadingSettings
) -> Iterator[Text | Refused]:
    # Not the sum over our columns: pyarrow 25 aborts the process where it is asked for one with damaged statistics.
    size = file.metadata.row_group(number).total_byte_size
    if size > settings.most_unpacked_bytes:
        raise ValueError(f"{size:,} bytes unpacked; most_unpacked_bytes is {settings.most_unpacked_bytes:,}")
    for batch in file.iter_batches(batch_size=_ROWS, row_groups=[number], columns=columns):
        # As bytes: one text that is not UTF-8 shall not take 63 others along.
        found = {name: batch.column(name).cast(pa.large_binary()).to_pylist() for name in columns}
        texts = found[settings.text_field]
        sources = found[settings.source_field] if settings.source_field else [None] * len(texts)
        for text, source in zip(texts, sources, strict=True):
            row += 1
            yield _row(text, source, f"{place} row {row}", stem, settings)


def _row(text: bytes | None, source: bytes | None, place: str, stem: str, settings: ReadingSettings) -> Text | Refused:
    if text is not None and len(text) > settings.most_line_bytes:
        return Refused(place, f"a text of {len(text):,} bytes; most_line_bytes is {settings.most_line_bytes:,}")
    try:
        its_text, its_source = [None if each is None else utf8(each) for each in (text, source)]
    except ValueError as error:
        return Refused(place, str(error))
    return _text(its_text, its_source, place, stem, settings)


def _text(text: object, source: object, place: str, stem: str, settings: ReadingSettings) -> Text | Refused:
    """Return what a line or row holds."""
    if settings.source_field is None:
        source = stem
    for name, value in ((settings.text_field, text), (settings.source_field, source)):
        if not isinstance(value, str):
            got = "none" if value is None else type(value).__name__
            return Refused(place, f"expected a string named {name!r}, got {got}")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return Refused(place, f"character {error.start} of {name!r} is half a surrogate pair, not Unicode")
    try:
        return Text(cast(str, source), _clean(cast(str, text), settings), place)
    except ValueError as error:
        return Refused(place, str(error))


def _clean(text: str, settings: ReadingSettings) -> str:
    """Return a text as models shall see it.

    Raises ValueError for one that is blank or holds NUL.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    if settings.gutenberg:
        text = _without_gutenberg(text)
    if not text or text.isspace():
        raise ValueError("blank; expected text")
    if "\0" in text:
        raise ValueError(f"a NUL at character {text.index(chr(0))}; expected text")
    return text


def _without_gutenberg(text: str) -> str:
    """Return what stands between Project Gutenberg's marks; without a mark that side stays as it is."""
    if start := _GUTENBERG_START.search(text):
        text = text[start.end() :].lstrip("\n")
    if end := _GUTENBERG_END.search(text):
        text = text[: end.start()].rstrip("\n") + "\n"
    return text
