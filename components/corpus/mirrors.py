"""Where a mirror may have the file of a source."""

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from components.corpus.source import FetchError, Source, is_http


@dataclass(frozen=True)
class Place:
    """Somewhere to ask for a source."""

    address: str
    member: str | None


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
    wanted += [Place(PurePosixPath(path).name, source.member) for path in paths]
    if source.member is not None:
        wanted.append(Place(quote(PurePosixPath(source.member).name), None))
    folder = None if is_http(mirror) else Path(mirror)
    if folder is not None and not folder.is_dir():
        raise FetchError(f"{source.name}: mirror {mirror}: no such folder; expected a folder, or an http(s) address")
    told: set[Place] = set()
    for each in wanted:
        if not each.address:  # "https://example.org/" names no file
            continue
        if folder is None:
            places = [Place(f"{mirror.rstrip('/')}/{each.address}", each.member)]
        else:
            found = _found(folder, PurePosixPath(unquote(each.address)))
            places = [Place(str(file), each.member) for file in found]
        yield from (place for place in places if place not in told)
        told.update(places)


def _found(folder: Path, path: PurePosixPath) -> list[Path]:
    """Return the files at a path below a folder; for a bare name at any depth, sorted."""
    if len(path.parts) > 1:
        return [folder / path] if ".." not in path.parts and (folder / path).is_file() else []
    return sorted(file for file in folder.rglob(glob.escape(path.name)) if file.is_file())
