"""The files that one source stands for: those of a folder, those that a pattern matches, those of a manifest."""

import fnmatch
import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urljoin

from components.corpus.source import FetchError, Source, fixed_part, is_http, local


@dataclass(frozen=True)
class Listing:
    """What a source stands for."""

    files: tuple[Source, ...]
    """A source for each file, sorted by path."""
    skipped: tuple[str, ...]
    """What is left out, with its path and the reason; hidden files are not mentioned."""


def listed(source: Source) -> Listing:
    """Return a source for each file of a folder, or of what a pattern matches; any other source as it is.

    Files and folders whose name begins with a dot are left out, links to folders are not followed: they may lead in a
    circle. In a pattern * and ? stand for what is in a name, ** for any folders. Of several addresses the first counts
    that is there; a pattern is there where its folder is.

    Raises FetchError where a folder holds no file, a pattern matches none, or either has a checksum or a member.
    """
    missing: list[str] = []
    for path in (local(address) for address in source.addresses if not is_http(address)):
        if path.is_file():
            break
        if path.is_dir() or glob.has_magic(str(path)):
            if source.sha256 is not None or source.member is not None or source.manifest:
                setting = "sha256" if source.sha256 else "member" if source.member else "manifest"
                raise FetchError(f"{source.name}: {setting} is of one file, {path} is many; leave it out")
            root = path if path.is_dir() else fixed_part(path)
            if root.is_dir():
                return _below(source, path, root)
            missing.append(str(root))
    if len(missing) == len(source.addresses):
        raise FetchError(f"{source.name}: {', '.join(missing)}: no such folder; check the path")
    return Listing((source,), ())


def manifested(source: Source, manifest: Path) -> Listing:
    """Return a source for each line of a manifest that lies in a file: a checksum and a path, as sha256sum writes them.

    A path is taken beside the manifest's own address, whichever of them that is, and below the source's `file`.

    Raises FetchError for a line that is none, a path that leads elsewhere or stands twice, and where there is no line.
    """
    found: dict[PurePosixPath, Source] = {}
    lines = manifest.read_bytes().decode(errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        path = PurePosixPath(match[2]) if match else PurePosixPath()
        if not match or not path.name or path.is_absolute() or ".." in path.parts or "\\" in line or path in found:
            raise FetchError(
                f"{source.name}: line {number} of the manifest is {line[:100]!r}; expected a sha256, two spaces and a "
                f"relative path without .., each once"
            )
        beside = tuple(_beside(address, path) for address in source.addresses)
        found[path] = replace(source, addresses=beside, file=f"{source.file}/{path}", sha256=match[1], manifest=False)
    if not found:
        raise FetchError(f"{source.name}: the manifest names no file; expected a sha256 and a path a line")
    return Listing(tuple(found[path] for path in sorted(found)), ())


def _beside(address: str, path: PurePosixPath) -> str:
    return urljoin(address, quote(str(path))) if is_http(address) else str(local(address).parent / path)


def _below(source: Source, path: Path, root: Path) -> Listing:
    """Return a source for each file below `root` that is in the folder `path`, or matches it."""
    pattern = ("**",) if path == root else path.parts[len(root.parts) :]
    files, skipped = [], []
    for relative, reason in sorted(_walk(root, None if "**" in pattern else len(pattern))):
        its_place = str(root / relative)
        if reason is None and _matches(PurePosixPath(relative).parts, pattern):
            files.append(replace(source, addresses=(its_place,), file=f"{source.file}/{relative}"))
        elif reason is not None:
            skipped.append(f"{_printable(its_place)}: {reason}")
    if not files:
        what = "no file in it" if path.is_dir() else "no file matches"
        raise FetchError(f"{source.name}: {path}: {what}{f'; {skipped[0]}' if skipped else ''}")
    return Listing(tuple(files), tuple(skipped))


def _walk(root: Path, deepest: int | None) -> Iterator[tuple[str, str | None]]:
    """Yield the path of each file below a folder, up to so many parts, and why it is none that can be taken."""
    for folder, folders, names in os.walk(root, onerror=_raise):
        relative = PurePosixPath(Path(folder).relative_to(root).as_posix())
        is_deepest = deepest is not None and len(relative.parts) + 1 >= deepest
        folders[:] = [] if is_deepest else [name for name in folders if not name.startswith(".")]
        for name in folders:
            if Path(folder, name).is_symlink():
                yield str(relative / name), "a link to a folder, which is not followed"
        for name in names:
            if not name.startswith("."):
                yield str(relative / name), _reason(Path(folder, name))


def _raise(error: OSError) -> None:
    raise error


def _reason(file: Path) -> str | None:
    if not file.is_file():
        return "a link that leads nowhere" if file.is_symlink() else "no file"
    if "\\" in file.name or _printable(file.name) != file.name:
        return "a name that is not UTF-8, or with a backslash"
    return None


def _printable(name: str) -> str:
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Tell whether a path's parts are what a pattern's stand for.

    >>> _matches(("docs", "api", "index.md"), ("**", "*.md"))
    True
    """
    if not pattern:
        return not parts
    if pattern == ("**",):
        return True
    if pattern[0] == "**":
        return any(_matches(parts[skipped:], pattern[1:]) for skipped in range(len(parts)))
    return bool(parts) and fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
