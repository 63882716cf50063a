"""What lies behind the paths that the sources name: written down, so that DVC notices when a text of yours changes."""

import hashlib
import logging
from collections.abc import Iterator

from components.corpus.listing import listed
from components.corpus.source import FetchError, Source, is_http, local
from pipeline import paths, settings
from pipeline.settings import SettingsError

log = logging.getLogger(__name__)


def note() -> None:
    """Write down a line for each source that names a path, where that differs from what is written.

    A line has a sha256 of the size, time of change and path of every file, their number, and the source's first path.
    `download` depends on it. A source that cannot be listed (this may be another machine, which has the outputs from
    elsewhere) keeps its line. Where params.yaml is wrong, all stays as it is.
    """
    try:
        section = settings.read().get("download")
        named = section.get("sources") if isinstance(section, dict) else None
        sources = settings.parse("download.sources", named, tuple[Source, ...])
    except SettingsError:
        return
    before = paths.OUTSIDE.read_text(encoding="utf-8") if paths.OUTSIDE.exists() else ""
    written = {line.split(" ", 2)[-1].rstrip("\n"): line for line in before.splitlines(keepends=True)}
    lines = "".join(_line(source, written) for source in sources)
    if lines != before:
        with paths.whole(paths.OUTSIDE) as temporary:
            temporary.write_text(lines, encoding="utf-8")


def _line(source: Source, written: dict[str, str]) -> str:
    """Return the line of a source, the written one where it cannot be listed; empty where it names no path."""
    named = next(_paths(source), None)
    if named is None:
        return ""
    try:
        files = listed(source).files
        digest = hashlib.sha256()
        for file in files:
            digest.update(_state(file).encode(errors="surrogateescape"))
    except (OSError, ValueError) as error:
        log.warning("download.sources: one cannot be listed and counts as unchanged: %s", error)
        return written.get(named, "")
    return f"{digest.hexdigest()} {len(files)} {named}\n"


def _state(file: Source) -> str:
    """Return size, time of change and path of a file: of its addresses the first path that is there."""
    for path in map(local, _paths(file)):
        if path.exists():
            found = path.stat()
            return f"{found.st_size} {found.st_mtime_ns} {path}\n"
    raise FetchError(f"{file.name}: no such file; check the path")


def _paths(source: Source) -> Iterator[str]:
    return (each for each in source.addresses if not is_http(each) and not each.startswith("pydocs:"))
