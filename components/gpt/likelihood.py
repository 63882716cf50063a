"""How likely a text is behind another: the log-probability of each of its tokens, summed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from components.gpt.batching import by_length
from components.gpt.model import GPT

POSITIONS = 1024
"""Logits that are held at once; of GPT-2's vocabulary in float32 these are 200 MB."""

Pair = tuple[Sequence[int], Sequence[int]]
"""Ids of a context and of an ending that follows it."""


@dataclass(frozen=True)
class Likelihood:
    """How likely an ending is behind its context."""

    nats: float
    """Sum of the log-probabilities of its tokens; 0 or less."""
    tokens: int
    """Tokens of the ending."""
    is_greedy: bool
    """Whether each of them is the likeliest at its place."""
    tokens_cut: int
    """Tokens of the context that the model was not shown, the first ones, for the whole is too long."""

    @property
    def nats_per_token(self) -> float:
        """Mean log-probability of a token."""
        return self.nats / self.tokens


def likelihoods(model: GPT, pairs: Sequence[Pair], *, batch_size: int = 32) -> list[Likelihood]:
    """Return how likely each ending is behind its context, in the order of the pairs.

    Pairs of about the same length are read side by side, padded on the right, which no token looks at. Where both are
    longer than context_length + 1 (the last token is predicted, not read) the beginning of the context is left out.
    Log-probabilities are float32 and summed as float64, on the CPU. Runs in evaluation mode and leaves the model in the
    mode it was in.

    Raises ValueError for an empty context or ending (nothing says what comes first; an end-of-text token is a context),
    and for an ending longer than context_length.
    Source: the scores of Brown et al. 2020, Language Models are Few-Shot Learners, section 2.4, cut as in
    lm-evaluation-harness 0.4 (lm_eval/models/huggingface.py).
    """
    most = model.config.context_length
    for place, (context, ending) in enumerate(pairs):
        if not context or not ending:
            what = "ending" if context else "context"
            raise ValueError(f"pair {place}: the {what} is empty; expected at least one token")
        if len(ending) > most:
            raise ValueError(f"pair {place}: the ending has {len(ending)} tokens; the model reads {most} at once")
    texts = [[*context, *ending][-most - 1 :] for context, ending in pairs]
    found: list[Likelihood | None] = [None] * len(pairs)
    was_training = model.training
    model.eval()
    try:
        for places in by_length(texts, batch_size):
            counts = [len(pairs[place][1]) for place in places]
            sums = _scored(model, [texts[place] for place in places], counts)
            for place, count, (nats, is_greedy) in zip(places, counts, sums, strict=True):
                cut = len(pairs[place][0]) + count - len(texts[place])
                found[place] = Likelihood(nats, count, is_greedy, cut)
    finally:
        model.train(was_training)
    return [each for each in found if each is not None]


@torch.inference_mode()
def losses(
    model: GPT, inputs: Int64[Tensor, "batch token"], targets: Int64[Tensor, "batch token"]
) -> Float[Tensor, "batch token"]:
    """Return the cross entropy of each target, the token behind the inputs up to there, nats, float32, on the CPU.

    It is 0 where the target is below 0, of which no logits are made. Runs in the mode that the model is in.
    """
    device = model.body.token_embedding.weight.device
    is_scored = targets >= 0
    hidden = model.hidden(inputs.to(device))[is_scored.to(device)]  # (scored, emb_dim)
    parts = zip(*(torch.split(each, POSITIONS) for each in (hidden, targets[is_scored].to(device))), strict=True)
    found = torch.zeros(targets.shape)
    found[is_scored] = torch.cat([-_looked_up(model, *part)[0] for part in parts]).cpu()
    return found


@torch.inference_mode()
def _scored(model: GPT, texts: Sequence[Sequence[int]], counts: Sequence[int]) -> list[tuple[float, bool]]:
    """Return for the last `counts` tokens of each text the sum of their log-probabilities, and whether all are greedy.

    `texts` begin with their shortest and end with their longest.
    """
    device = model.body.token_embedding.weight.device
    width = len(texts[-1])
    ids: Int64[Tensor, "row token"] = torch.tensor([[*text, *[0] * (width - len(text))] for text in texts]).to(device)
    spans = [range(len(text) - count - 1, len(text) - 1) for text, count in zip(texts, counts, strict=True)]
    rows = torch.tensor([row for row, span in enumerate(spans) for _ in span], device=device)
    columns = torch.tensor([column for span in spans for column in span], device=device)
    hidden = model.hidden(ids[:, :-1])[rows, columns]  # (scored, emb_dim)
    targets = ids[rows, columns + 1]
    parts = zip(torch.split(hidden, POSITIONS), torch.split(targets, POSITIONS), strict=True)
    found = zip(*(_looked_up(model, *part) for part in parts), strict=True)
    nats, is_likeliest = (torch.split(torch.cat(each).cpu(), list(counts)) for each in found)
    return [(float(own.double().sum()), bool(greedy.all())) for own, greedy in zip(nats, is_likeliest, strict=True)]


def _looked_up(
    model: GPT, hidden: Float[Tensor, "scored emb_dim"], targets: Int64[Tensor, " scored"]
) -> tuple[Tensor, Tensor]:
    """Return the log-probability of each target, and whether it is the likeliest."""
    logits = model.logits(hidden).float()
    own = logits.gather(1, targets[:, None])[:, 0]
    return own - logits.logsumexp(dim=1), logits.argmax(dim=1) == targets
