"""Which rows make up a batch: a function of seed and index, so that any batch can be asked for again."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

B = TypeVar("B")

_WINDOW = 50
"""Batches whose rows are sorted by length together: more pad a little less, and have the same rows meet more often."""


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Return the full batches in one pass over the rows; ValueError where there is none."""
    if not 1 <= batch_size <= n_rows:
        raise ValueError(f"batch_size is {batch_size}; expected 1..{n_rows} (the rows there are)")
    return n_rows // batch_size


def shuffled(index: int, n_rows: int, batch_size: int, seed: int) -> list[int]:
    """Return the row numbers of batch `index` (from 0, without end): every epoch is a new seeded order.

    The rows left over at the end of an epoch's order wait for the next epoch.
    """
    epoch, step = divmod(index, steps_per_epoch(n_rows, batch_size))
    order = np.random.default_rng([seed, epoch]).permutation(n_rows)
    rows: list[int] = order[step * batch_size : (step + 1) * batch_size].tolist()
    return rows


def endless(index: int, n_rows: int, batch_size: int, seed: int) -> list[int]:
    """Return the row numbers of batch `index` (from 0) of one epoch after another, each in a new seeded order.

    No row is left out: a batch takes the last rows of an epoch and the first of the next.

    >>> [endless(index, 3, 2, seed=1) for index in range(3)]
    [[0, 1], [2, 2], [0, 1]]
    """
    found: list[int] = []
    while len(found) < batch_size:
        epoch, start = divmod(index * batch_size + len(found), n_rows)
        order = np.random.default_rng([seed, epoch]).permutation(n_rows)
        found += order[start : start + batch_size - len(found)].tolist()
    return found


def in_order(n_rows: int, batch_size: int) -> Iterator[range]:
    """Yield every row number once, in order, the last batch short."""
    for start in range(0, n_rows, batch_size):
        yield range(start, min(start + batch_size, n_rows))


def bucketed(epoch: int, lengths: Sequence[int], batch_size: int, seed: int) -> list[list[int]]:
    """Return the row numbers of every batch of an epoch, rows of like length in one: little of it is padding.

    Each epoch is a new seeded order. Of every 50 batches in it the rows are sorted by their length and cut anew, then
    all batches are shuffled. The rows left over at the end of the order wait for the next epoch, long and short alike.
    """
    steps = steps_per_epoch(len(lengths), batch_size)
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))[: steps * batch_size]
    known = np.asarray(lengths)
    windows = [order[start : start + _WINDOW * batch_size] for start in range(0, len(order), _WINDOW * batch_size)]
    by_length = np.concatenate([rows[np.argsort(known[rows], kind="stable")] for rows in windows])
    batches: list[list[int]] = by_length.reshape(steps, batch_size)[generator.permutation(steps)].tolist()
    return batches


class Batches(ABC, Generic[B]):
    """Batches of numbered rows, the same for the same seed and index; a task says what a batch of rows is."""

    def __init__(self, n_rows: int, batch_size: int, seed: int) -> None:
        self.steps_per_epoch = steps_per_epoch(n_rows, batch_size)
        self.n_rows = n_rows
        self.batch_size = batch_size
        self.seed = seed

    def __call__(self, index: int) -> B:
        """Return batch `index` (from 0, without end): each epoch a new order, the short rest of an epoch left out."""
        return self.batch(self.chosen(index))

    def chosen(self, index: int) -> list[int]:
        """Return the numbers of the rows in batch `index`."""
        return shuffled(index, self.n_rows, self.batch_size, self.seed)

    def in_order(self) -> Iterator[B]:
        """Yield every row once, in order, the last batch short."""
        return (self.batch(chosen) for chosen in in_order(self.n_rows, self.batch_size))

    @abstractmethod
    def batch(self, chosen: Sequence[int]) -> B:
        """Return the batch of the rows of these numbers."""
