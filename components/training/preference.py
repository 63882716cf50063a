"""Direct preference optimisation: of two answers a model learns to find one likelier, beside what it found before.

Source: Rafailov et al. 2023, Direct Preference Optimization, eq. 7. The log-probability of an answer is the mean over
its tokens, not their sum, as in Raschka, Build a Large Language Model (From Scratch), ch07/04 of its repository: so a
long answer weighs no more than a short one.

The reference never changes. What it says of each pair is worked out once, before the training, and travels with the
batches as one number: no second model stands in memory, and no step computes it again. The number is in float32.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from components.training.devices import deterministic, moved
from components.training.losses import IGNORED, Batch


def log_probabilities(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """Return the mean log-probabilities of the chosen answers and of the rejected ones, nats per token.

    `batch` begins with (inputs, targets), int64 (pair, 2, token), chosen first; targets are the inputs one position
    later, `IGNORED` where they belong to no answer. `model(inputs)` gives logits (row, token, vocab).
    """
    inputs, targets = batch[0].flatten(0, 1), batch[1].flatten(0, 1)  # (2 * pair, token)
    is_answer = targets != IGNORED
    logits = model(inputs)[is_answer].float()  # (token of an answer, vocab); under autocast they are bfloat16
    nats = F.cross_entropy(logits, targets[is_answer], reduction="none")
    in_place = torch.zeros_like(targets, dtype=nats.dtype).masked_scatter(is_answer, nats)  # (2 * pair, token)
    means = -in_place.sum(1) / is_answer.sum(1)
    chosen, rejected = means.view(-1, 2).unbind(1)
    return chosen, rejected


def dpo(model: nn.Module, batch: Batch, *, beta: float) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Return the summed loss of the pairs, nats, and how many there are.

    `batch` is that of `log_probabilities` and a third tensor (pair): by how many nats per token the reference finds the
    chosen answer likelier, chosen minus rejected. The loss of a pair is -log sigmoid(beta * (the model's lead - the
    reference's)): ln 2 where both are one.
    """
    chosen, rejected = log_probabilities(model, batch)
    margins = chosen - rejected - batch[2]
    return -F.logsigmoid(beta * margins).sum(), torch.ones_like(margins, dtype=torch.int64).sum()


def all_log_probabilities(
    model: nn.Module, batches: Iterable[Batch], *, device: torch.device
) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """Return `log_probabilities` over all batches, on the CPU: in evaluation mode and float32, without gradients.

    The model is put back into the mode it was in.
    """
    model.to(device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), deterministic():
            found = [log_probabilities(model, moved(batch, device)) for batch in batches]
    finally:
        model.train(was_training)
    chosen, rejected = (torch.cat(its).cpu() for its in zip(*found, strict=True))
    return chosen, rejected
