"""What lies behind the paths that the sources name: written down, so that DVC notices when a text of yours changes."""

from collections.abc import Iterator

from components.corpus.listing import listed
from components.corpus.source import FetchError, Source, is_http, local
from pipeline import paths, settings
from pipeline.settings import SettingsError


def note() -> None:
    """Write down size and time of change of every file behind a path, where that differs from what is written.

    `download` depends on it. Where params.yaml is wrong, or a path is not there (this may be another machine, which has
    the outputs from elsewhere), it stays as it is.
    """
    try:
        named = settings.read().get("download", {}).get("sources", [])
        sources = settings.parse("download.sources", named, tuple[Source, ...])
        lines = [line for source in sources for line in _lines(source)]
    except (SettingsError, FetchError, FileNotFoundError):
        return
    before = paths.OUTSIDE.read_text(encoding="utf-8") if paths.OUTSIDE.exists() else ""
    if "".join(lines) != before:
        with paths.whole(paths.OUTSIDE) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def _lines(source: Source) -> Iterator[str]:
    for file in listed(source).files:
        if not file.addresses[0].startswith("pydocs:") and not is_http(file.addresses[0]):
            found = local(file.addresses[0]).stat()
            yield f"{found.st_size} {found.st_mtime_ns} {file.addresses[0]}\n"
