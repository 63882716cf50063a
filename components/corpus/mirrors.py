"""Where a mirror may have the file of a source."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from components.corpus.source import FetchError, Source, is_http


@dataclass(frozen=True)
class Place:
    """Somewhere to ask for a source."""

    address: str
    member: str | None
    is_guess: bool = field(default=False, compare=False)
    """Whether the file's name alone is wanted, not its path: another file of that name may lie there."""


def mirrored(source: Source, mirror: str | None) -> Iterator[Place]:
    """Yield the places of a mirror where a source's file may be, likeliest first.

    A folder is searched for a name no sooner than that is asked for. Raises FetchError where there is no such folder.
    """
    addresses = [address for address in source.addresses if is_http(address)]
    if mirror is None or not addresses:
        return
    paths = [urlsplit(address).path.lstrip("/") for address in addresses]
    wanted = [Place(path, source.member) for path in paths]
    wanted.append(Place(quote(source.file), None))
    wanted += [Place(PurePosixPath(path).name, source.member, is_guess=True) for path in paths]
    wanted.append(Place(quote(PurePosixPath(source.file).name), None, is_guess=True))
    if source.member is not None:
        wanted.append(Place(quote(PurePosixPath(source.member).name), None, is_guess=True))
    folder = None if is_http(mirror) else Path(mirror)
    if folder is not None and not folder.is_dir():
        raise FetchError(f"{source.name}: mirror {mirror}: no such folder; expected a folder, or an http(s) address")
    told: set[Place] = set()
    for each in wanted:
        if not each.address:  # "https://example.org/" names no file
            continue
        if folder is None:
            places = [replace(each, address=f"{mirror.rstrip('/')}/{each.address}")]
        else:
            find = _named if each.is_guess else _at
            places = [replace(each, address=str(file)) for file in find(folder, PurePosixPath(unquote(each.address)))]
        yield from (place for place in places if place not in told)
        told.update(places)


def _at(folder: Path, path: PurePosixPath) -> list[Path]:
    """Return the file at a path below a folder, if it is there and the path leads nowhere else."""
    leads_out = path.is_absolute() or ".." in path.parts
    return [folder / path] if not leads_out and (folder / path).is_file() else []


def _named(folder: Path, path: PurePosixPath) -> list[Path]:
    """Return the files below a folder, at any depth, with the name of a path, sorted."""
    return sorted(file for file in folder.rglob(glob.escape(path.name)) if file.is_file())
