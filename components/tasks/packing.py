"""Rows of equal length, each filled with several examples: what a step computes is then hardly ever padding.

Attention is kept inside each example (by its positions, see GPT), so that it learns what it would in a row of its own.
Source of the idea: Krell et al. 2021, Efficient Sequence Packing without Cross-contamination.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from components.tasks import rows
from components.tasks.instructions import IGNORED, Row

Packed = tuple[Int64[Tensor, "batch token"], Int64[Tensor, "batch token"], Int64[Tensor, "batch token"]]
WINDOW = 8
"""How many rows the waiting examples would fill among which those for one row are sought: with 8 the book's records
leave 0.9 % of rows of 256 tokens empty, all of it in the last row."""


def pack(lengths: Sequence[int], row_tokens: int, seed: int) -> list[list[int]]:
    """Return which examples share a row: each example once, none cut, in a seeded order.

    A row takes the first example that waits and, of those next to it, the ones that come nearest to filling it.

    >>> pack([3, 3, 2, 5, 2], 5, seed=2)
    [[2, 0], [4, 1], [3]]

    Raises ValueError for an example longer than `row_tokens`.
    """
    for number, length in enumerate(lengths):
        if length > row_tokens:
            raise ValueError(f"example {number} has {length} tokens; expected at most {row_tokens}, those of a row")
    waiting: list[int] = np.random.default_rng(seed).permutation(len(lengths)).tolist()
    window = 1 + WINDOW * row_tokens * len(lengths) // max(1, sum(lengths))
    packed = []
    while waiting:
        first, near = waiting[0], waiting[1:window]
        best = _fullest([lengths[k] for k in near], row_tokens - lengths[first])
        packed.append([first, *(near[k] for k in best)])
        waiting[:window] = [each for k, each in enumerate(near) if k not in best]
    return packed


def _fullest(lengths: Sequence[int], room: int) -> list[int]:
    """Return which lengths, in their order, have the largest sum up to `room`, of the earliest that do."""
    sums = [1]  # bit s of entry k: whether some of the first k lengths have the sum s
    for length in lengths:
        sums.append((sums[-1] | sums[-1] << length) & (2 << room) - 1)
    rest = sums[-1].bit_length() - 1
    chosen = []
    for k in reversed(range(len(lengths))):
        if not sums[k] >> rest & 1:
            chosen.append(k)
            rest -= lengths[k]
    return chosen[::-1]


class PackedBatches:
    """Batches of `(inputs, targets, positions)`, rows of `row_tokens` tokens, the same for the same seed and index.

    A position is a token's place in its own example. What fills a row's end has the position 0 and no target. Every
    epoch shows each row, and so each example, exactly once; a batch may begin in one epoch and end in the next.
    """

    def __init__(
        self, examples: Sequence[Row], row_tokens: int, batch_size: int, seed: int, *, end_of_text: int
    ) -> None:
        self._packed = pack([len(each.inputs) for each in examples], row_tokens, seed)
        self.rows = [[examples[k] for k in numbers] for numbers in self._packed]
        self.row_tokens = row_tokens
        self.batch_size = batch_size
        self.seed = seed
        self.end_of_text = end_of_text

    def __call__(self, index: int) -> Packed:
        """Return batch `index` (from 0, without end): each epoch a new order."""
        return self._batch(self._rows_of(index))

    def chosen(self, index: int) -> list[int]:
        """Return the numbers of the examples in batch `index`, row by row."""
        return [number for row in self._rows_of(index) for number in self._packed[row]]

    def _rows_of(self, index: int) -> list[int]:
        return rows.endless(index, len(self.rows), self.batch_size, self.seed)

    def in_order(self) -> Iterator[Packed]:
        """Yield every row once, in order, the last batch short."""
        return (self._batch(chosen) for chosen in rows.in_order(len(self.rows), self.batch_size))

    @property
    def padding_share(self) -> float:
        """Share of all rows that holds no example; 0..1."""
        held = sum(len(each.inputs) for row in self.rows for each in row)
        return 1 - held / (len(self.rows) * self.row_tokens)

    def _batch(self, chosen: Sequence[int]) -> Packed:
        inputs, targets, positions = (
            torch.full((len(chosen), self.row_tokens), fill) for fill in (self.end_of_text, IGNORED, 0)
        )
        for place, number in enumerate(chosen):
            end = 0
            for example in self.rows[number]:
                start, end = end, end + len(example.inputs)
                inputs[place, start:end] = torch.tensor(example.inputs)
                targets[place, start:end] = torch.tensor(example.targets)
                positions[place, start:end] = torch.arange(end - start)
        return inputs, targets, positions
