"""Text of any usual kind, read a document at a time; what cannot be read comes as a refusal that names its place."""

import io
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from components.corpus.encoding import decoded
from components.corpus.records import BUFFER_BYTES, lines, rows
from components.corpus.refusals import or_empty, quarantine, told
from components.corpus.texts import ReadingSettings, Refused, Text, clean
from components.corpus.unpacking import content, unpacked

__all__ = ["ReadingSettings", "Refused", "Text", "quarantine", "read", "size_bytes"]

_WHOLE = (".txt", ".md")
_KINDS = (*_WHOLE, ".jsonl", ".parquet")
_PACKINGS = (".gz", ".zst")
_ARCHIVE = ".zip"

_EXPECTED = "expected .txt, .md, .jsonl or .parquet, as it is, packed as .gz or .zst, or in a .zip"


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
        for found in or_empty(place, told(place, _file(file, place, settings, on_read))):
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
    size, most = file.stat().st_size, settings.most_unpacked_bytes
    if kind in _WHOLE and not packing and size > most:  # what is packed is read no further than that
        raise ValueError(f"{size:,} bytes of text; most_unpacked_bytes is {most:,}")
    with cast(io.BufferedReader, io.BufferedReader(_Counted(file, on_read), BUFFER_BYTES)) as opened:
        if is_archive:
            yield from _members(opened, place, settings)
        else:
            with content(opened, packing, settings) as stream:
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
            yield from or_empty(its, told(its, _member(archive, member, its, settings)))


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
    with archive.open(member) as packed, unpacked(packed, member.compress_size, settings) as stream:
        yield from _documents(stream, place, stem, kind, settings)


def _documents(
    stream: io.BufferedReader, place: str, stem: str, kind: str, settings: ReadingSettings
) -> Iterator[Text | Refused]:
    if kind == ".jsonl":
        yield from lines(stream, place, stem, settings)
    elif kind == ".parquet":
        # Parquet is read from its end: packed, it cannot be streamed.
        yield from rows(stream if stream.seekable() else io.BytesIO(stream.read()), place, stem, settings)
    else:
        text, encoding = decoded(stream.read())
        yield Text(stem, clean(text, settings), place, encoding)
