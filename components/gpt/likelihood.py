"""How likely a model finds given texts: the log-likelihood of continuations after their contexts."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from components.gpt.model import GPT


@torch.inference_mode()
def log_likelihoods(
    model: GPT,
    contexts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[int]],
    batch_size: int = 32,
) -> list[float]:
    """Return for each pair the natural logarithm of the continuation's probability after its context; order kept.

    It is the sum over the continuation's tokens, each given all before it, nats; 0 or less. Contexts are cut from the
    left where both together are longer than the model reads at once. `batch_size` pairs of about the same length run
    side by side. Runs in evaluation mode and leaves the model in the mode it was in.

    Raises ValueError where contexts and continuations are not as many, one is empty, or a continuation alone is longer
    than the model reads at once.
    """
    _check(model, contexts, continuations, batch_size)
    # The last token is read by nobody: it follows all others.
    most = model.config.context_length + 1
    texts = [[*context, *wanted][-most:] for context, wanted in zip(contexts, continuations, strict=True)]
    by_length = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found = [0.0] * len(texts)
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(texts), batch_size):
            places = by_length[start : start + batch_size]
            rows = [texts[place] for place in places]
            counts = [len(continuations[place]) for place in places]
            for place, its in zip(places, _of_last_tokens(model, rows, counts), strict=True):
                found[place] = its
    finally:
        model.train(was_training)
    return found


def _of_last_tokens(model: GPT, rows: Sequence[Sequence[int]], counts: Sequence[int]) -> list[float]:
    """Return the log-likelihood of the last `counts` tokens of each row, rows in ascending length."""
    device = model.output_weight.device
    longest = len(rows[-1]) - 1
    ids = torch.tensor([[*row[:-1], *[0] * (longest + 1 - len(row))] for row in rows], device=device)
    owner = [row for row, count in enumerate(counts) for _ in range(count)]
    column = [len(row) - 1 - count + k for row, count in zip(rows, counts, strict=True) for k in range(count)]
    targets = torch.tensor([row[-count + k] for row, count in zip(rows, counts, strict=True) for k in range(count)])
    hidden = model.hidden(ids)[owner, column]  # (wanted, emb_dim): a logit is made for what is asked only
    losses = F.cross_entropy(model.logits(hidden).float(), targets.to(device), reduction="none").cpu()
    return [-float(its.double().sum()) for its in torch.split(losses, list(counts))]


def _check(
    model: GPT, contexts: Sequence[Sequence[int]], continuations: Sequence[Sequence[int]], batch_size: int
) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    if len(contexts) != len(continuations):
        raise ValueError(f"{len(contexts)} contexts and {len(continuations)} continuations; expected one each")
    for place, (context, wanted) in enumerate(zip(contexts, continuations, strict=True)):
        if not context or not wanted:
            what = "context" if not context else "continuation"
            raise ValueError(f"{what} {place} is empty; expected at least one token (the end of text before a start)")
        if len(wanted) > model.config.context_length:
            raise ValueError(
                f"continuation {place} has {len(wanted)} tokens; expected at most the {model.config.context_length} "
                "that the model reads at once"
            )
