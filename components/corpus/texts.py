"""What reading gives: texts as models shall see them, and refusals; and the settings that say which is which."""

import re
from dataclasses import dataclass, field
from typing import Literal, cast

_GUTENBERG_START = re.compile(r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]*\*\*\*", re.M | re.I)
_GUTENBERG_END = re.compile(
    r"^(?:End of (?:the )?Project Gutenberg[^*]*)?\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG", re.M | re.I
)


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
    """Bytes that one packed file, archive or Parquet row group may unpack to, or one .txt or .md have; what is beyond
    is refused."""
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


Kind = Literal["duplicates", "near_duplicates", "breaches", "refused"]
"""Why something is left out: the same text, or nearly, came before, it is beyond a limit, or it cannot be read."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that is left out."""

    place: str
    """Where it stands, as in Text; a file or member alone where none, or no more, of it could be read."""
    reason: str
    """What was expected, what came."""
    kind: Kind = field(default="refused", kw_only=True)
    """What it is counted as."""


def from_fields(text: object, source: object, place: str, stem: str, settings: ReadingSettings) -> Text | Refused:
    """Return what the fields of a line or row hold, of a file whose name without endings is `stem`."""
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
        return Text(cast(str, source), clean(cast(str, text), settings), place)
    except ValueError as error:
        return Refused(place, str(error))


def clean(text: str, settings: ReadingSettings) -> str:
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
