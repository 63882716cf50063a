"""Files from their addresses to their places: a mirror first, checksummed, whole or not at all."""

import errno
import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from components.corpus.answers import MissingError, StreamError
from components.corpus.archive import unpack
from components.corpus.cache import checksum, entry
from components.corpus.mirrors import Place, mirrored
from components.corpus.placing import copy, move
from components.corpus.pydocs import ADDRESSES as PYDOCS
from components.corpus.pydocs import write as write_pydocs
from components.corpus.source import LINKED, FetchError, Source, WrongFileError, is_http, local, shown
from components.corpus.streaming import DiskFullError, Network, Progress

_QUICK_S = 5.0
"""Seconds that a hub has to announce a checksum before mirrors are asked: a machine without a network waits so long."""

_PARSING = threading.Lock()
"""Taken to read Python's documentation: two threads that parse at once meet CPython's bug gh-106905, a SystemError."""


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
    network: Network,
    partial: Path,
    mirror: str | None = None,
    cache: Path | None = None,
    told: Callable[[str], object] = lambda _: None,
    progress: Progress | None = None,
) -> Fetched:
    """Bring a source to `destination`, checked and whole, and return where it came from.

    `mirror` is a folder or an http address that is asked before the source's http addresses: for the address's path
    below it, for the source's `file`, for the bare file name; for an archive's member also by itself. A folder is
    searched for the name at any depth. What a mirror does not have, the addresses are asked for; what it has with
    another checksum only is an error, except by its bare name: that may be another file. Where the checksum is
    `x-linked-etag` the http addresses are asked for it first, once and shortly; where none can be reached, mirrors and
    paths are taken at their word.

    `cache` is a folder that builds share: what comes over the network under a checksum is kept there by it. Whoever
    wants a file first fetches it, the others wait; `told` is given a line when we wait, or find a file damaged there.

    `partial` is a folder for what is under way: a later call with the same folder resumes there. `progress` is told of
    each piece that comes over the network. A destination that has the expected checksum already is left as it is.

    Raises FetchError, and StoppedError where the network is told to stop; then `destination` is as it was.
    """
    if source.sha256 == LINKED:
        quick = replace(network, attempts=1, timeout_s=min(network.timeout_s, _QUICK_S))
        source = replace(source, sha256=_announced(source, quick) or LINKED)
    if source.sha256 not in (None, LINKED) and destination.is_file() and checksum(destination) == source.sha256:
        return Fetched(str(destination), source.sha256, destination.stat().st_size)
    with _disk_failures_told(source):
        if cache is None or source.sha256 in (None, LINKED) or not any(map(is_http, source.addresses)):
            return _bring(source, destination, network, partial, mirror, progress)
        with entry(cache, source.sha256, network.stop, told) as kept:
            if kept.is_file():
                fetched = Fetched(str(kept), source.sha256, kept.stat().st_size)
            else:
                under_way = cache / f"{source.sha256}.partial"
                fetched = _bring(source, kept, network, under_way, mirror, progress)
                shutil.rmtree(under_way)  # with what a build that called the file otherwise may have left
            copy(kept, destination)
    return fetched


def _bring(
    source: Source,
    destination: Path,
    network: Network,
    partial: Path,
    mirror: str | None,
    progress: Progress | None,
) -> Fetched:
    """Bring a source to `destination` from the first place that has it; what was under way is gone then."""
    partial.mkdir(parents=True, exist_ok=True)
    file, fetched = _first_that_gives(source, mirror, partial, network, progress)
    move(file, destination)
    for left in partial.glob(f"{_stem(source)}-*"):
        left.unlink()
    return fetched


def _announced(source: Source, network: Network) -> str | None:
    """Return the checksum that a source's http addresses announce, each asked once; None if none can be reached.

    Raises FetchError where one answers and announces nothing.
    """
    silent: list[str] = []
    for address in filter(is_http, source.addresses):
        try:
            announced = network.announced_sha256(address)
        except StreamError:
            continue  # to be asked again, with all patience, where no mirror has the file
        if announced is not None:
            return announced
        silent.append(shown(address))
    if silent:
        where = ", ".join(silent)
        raise FetchError(
            f"{source.name}: {where}: announces no sha256 in {LINKED}; write the file's own into the settings"
        )
    return None


