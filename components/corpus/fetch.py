"""Files from their addresses to their places: a mirror first, checksummed, whole or not at all."""

import errno
import functools
import glob
import hashlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from tenacity.wait import wait_base

from components.corpus.pydocs import ADDRESSES as PYDOCS
from components.corpus.pydocs import write as write_pydocs
from components.corpus.streaming import (
    BACKOFF,
    DiskFullError,
    MissingError,
    Progress,
    Streamed,
    StreamError,
    linked_sha256,
    refuse_without_space,
    stream,
)

LINKED = "x-linked-etag"
"""Instead of a checksum: what the model hub announces for an address counts, the sha256 in the header of this name."""


_QUICK_S = 5.0
"""Seconds that a hub has to announce a checksum before mirrors are asked: a machine without a network waits so long."""


class FetchError(ValueError):
    """A source that could not be had: its name, what each address did, what was expected, the next step; one line."""


@dataclass(frozen=True)
class Source:
    """A file that the build starts from."""

    name: str
    """What messages call it."""
    file: str
    """Where it goes below its role's folder, parted by slashes: `gpt2-124M/model.safetensors`."""
    role: Literal["corpus", "tasks", "tokenizer", "weights"]
    """What it is for."""
    addresses: tuple[str, ...]
    """Where to ask, in this order: an http(s) address, the path of a file, `pydocs:documents` or `pydocs:entries`."""
    sha256: str | None
    """Expected checksum of the file (with `member`: of the member), 64 hexadecimal digits; `x-linked-etag`: the one
    that the address itself announces, as the model hub does; None only where every address is a path or pydocs."""
    licence: str
    """Under which terms it is published, in a word or two."""
    member: str | None
    """The file to take out of the zip archive that the addresses hold; None: the addresses hold the file itself."""

    def __post_init__(self) -> None:
        place = PurePosixPath(self.file)
        if not place.name or place.is_absolute() or ".." in place.parts or "\\" in self.file:
            raise ValueError(f"file of {self.name} is {self.file!r}; expected a relative path without ..")
        if not self.addresses:
            raise ValueError(f"addresses of {self.name} are empty; expected at least one")
        for address in self.addresses:
            if "://" in address and not _is_http(address):
                raise ValueError(f"addresses of {self.name} have {address!r}; expected http(s) or a path")
            if address.startswith("pydocs:") and address not in PYDOCS:
                raise ValueError(f"addresses of {self.name} have {address!r}; expected {' or '.join(PYDOCS)}")
        if self.sha256 not in (None, LINKED) and not re.fullmatch("[0-9a-f]{64}", self.sha256 or ""):
            raise ValueError(
                f"sha256 of {self.name} is {self.sha256!r}; expected 64 lower-case hexadecimal digits, or {LINKED}"
            )
        if self.sha256 == LINKED and self.member is not None:
            raise ValueError(f"sha256 of {self.name} is {LINKED}, which is the archive's; expected the member's own")
        if self.sha256 is None and any(_is_http(address) for address in self.addresses):
            raise ValueError(f"sha256 of {self.name} is null; a file that comes over the network needs one")


@dataclass(frozen=True)
class Fetched:
    """What came."""

    address: str
    """Where it came from, without user and password; the destination itself where the file was there already."""
    sha256: str
    """Checksum of the file, hexadecimal."""
    size_bytes: int
    """Its size."""


def fetch(
    source: Source,
    destination: Path,
    *,
    mirror: str | None = None,
    partial: Path,
    attempts: int = 5,
    timeout_s: float = 30.0,
    progress: Progress | None = None,
    wait: wait_base = BACKOFF,
) -> Fetched:
    """Bring a source to `destination`, checked and whole, and return where it came from.

    `mirror` is a folder or an http address that is asked before the source's http addresses: for the address's path
    below it, for the source's `file`, for the bare file name; for an archive's member also by itself. A folder is
    searched for the name at any depth. What a mirror does not have, the addresses are asked for; what it has with
    another checksum only is an error. Where the checksum is `x-linked-etag` the http addresses are asked for it first,
    once and shortly; where none can be reached, mirrors and paths are taken at their word.

    `partial` is a folder for what is under way: a later call with the same folder resumes there. `attempts` (in a row
    without a new byte), `timeout_s` (longest silence, seconds), `wait` and `progress` are as in `streaming.stream`.
    A destination that has the expected checksum already is left as it is.

    Raises FetchError; then `destination` is as it was.
    """
    if source.sha256 == LINKED:
        source = replace(source, sha256=_announced(source, partial, min(timeout_s, _QUICK_S)) or LINKED)
    if source.sha256 not in (None, LINKED) and destination.is_file() and checksum(destination) == source.sha256:
        return Fetched(str(destination), source.sha256, destination.stat().st_size)
    network = _Network(
        functools.partial(stream, attempts=attempts, timeout_s=timeout_s, wait=wait, progress=progress),
        functools.partial(linked_sha256, attempts=attempts, timeout_s=timeout_s, wait=wait),
    )
    with _disk_failures_told(source):
        partial.mkdir(parents=True, exist_ok=True)
        place, file = _first_that_gives(source, mirror, partial, network)
        fetched = Fetched(_shown(place.address), checksum(file), file.stat().st_size)
        destination.parent.mkdir(parents=True, exist_ok=True)
        _move(file, destination)
        for left in partial.glob(f"{_stem(source)}-*"):
            left.unlink()
    return fetched


