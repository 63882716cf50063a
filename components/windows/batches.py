"""Windows in batches for training (shuffled, asked for by number) and for evaluation (all of them, in order)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from components.windows.permutation import permuted
from components.windows.windows import Windows

Batch = tuple[Int64[Tensor, "batch token"], Int64[Tensor, "batch token"]]
"""Inputs, and the targets: the same ids, one later."""

IGNORED = -100
"""A target that is not to be scored; the value that torch's cross entropy ignores."""


class Batches:
    """Shuffled batches, each a function of (seed, index): any can be asked for, in any order, as often as one likes.

    Batch `index` belongs to epoch index // steps_per_epoch. An epoch reads every window once, in an order of its own,
    but for the last len(windows) % batch_size of that order, which would not fill a batch. Memory does not grow with
    their number.

    Raises ValueError if there are fewer windows than one batch takes.
    """

    def __init__(self, windows: Windows, batch_size: int, seed: int) -> None:
        if not 1 <= batch_size <= len(windows):
            raise ValueError(
                f"batch_size is {batch_size}, but there are {len(windows)} windows; expected 1..{len(windows)}: "
                "lower batch_size, context_length or stride, or add text"
            )
        self.steps_per_epoch = len(windows) // batch_size
        self._windows = windows
        self._batch_size = batch_size
        self._seed = seed

    def __call__(self, index: int) -> Batch:
        """Return batch `index`, from 0, on the CPU. Raises IndexError if it is negative."""
        return _batch(self._windows, self.chosen(index))

    def chosen(self, index: int) -> list[int]:
        """Return the numbers of the windows in batch `index`. Raises IndexError if it is negative."""
        if index < 0:
            raise IndexError(f"batch {index}; expected 0 or more")
        epoch, step = divmod(index, self.steps_per_epoch)
        indices = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        windows: list[int] = permuted(indices, len(self._windows), [self._seed, epoch]).tolist()
        return windows


def in_order(windows: Windows, batch_size: int) -> Iterator[Batch]:
    """Yield all windows once, in order, on the CPU; the last batch may be smaller.

    Where windows overlap, a target that the window before has too is `IGNORED`: no id is scored twice, and from the
    second window on each has at least context_length - stride ids before it.
    """
    repeated = torch.arange(windows.context_length) < windows.context_length - windows.stride
    for start in range(0, len(windows), batch_size):
        chosen = range(start, min(start + batch_size, len(windows)))
        inputs, targets = _batch(windows, chosen)
        yield inputs, targets.masked_fill(repeated & (torch.tensor(chosen) > 0)[:, None], IGNORED)


def _batch(windows: Windows, chosen: Sequence[int]) -> Batch:
    """Return the chosen windows as int64, which embeddings and cross-entropy want; stored ids are narrower."""
    ids = np.empty((len(chosen), windows.context_length + 1), dtype=np.int64)
    for row, k in enumerate(chosen):
        ids[row] = windows[k]
    both = torch.from_numpy(ids)
    return both[:, :-1].contiguous(), both[:, 1:].contiguous()
