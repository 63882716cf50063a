"""Which texts a model reads side by side."""

from collections.abc import Sequence, Sized


def by_length(texts: Sequence[Sized], batch_size: int) -> list[list[int]]:
    """Return the places of the texts in batches, shortest first: those of a batch need little padding.

    >>> by_length(["aaa", "b", "cc"], 2)
    [[1, 2], [0]]

    Raises ValueError for a batch_size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
