"""What a model is trained to make small: sums of losses in nats, with the number of targets they are summed over.

A sum and its count, not a mean: micro-batches with different numbers of targets then add up to exactly what one large
batch would have given, and the mean over a whole split is the mean over its targets.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Batch: TypeAlias = tuple[Tensor, ...]
"""The tensors of one batch, in the order that the loss takes them; the batch is the first dimension of each."""

Loss: TypeAlias = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""Takes a model and a batch; returns the sum of the losses in nats and the count of targets, both 0-dimensional."""

_ROWS = 256  # whose logits are held at once: fastest of 64, 128, 256, 512 over a vocabulary of 4,096 and of 50,257
_MULTIPLE = 64  # tokens: what tensor cores want in bfloat16; compiled, torch pads by itself (its shape_padding)

IGNORED = -100
"""A target that is not to be learned; the value that torch's cross entropy ignores."""


def next_token(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Return the summed cross entropy of each next token, and how many there are.

    `batch` is (inputs, targets), both int64 (batch, token), targets being the inputs one position later; a target of
    `IGNORED` is neither summed nor counted. `model(inputs)` gives logits (batch, token, vocab). A third tensor tells
    several texts in a row apart, as in `GPT`: `model(inputs, positions=third)`.

    The logits of a GPT, which has `hidden` and `output_weight`, are made and forgotten a few rows at a time, with their
    gradient: never all at once, and faster on a CPU, whose caches hold them. Not when compiled: the compiler's cross
    entropy does without them by itself.
    """
    inputs, targets = batch[:2]
    packing = {"positions": batch[2]} if len(batch) > 2 else {}
    count = (targets != IGNORED).sum()
    weight: Tensor | None = None if torch.compiler.is_compiling() else getattr(model, "output_weight", None)
    if weight is None:
        # Under autocast the logits are bfloat16: 8 bits of mantissa are too few to sum thousands of exponentials.
        logits: Float[Tensor, "row vocab"] = model(inputs, **packing).flatten(0, 1).float()
        return F.cross_entropy(logits, targets.flatten(), ignore_index=IGNORED, reduction="sum"), count
    hidden = model.hidden(inputs, **packing).flatten(0, 1)  # type: ignore[operator]  # (batch * token, emb_dim)
    is_trained = torch.is_grad_enabled()
    total: Tensor = _InParts.apply(hidden, weight, targets.flatten(), is_trained)  # type: ignore[no-untyped-call]
    return total, count


class _InParts(torch.autograd.Function):
    """The summed cross entropy of `hidden @ weight.T`, whose gradient is made on the way, part by part."""

    @staticmethod
    def forward(
        context: Any,
        hidden: Float[Tensor, "row emb_dim"],
        weight: Float[Tensor, "vocab emb_dim"],
        targets: Int64[Tensor, " row"],
        is_trained: bool,
    ) -> Float[Tensor, ""]:
        kind = hidden.device.type
        number = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
        total = torch.zeros((), dtype=torch.float32 if number == torch.bfloat16 else number, device=hidden.device)
        by_hidden = torch.zeros_like(hidden) if is_trained and context.needs_input_grad[0] else None
        by_weight = torch.zeros_like(weight) if is_trained and context.needs_input_grad[1] else None
        with torch.autocast(kind, enabled=False):
            matrix = _padded(weight, number)
            for start in range(0, len(targets), _ROWS):
                part, wanted = hidden[start : start + _ROWS].to(number), targets[start : start + _ROWS, None]
                kept = wanted != IGNORED
                at = wanted.where(kept, 0)
                scores = (part @ matrix.t()).to(total.dtype)  # (part, padded vocab)
                scores[:, len(weight) :] = -torch.inf
                log_sums = scores.logsumexp(1, keepdim=True)
                total += (log_sums - scores.gather(1, at)).masked_fill(~kept, 0).sum()
                if is_trained:
                    shares = scores.sub_(log_sums).exp_()
                    shares.scatter_(1, at, shares.gather(1, at) - 1)
                    slope = shares.mul_(kept).to(number)
                    if by_hidden is not None:
                        by_hidden[start : start + _ROWS] = slope @ matrix
                    if by_weight is not None and by_weight.dtype == number:
                        by_weight.addmm_(slope.t(), part)
                    elif by_weight is not None:
                        by_weight += (slope.t() @ part)[: len(weight)]
        context.save_for_backward(by_hidden, by_weight)
        return total

    @staticmethod
    @once_differentiable
    def backward(context: Any, upstream: Float[Tensor, ""]) -> tuple[Tensor | None, ...]:
        return *(None if each is None else each * upstream for each in context.saved_tensors), None, None


def _padded(weight: Float[Tensor, "vocab emb_dim"], number: torch.dtype) -> Float[Tensor, "padded emb_dim"]:
    """Return a matrix in another type of number, with rows of zeros up to a multiple; in its own type as it is."""
    if weight.dtype == number:
        return weight
    padded = weight.new_zeros(len(weight) + -len(weight) % _MULTIPLE, weight.shape[1], dtype=number)
    padded[: len(weight)] = weight
    return padded


def label(model: nn.Module, batch: Batch) -> tuple[Float[Tensor, ""], Int64[Tensor, ""]]:
    """Return the summed cross entropy of the label of each row, and how many there are.

    `batch` is (ids, lengths, labels): int64 (batch, token), the number of tokens in each row that are not padding
    (batch), and the labels (batch), `IGNORED` where a row has none. `model(ids, lengths)` gives logits (batch, label).
    """
    ids, lengths, labels = batch
    logits: Float[Tensor, "batch label"] = model(ids, lengths)
    return F.cross_entropy(logits.float(), labels, ignore_index=IGNORED, reduction="sum"), (labels != IGNORED).sum()
