"""A folder's texts as documents, each on one side of the split between training and validation."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.corpus.reading import ReadingSettings, Refused
from components.corpus.reading import read as read_texts


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

    def __post_init__(self) -> None:
        if self.by not in ("document", "source", "position"):
            raise ValueError(f"by is {self.by!r}; expected document, source or position")
        if not 0 < self.validation_share < 1:
            raise ValueError(f"validation_share is {self.validation_share}; expected between 0 and 1, both excluded")


@dataclass(frozen=True)
class Document:
    """A text and the side of the split that it is on."""

    source: str
    """Where it comes from: the file's name without its endings, or what its line or row says."""
    index: int
    """Its number in the corpus, counted from 0."""
    text: str
    """Never blank; line ends are line feeds, except a carriage return that stands alone."""
    split: Literal["train", "validation"]
    """The side it is on."""


@dataclass(frozen=True)
class Corpus:
    """What was made of a folder."""

    documents: tuple[Document, ...]
    """Each text once, in the order of the files."""
    refused: tuple[Refused, ...]
    """What could not be read, in the same order."""
    duplicates: int
    """Texts left out because an earlier one is the same."""
    encodings: dict[str, str]
    """The files that were not UTF-8, and what they were decoded from."""


def read(folder: Path, split: SplitSettings, reading: ReadingSettings) -> Corpus:
    """Return the documents of all files below a folder, as `reading.read` finds them, duplicates left out.

    Texts that an earlier document has are left out before the split, so that no text is on both sides.

    By position a document of n characters trains with its first int((1 - validation_share) * n), as the book does
    (chapter 5, section 5.1.3: int(0.9 * n)), and becomes two documents.

    Raises ValueError for a corpus of which nothing can be read, and for a split that leaves one side empty.
    """
    texts: dict[str, str] = {}  # text -> source
    refused: list[Refused] = []
    encodings: dict[str, str] = {}
    count = 0
    for found in read_texts(folder, reading):
        if isinstance(found, Refused):
            refused.append(found)
            continue
        count += 1
        texts.setdefault(found.text, found.source)
        if found.encoding != "utf-8":
            encodings[found.place] = found.encoding
    parts = [(source, part, side) for text, source in texts.items() for part, side in _parted(source, text, split)]
    for side in ("train", "validation"):
        if all(side != each for _, _, each in parts):
            other = "document" if split.by == "position" else "position"
            raise ValueError(
                f"{folder}: {len(texts)} document(s) split by {split.by} with validation_share "
                f"{split.validation_share} leave {side} empty; set by: {other}, or another validation_share"
            )
    documents = tuple(Document(source, index, part, side) for index, (source, part, side) in enumerate(parts))
    return Corpus(documents, tuple(refused), count - len(texts), encodings)


def _parted(source: str, text: str, split: SplitSettings) -> list[tuple[str, Literal["train", "validation"]]]:
    """Return the parts of a text with their sides; by position a side that would get nothing is left out."""
    if split.by != "position":
        drawn_from = text if split.by == "document" else source
        drawn = hashlib.sha256(f"{split.seed}\n{drawn_from}".encode()).digest()
        is_validation = int.from_bytes(drawn[:8]) < split.validation_share * 2**64
        return [(text, "validation" if is_validation else "train")]
    cut = int((1 - split.validation_share) * len(text))
    parts: list[tuple[str, Literal["train", "validation"]]] = [(text[:cut], "train"), (text[cut:], "validation")]
    return [(part, side) for part, side in parts if part.strip()]
