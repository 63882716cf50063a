"""What a model is trained to make small: sums of losses in nats, with the number of targets they are summed over.

A sum and its count, not a mean: micro-batches with different numbers of targets then add up to exactly what one large
batch would have given, and the mean over a whole split is the mean over its targets.
"""

from collections.abc import Callable
from typing import TypeAlias

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

Batch: TypeAlias = tuple[Tensor, ...]
"""The tensors of one batch, in the order that the loss takes them; the batch is the first dimension of each."""

Loss: TypeAlias = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""Takes a model and a batch; returns the sum of the losses in nats and the count of targets, both 0-dimensional."""

IGNORED = -100
"""A target that is not to be learned; the value that torch's cross entropy ignores."""


def next_token(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Return the summed cross entropy of each next token, and how many there are.

    `batch` is (inputs, targets), both int64 (batch, token), targets being the inputs one position later; a target of
    `IGNORED` is neither summed nor counted. `model(inputs)` gives logits (batch, token, vocab).
    """
    inputs, targets = batch
    logits: Float[Tensor, "batch token vocab"] = model(inputs)
    # Under autocast the logits are bfloat16: 8 bits of mantissa are too few to sum thousands of exponentials.
    total = F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return total, (targets != IGNORED).sum()


def label(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Return the summed cross entropy of the label of each row, and how many there are.

    `batch` is (ids, lengths, labels): int64 (batch, token), the number of tokens in each row that are not padding
    (batch), and the labels (batch), `IGNORED` where a row has none. `model(ids, lengths)` gives logits (batch, label).
    """
    ids, lengths, labels = batch
    logits: Float[Tensor, "batch label"] = model(ids, lengths)
    return F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum"), (labels != IGNORED).sum()