def _first_that_gives(
    source: Source, mirror: str | None, partial: Path, network: Network, progress: Progress | None
) -> tuple[Path, Fetched]:
    """Return the expected file from the first place that gives it, in the folder `partial`."""
    failures: list[str] = []
    wrong: list[str] = []
    for place in mirrored(source, mirror):
        try:
            return _asked(source, place, partial, network, progress)
        except MissingError:
            continue
        except WrongFileError as error:
            (failures if place.is_guess else wrong).append(f"{shown(place.address)}: {error}")
        except StreamError as error:
            failures.append(f"{shown(place.address)}: {error}")
            break  # a dead mirror: its other addresses would keep us waiting as long
    else:
        if mirror is not None:
            failures.append(f"{shown(mirror)}: the mirror does not have it")
    if wrong:
        raise FetchError(
            f"{source.name}: the mirror has another file: {'; '.join(wrong)}; put the right one there, or take it away"
        )
    for address in source.addresses:
        place = Place(address, source.member)
        try:
            return _asked(source, place, partial, network, progress)
        except WrongFileError as error:
            failures.append(f"{shown(address)}: {error}; has it been published anew? Then its sha256 must be too")
        except StreamError as error:
            failures.append(f"{shown(address)}: {error}")
    expected = "" if source.sha256 is None else f" (sha256 {source.sha256})"
    raise FetchError(f"{source.name}: could not fetch {source.file}{expected}: {'; '.join(failures)}")


def _asked(
    source: Source, place: Place, partial: Path, network: Network, progress: Progress | None
) -> tuple[Path, Fetched]:
    """Return the expected file, brought from a place into the folder `partial`."""
    mark = hashlib.sha256(f"{place.address} {place.member}".encode()).hexdigest()[:16]
    part = partial / f"{_stem(source)}-{mark}.part"
    expected = None if source.sha256 == LINKED else source.sha256
    if place.address in PYDOCS:
        try:
            with _PARSING:
                write_pydocs(place.address, part)
        except ValueError as error:
            raise StreamError(str(error)) from error
        return _checked(source, place, expected, part, part)
    if not is_http(place.address):
        if not local(place.address).is_file():
            raise MissingError("no such file; check the path")
        return _checked(source, place, expected, local(place.address), part)
    if source.sha256 == LINKED and place.address in source.addresses:  # a mirror need not announce it
        expected = network.announced_sha256(place.address)
        if expected is None:
            raise StreamError(f"announces no sha256 in {LINKED}; write the file's own into the settings")
    is_sure = network.download(place.address, part, progress).is_sure
    try:
        return _checked(source, place, expected, part, part)
    except WrongFileError:
        if is_sure:
            raise
    network.download(place.address, part, progress)  # afresh, once: pieces of two versions may have been put together
    return _checked(source, place, expected, part, part)


def _checked(source: Source, place: Place, expected: str | None, file: Path, part: Path) -> tuple[Path, Fetched]:
    """Return `part`, or the member beside it, with the expected content of `file`; a wrong one is removed."""
    ours = part if place.member is None else part.with_suffix(".member")
    try:
        if place.member is not None:
            unpack(file, place.member, ours, source.most_unpacked_bytes)
        elif file != part:
            copy(file, part)  # before it is checked: somebody may be writing to it
        fetched = Fetched(shown(place.address), checksum(ours), ours.stat().st_size)
        if expected not in (None, fetched.sha256):
            raise WrongFileError(f"{fetched.size_bytes:,} bytes have sha256 {fetched.sha256}, expected {expected}")
    except WrongFileError:
        for each in (part, ours):
            each.unlink(missing_ok=True)
        raise
    return ours, fetched


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
    return hashlib.sha256(f"{source.role} {source.file} {source.sha256}".encode()).hexdigest()[:16]