def checksum(file: Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@dataclass(frozen=True)
class _Place:
    """Somewhere to ask for a source."""

    address: str
    member: str | None


class _WrongFileError(ValueError):
    """A file that came whole and is not the expected one."""


@dataclass(frozen=True)
class _Network:
    """What may be asked of an http address, with the caller's patience; the path is that of the file under way."""

    download: Callable[[str, Path], Streamed]
    announced_sha256: Callable[[str, Path], str | None]


def _announced(source: Source, partial: Path, timeout_s: float) -> str | None:
    """Return the checksum that a source's http addresses announce, each asked once; None if none can be reached.

    Raises FetchError where one answers and announces nothing.
    """
    silent: list[str] = []
    for address in filter(_is_http, source.addresses):
        try:
            announced = linked_sha256(address, partial / _stem(source), attempts=1, timeout_s=timeout_s)
        except StreamError:
            continue  # to be asked again, with all patience, where no mirror has the file
        if announced is not None:
            return announced
        silent.append(_shown(address))
    if silent:
        where = ", ".join(silent)
        raise FetchError(
            f"{source.name}: {where}: announces no sha256 in {LINKED}; write the file's own into the settings"
        )
    return None


def _first_that_gives(source: Source, mirror: str | None, partial: Path, network: _Network) -> tuple[_Place, Path]:
    """Return the first place that gives the expected file, and the file, in the folder `partial`."""
    failures: list[str] = []
    wrong: list[str] = []
    for place in _mirrored(source, mirror):
        try:
            return place, _bring(source, place, partial, network)
        except MissingError:
            continue
        except _WrongFileError as error:
            wrong.append(f"{_shown(place.address)}: {error}")
        except StreamError as error:
            failures.append(f"{_shown(place.address)}: {error}")
            break  # a dead mirror: its other addresses would keep us waiting as long
    else:
        if mirror is not None:
            failures.append(f"{_shown(mirror)}: the mirror does not have it")
    if wrong:
        raise FetchError(
            f"{source.name}: the mirror has another file: {'; '.join(wrong)}; put the right one there, or take it away"
        )
    for address in source.addresses:
        place = _Place(address, source.member)
        try:
            return place, _bring(source, place, partial, network)
        except _WrongFileError as error:
            failures.append(f"{_shown(address)}: {error}; has it been published anew? Then its sha256 must be too")
        except StreamError as error:
            failures.append(f"{_shown(address)}: {error}")
    expected = "" if source.sha256 is None else f" (sha256 {source.sha256})"
    raise FetchError(f"{source.name}: could not fetch {source.file}{expected}: {'; '.join(failures)}")


def _mirrored(source: Source, mirror: str | None) -> list[_Place]:
    """Return the places of a mirror where a source's file may be, likeliest first."""
    addresses = [address for address in source.addresses if _is_http(address)]
    if mirror is None or not addresses:
        return []
    paths = [urlsplit(address).path.lstrip("/") for address in addresses]
    wanted = [_Place(path, source.member) for path in paths]
    wanted.append(_Place(quote(source.file), None))
    wanted += [_Place(PurePosixPath(path).name, source.member) for path in paths]
    if source.member is not None:
        wanted.append(_Place(quote(PurePosixPath(source.member).name), None))
    wanted = [each for each in wanted if each.address]  # "https://example.org/" names no file
    if _is_http(mirror):
        places = [_Place(f"{mirror.rstrip('/')}/{each.address}", each.member) for each in wanted]
    else:
        folder = Path(mirror)
        if not folder.is_dir():
            raise FetchError(
                f"{source.name}: mirror {mirror}: no such folder; expected a folder, or an http(s) address"
            )
        places = [
            _Place(str(file), each.member)
            for each in wanted
            for file in _found(folder, PurePosixPath(unquote(each.address)))
        ]
    return list(dict.fromkeys(places))


def _found(folder: Path, path: PurePosixPath) -> list[Path]:
    """Return the files at a path below a folder; for a bare name at any depth, sorted."""
    if len(path.parts) > 1:
        return [folder / path] if ".." not in path.parts and (folder / path).is_file() else []
    return sorted(file for file in folder.rglob(glob.escape(path.name)) if file.is_file())


def _bring(source: Source, place: _Place, partial: Path, network: _Network) -> Path:
    """Return the expected file, brought from a place into the folder `partial`."""
    mark = hashlib.sha256(f"{place.address} {place.member}".encode()).hexdigest()[:16]
    part = partial / f"{_stem(source)}-{mark}.part"
    expected = None if source.sha256 == LINKED else source.sha256
    if place.address in PYDOCS:
        try:
            write_pydocs(place.address, part)
        except ValueError as error:
            raise StreamError(str(error)) from error
        return _checked(expected, place.member, part, part)
    if not _is_http(place.address):
        if not Path(place.address).is_file():
            raise MissingError("no such file; check the path")
        return _checked(expected, place.member, Path(place.address), part)
    if source.sha256 == LINKED and place.address in source.addresses:  # a mirror need not announce it
        expected = network.announced_sha256(place.address, part)
        if expected is None:
            raise StreamError(f"announces no sha256 in {LINKED}; write the file's own into the settings")
    is_sure = network.download(place.address, part).is_sure
    try:
        return _checked(expected, place.member, part, part)
    except _WrongFileError:
        part.unlink()
        if is_sure:
            raise
    network.download(place.address, part)  # afresh, once: pieces of two versions may have been put together
    try:
        return _checked(expected, place.member, part, part)
    except _WrongFileError:
        part.unlink()
        raise


def _checked(expected: str | None, member: str | None, file: Path, part: Path) -> Path:
    """Return `part`, or a file beside it, with the expected content of `file`."""
    if member is not None:
        file, archive = part.with_suffix(".member"), file
        _unpack(archive, member, file)
    got = checksum(file)
    if expected not in (None, got):
        raise _WrongFileError(f"{file.stat().st_size:,} bytes have sha256 {got}, expected {expected}")
    if file.parent != part.parent:
        refuse_without_space(part.parent, file.stat().st_size)
        shutil.copyfile(file, part)
        file = part
    return file


def _unpack(archive: Path, member: str, file: Path) -> None:
    """Write one member of a zip archive to a file; its name in the archive decides no path."""
    try:
        with zipfile.ZipFile(archive) as opened:
            if member not in opened.namelist():
                names = ", ".join(opened.namelist()[:5]) or "nothing"
                raise _WrongFileError(f"the archive has no member {member}; it has {names}")
            refuse_without_space(file.parent, opened.getinfo(member).file_size)
            with opened.open(member) as content, file.open("wb") as out:
                shutil.copyfileobj(content, out)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise _WrongFileError(
            f"{archive.stat().st_size:,} bytes are no zip archive that can be read ({error})"
        ) from error


def _move(file: Path, destination: Path) -> None:
    """Put a file in its place by rename, through a copy beside it where the place is on another disk."""
    try:
        file.replace(destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        refuse_without_space(destination.parent, file.stat().st_size)
        temporary = destination.with_name(destination.name + ".tmp")
        try:
            shutil.copyfile(file, temporary)
            temporary.replace(destination)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _disk_failures_told(source: Source) -> Iterator[None]:
    try:
        yield
    except DiskFullError as error:
        raise FetchError(f"{source.name}: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise FetchError(f"{source.name}: the disk is full; make room and run again, it resumes") from error
        where = f"{error.filename}: " if error.filename else ""
        raise FetchError(f"{source.name}: {where}{error.strerror}; check the folder and its rights") from error


def _stem(source: Source) -> str:
    """Return what the names of a source's partial files begin with."""
    return hashlib.sha256(f"{source.name} {source.sha256}".encode()).hexdigest()[:16]


def _is_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def _shown(address: str) -> str:
    """Return an address without user and password; a password may hold an @ itself.

    >>> _shown("https://me:p@ss@example.org/x@y")
    'https://example.org/x@y'
    """
    return re.sub(r"(?<=://)[^/]*@", "", address)
