"""The mean loss of a model over batches."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from components.training import distributed
from components.training.devices import deterministic, moved
from components.training.losses import Batch, Loss


@dataclass(frozen=True)
class MeanLoss:
    """The mean loss of a model over some batches."""

    value: float
    """Mean loss per target, nats."""
    count: int
    """Targets that it is the mean of."""


def mean_loss(model: nn.Module, batches: Iterable[Batch], loss: Loss, *, device: torch.device) -> MeanLoss:
    """Return the mean loss over all targets of all batches, in evaluation mode and float32, without gradients.

    Batches of unequal size weigh by their targets. The model is put back into the mode it was in. Several processes
    share the rows of each batch and return the same mean.

    Raises ValueError if there is no target at all.
    """
    model.to(device)
    was_training = model.training
    model.eval()
    total = torch.zeros((), dtype=torch.float64 if device.type != "mps" else torch.float32, device=device)
    count = torch.zeros((), dtype=torch.int64, device=device)
    try:
        with torch.no_grad(), deterministic():
            for batch in batches:
                mine = distributed.part(batch)
                if is_idle := not len(mine[0]):
                    mine = tuple(tensor[:1] for tensor in batch)  # a model in shards needs every process
                batch_total, batch_count = loss(model, moved(mine, device))
                if not is_idle:
                    total += batch_total
                    count += batch_count
            distributed.add_up([total, count])
    finally:
        model.train(was_training)
    if not count:
        raise ValueError("no target to take the mean loss of; expected at least one batch with one target")
    return MeanLoss(total.item() / int(count), int(count))
