"""Where a mirror may have the file of a source."""

import glob
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from components.corpus.source import FetchError, Source, is_http


@dataclass(frozen=True)
class Place:
    """Somewhere to ask for a source."""

    address: str
    member: str | None


def mirrored(source: Source, mirror: str | None) -> list[Place]:
    """Return the places of a mirror where a source's file may be, likeliest first."""
    addresses = [address for address in source.addresses if is_http(address)]
    if mirror is None or not addresses:
        return []
    paths = [urlsplit(address).path.lstrip("/") for address in addresses]
    wanted = [Place(path, source.member) for path in paths]
    wanted.append(Place(quote(source.file), None))
    wanted += [Place(PurePosixPath(path).name, source.member) for path in paths]
    if source.member is not None:
        wanted.append(Place(quote(PurePosixPath(source.member).name), None))
    wanted = [each for each in wanted if each.address]  # "https://example.org/" names no file
    if is_http(mirror):
        places = [Place(f"{mirror.rstrip('/')}/{each.address}", each.member) for each in wanted]
    else:
        folder = Path(mirror)
        if not folder.is_dir():
            raise FetchError(
                f"{source.name}: mirror {mirror}: no such folder; expected a folder, or an http(s) address"
            )
        places = [
            Place(str(file), each.member)
            for each in wanted
            for file in _found(folder, PurePosixPath(unquote(each.address)))
        ]
    return list(dict.fromkeys(places))


def _found(folder: Path, path: PurePosixPath) -> list[Path]:
    """Return the files at a path below a folder; for a bare name at any depth, sorted."""
    if len(path.parts) > 1:
        return [folder / path] if ".." not in path.parts and (folder / path).is_file() else []
    return sorted(file for file in folder.rglob(glob.escape(path.name)) if file.is_file())
