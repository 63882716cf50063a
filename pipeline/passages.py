"""The passages that held-out text is counted in, and their names: for overlaps and losses alike."""

from collections.abc import Iterator

from components.corpus.cutting import cut

PASSAGE_CHARACTERS = 4000


def passages(text: str) -> Iterator[str]:
    """Yield a document in what is counted: a long text has more in common with others than a short one."""
    return cut(text, PASSAGE_CHARACTERS)


def document(number: int, place: str) -> str:
    """Return what a document is called.

    >>> document(12, "tales.txt")
    'document 12 (tales.txt)'
    """
    return f"document {number} ({place})"


def passage(document: str, number: int) -> str:
    """Return what a passage of a document is called, counted from 1."""
    return f"{document}, passage {number}"
