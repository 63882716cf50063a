"""Text files read as documents, each on one side of the split between training and validation."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


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
    """Where it comes from: the file's name without its ending, or what the line of a .jsonl file says."""
    index: int
    """Its number in the corpus, counted from 0."""
    text: str
    """Never blank; line ends are line feeds, except a carriage return that stands alone."""
    split: Literal["train", "validation"]
    """The side it is on."""


def read(folder: Path, split: SplitSettings) -> list[Document]:
    """Return the documents of all .txt and .jsonl files below a folder, sorted by path, duplicates left out.

    A .txt file is one document; a line of a .jsonl file is one, `{"source": "json", "text": "..."}`. UTF-8, with or
    without a byte order mark. Blank documents, and texts that an earlier document has, are left out before the split,
    so that no text is on both sides. Files whose name begins with a dot are not read.

    By position a document of n characters trains with its first int((1 - validation_share) * n), as the book does
    (chapter 5, section 5.1.3: int(0.9 * n)), and becomes two documents.

    Raises ValueError, file and line named, for a file of another kind, not UTF-8 or no such JSON; for a corpus without
    text; and for a split that leaves one side empty.
    """
    texts: dict[str, str] = {}  # text -> source
    for file in _files(folder):
        for source, text in _texts(file):
            if text.strip():
                texts.setdefault(text, source)
    if not texts:
        raise ValueError(f"{folder}: the corpus is empty; expected text in .txt or .jsonl files")
    parts = [(source, part, side) for text, source in texts.items() for part, side in _parted(source, text, split)]
    for side in ("train", "validation"):
        if all(side != each for _, _, each in parts):
            other = "document" if split.by == "position" else "position"
            raise ValueError(
                f"{folder}: {len(texts)} document(s) split by {split.by} with validation_share "
                f"{split.validation_share} leave {side} empty; set by: {other}, or another validation_share"
            )
    return [Document(source, index, part, side) for index, (source, part, side) in enumerate(parts)]


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected one with .txt or .jsonl files")
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    for file in files:
        if file.suffix not in (".txt", ".jsonl"):
            raise ValueError(f"{file}: a corpus is made of .txt and .jsonl files; rename it or take it out")
    return files


def _texts(file: Path) -> Iterator[tuple[str, str]]:
    """Yield (source, text) for each document of a file."""
    try:
        whole = file.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{file}: not UTF-8 (byte 0x{error.object[error.start]:02x} at offset {error.start}); "
            f"convert it, for instance with iconv -f iso-8859-1 -t utf-8"
        ) from None
    if file.suffix == ".txt":
        yield file.stem, whole
        return
    for number, line in enumerate(whole.split("\n"), start=1):  # not splitlines: JSON may hold U+2028 as it is
        if line.strip():
            yield _record(line, f"{file} line {number}")


def _record(line: str, place: str) -> tuple[str, str]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not JSON ({error}); expected one object a line") from None
    if not isinstance(record, dict):
        raise ValueError(f'{place}: expected {{"source": ..., "text": ...}}, got {type(record).__name__}')
    for field in ("source", "text"):
        if not isinstance(record.get(field), str):
            got = type(record[field]).__name__ if field in record else "none"
            raise ValueError(f"{place}: expected a string named {field!r}, got {got}")
    try:
        record["text"].encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{place}: character {error.start} of 'text' is half a surrogate pair, not Unicode") from None
    return record["source"], record["text"].replace("\r\n", "\n")


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
