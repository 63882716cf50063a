"""A folder's texts as documents, each on one side of the split between training and validation."""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from components.corpus import cutting, reading
from components.corpus.reading import ReadingSettings, Refused, Text


@dataclass(frozen=True)
class SplitSettings:
    """How documents are parted between training and validation."""

    by: Literal["document", "source", "position"]
    """`document`: each document goes whole to one side, drawn from its content; `source`: drawn from its source's name,
    so that an edited document keeps its side; `position`: each document is cut, its end validates (for a corpus that is
    one document)."""
    validation_share: float
    """Share kept for validation, of the documents or of each document's characters; between 0 and 1, both excluded."""
    seed: int
    """Seed of the draw by document or source; no effect by position."""
    most_characters: int | None = None
    """Characters that a document may have; a longer text is cut at paragraph ends into several, which matters where a
    few long ones (novels) are split by document. None: any. No effect by position, nor by source on the side."""

    def __post_init__(self) -> None:
        if self.by not in ("document", "source", "position"):
            raise ValueError(f"by is {self.by!r}; expected document, source or position")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share is {self.validation_share}; expected between 0 and 1, both excluded")
        if self.most_characters is not None and self.most_characters < 1:
            raise ValueError(f"most_characters is {self.most_characters}; expected at least 1, or null")


Side = Literal["train", "validation"]


@dataclass(frozen=True, slots=True)
class Document:
    """A text and the side of the split that it is on."""

    source: str
    """Where it comes from: the file's name without its endings, or what its line or row says."""
    index: int
    """Its number in the corpus, counted from 0."""
    text: str
    """Never blank; line ends are line feeds, except a carriage return that stands alone."""
    split: Side
    """The side it is on."""
    place: str
    """Where its text stands, such as `news.jsonl.gz line 7`."""
    begin: int = 0
    """UTF-8 bytes of that text before the document; 0 unless it was cut, or the split parted it."""
    encoding: str = "utf-8"
    """What it was decoded from, as Python calls it."""


Found = Iterator[Text | Refused]


def read(
    folder: Path,
    split: SplitSettings,
    settings: ReadingSettings,
    on_read: Callable[[int], object] | None = None,
    sift: Callable[[Found], Found] = iter,
) -> Iterator[Document | Refused]:
    """Yield the documents of all files below a folder, as `reading.read` finds them, and what is left out between.

    Long texts are cut first: what counts as a duplicate is what would be a document. Texts that an earlier document has
    are left out before the split, so that no text is on both sides; so is what `sift`, given the rest, makes a refusal.
    Memory does not grow with the corpus: what was met before lies in an index on disk.

    By position a document of n characters trains with its first int((1 - validation_share) * n), as the book does
    (chapter 5, section 5.1.3: int(0.9 * n)), and becomes two documents.

    Raises ValueError, at the end, for a corpus of which nothing could be read, and for a split that left one side
    empty.
    """
    sides: Counter[Side] = Counter()
    texts = 0
    with closing(_index()) as met:
        for found in sift(_once(_cut(reading.read(folder, settings, on_read), split), met)):
            if isinstance(found, Refused):
                yield found
                continue
            texts += 1
            begin = found.begin
            for part, side in _parted(found.source, found.text, split):
                if part.strip():
                    yield Document(found.source, sides.total(), part, side, found.place, begin, found.encoding)
                    sides[side] += 1
                begin += len(part.encode())
    if empty := [side for side in ("train", "validation") if not sides[side]]:
        other = "document" if split.by == "position" else "position, by: document with most_characters"
        raise ValueError(
            f"{folder}: {texts} document(s) split by {split.by} with validation_share "
            f"{split.validation_share} leave {empty[0]} empty; set by: {other}, or another validation_share"
        )


class Placed(Protocol):
    """What stands somewhere: a text, a document, a row of tokens."""

    @property
    def place(self) -> str:
        """Where the text stands that it is, or was cut from."""

    @property
    def begin(self) -> int:
        """UTF-8 bytes of that text before it."""


def where(text: Placed) -> str:
    """Return the place of a text or document, and for the rest of a cut one the byte that it begins at.

    >>> where(Text("tale", "The end.", "tale.txt", begin=4000))
    'tale.txt byte 4000'
    """
    return f"{text.place} byte {text.begin}" if text.begin else text.place


def _cut(found: Found, split: SplitSettings) -> Found:
    """Pass on what was found, long texts in parts; blank ones are no documents."""
    most = split.most_characters
    for each in found:
        if isinstance(each, Refused) or most is None or split.by == "position" or len(each.text) <= most:
            yield each
            continue
        begin = 0
        for part in cutting.cut(each.text, most):
            if part.strip():
                yield Text(each.source, part, each.place, each.encoding, begin)
            begin += len(part.encode())


def _once(found: Found, met: sqlite3.Connection) -> Found:
    """Pass on what was found, with a refusal for each text that was met before."""
    for each in found:
        if isinstance(each, Text) and (first := _earlier(met, each.text, where(each))):
            yield Refused(where(each), f"the same text as {first}", kind="duplicates")
        else:
            yield each


def _index() -> sqlite3.Connection:
    """Return an empty index of texts and the places they were first met at."""
    index = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # a file that goes with the connection
    index.execute("PRAGMA journal_mode = OFF")
    index.execute("PRAGMA cache_size = -65536")  # KiB
    index.execute("CREATE TABLE met (text BLOB PRIMARY KEY, place TEXT) WITHOUT ROWID")
    index.execute("BEGIN")
    return index


def _earlier(met: sqlite3.Connection, text: str, place: str) -> str | None:
    """Return the place where a text was met before, None for a new one, which is noted.

    Raises OSError where the disk has no room for the index.
    """
    key = hashlib.sha256(text.encode()).digest()
    try:
        if met.execute("INSERT OR IGNORE INTO met VALUES (?, ?)", (key, place)).rowcount:
            return None
        found: str = met.execute("SELECT place FROM met WHERE text = ?", (key,)).fetchone()[0]
    except sqlite3.Error as error:
        raise OSError(
            f"the index of texts cannot be written: {error}; set SQLITE_TMPDIR to a folder with room"
        ) from error
    return found


def _parted(source: str, text: str, split: SplitSettings) -> list[tuple[str, Side]]:
    """Return the parts of a text with their sides, by position two, either of which may be blank."""
    if split.by != "position":
        drawn_from = text if split.by == "document" else source
        drawn = hashlib.sha256(f"{split.seed}\n{drawn_from}".encode()).digest()
        is_validation = int.from_bytes(drawn[:8]) < split.validation_share * 2**64
        return [(text, "validation" if is_validation else "train")]
    cut = int((1 - split.validation_share) * len(text))
    return [(text[:cut], "train"), (text[cut:], "validation")]
