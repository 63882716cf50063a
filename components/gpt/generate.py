"""Text's continuation, token by token: greedy, or drawn with temperature and top-k."""

import functools
import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from components.gpt.model import GPT, Cache


def generate(
    model: GPT,
    ids: Int64[Tensor, "batch token"],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    stop_id: int | None = None,
    generator: torch.Generator | None = None,
) -> Int64[Tensor, "batch token_and_new"]:
    """Return `ids` with up to `max_new_tokens` more.

    Temperature 0 takes the likeliest token; above 0 tokens are drawn from `generator` (None: torch's global one), among
    the `top_k` likeliest (None: all; ties with the last of them stay in). The model sees the last context_length
    tokens. A row ends before its first `stop_id`; rows that end earlier than the longest are filled up with `stop_id`.
    Runs in evaluation mode and leaves the model in the mode it was in.

    Raises ValueError for empty ids, or a negative length or temperature, or top_k below 1.
    """
    if ids.ndim != 2 or 0 in ids.shape:
        raise ValueError(f"ids have shape {tuple(ids.shape)}; expected (batch, token), at least one of each")
    lengths = torch.full((ids.shape[0],), ids.shape[1], device=ids.device)
    return _continue(model, ids, lengths, max_new_tokens, _choice(temperature, top_k, generator), stop_id)


def complete(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    stop_id: int | None = None,
    generator: torch.Generator | None = None,
    batch_size: int = 32,
) -> list[list[int]]:
    """Return for each prompt the tokens that follow it, without the prompt and without `stop_id`; order kept.

    Prompts may differ in length: `batch_size` of about the same length run side by side. Greedy answers are those of
    each prompt by itself; drawn ones depend on `batch_size` too. The rest is as in `generate`.

    Raises ValueError as `generate` does, naming the place of an empty prompt.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    if 0 in (lengths := [len(prompt) for prompt in prompts]):
        raise ValueError(f"prompt {lengths.index(0)} is empty; expected at least one token")
    choose = _choice(temperature, top_k, generator)
    device = model.body.token_embedding.weight.device
    by_length = sorted(range(len(prompts)), key=lengths.__getitem__)
    answers: list[list[int]] = [[] for _ in prompts]
    for start in range(0, len(prompts), batch_size):
        places = by_length[start : start + batch_size]
        # Tokens before the context are never seen: without them the batch's lengths are closer together.
        seen = [list(prompts[place])[-model.config.context_length :] for place in places]
        longest = len(seen[-1])
        ids = torch.tensor([prompt + [0] * (longest - len(prompt)) for prompt in seen], device=device)
        lengths_seen = torch.tensor([len(prompt) for prompt in seen], device=device)
        rows = _continue(model, ids, lengths_seen, max_new_tokens, choose, stop_id).tolist()
        for place, prompt, row in zip(places, seen, rows, strict=True):
            answer = row[len(prompt) : len(prompt) + max_new_tokens]
            answers[place] = answer[: answer.index(stop_id)] if stop_id in answer else answer
    return answers


def next_token(
    logits: Float[Tensor, "batch vocab"],
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> Int64[Tensor, " batch"]:
    """Return one token a row: the likeliest at temperature 0, else drawn among the `top_k` likeliest, ties included.

    Source: Raschka, Build a Large Language Model (From Scratch), section 5.3.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    # Less the greatest first: a small temperature makes no infinity of it.
    shares = ((logits - logits.amax(dim=-1, keepdim=True)) / temperature).softmax(dim=-1)
    return torch.multinomial(shares, num_samples=1, generator=generator).squeeze(1)


@torch.no_grad()
def _continue(
    model: GPT,
    ids: Int64[Tensor, "batch token"],
    lengths: Int64[Tensor, " batch"],
    max_new_tokens: int,
    choose: Callable[[Tensor], Tensor],
    stop_id: int | None,
) -> Int64[Tensor, "batch token_and_new"]:
    """Return `ids` continued, each row from its own length on.

    All rows stand at the same position: it starts at the end of the shortest prompt, and where a longer one has a
    token of its own there, that stays and the new one is dropped. So no row needs padding, a mask or shifted positions.
    It ends when each row has said `stop_id` or has its `max_new_tokens`.
    """
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; expected at least 0")
    context_length = model.config.context_length
    rows = torch.cat([ids, ids.new_zeros(ids.shape[0], max_new_tokens)], dim=1)
    ended: Bool[Tensor, " batch"] = torch.zeros_like(lengths, dtype=torch.bool)
    cache: Cache | None = model.cache(min(context_length, rows.shape[1]))
    was_training = model.training
    model.eval()
    try:
        for position in range(int(lengths.min()), rows.shape[1]):
            ended |= position >= lengths + max_new_tokens
            if ended.all():
                return rows[:, :position]
            if position > context_length:  # the window slides: every token gets another position, nothing is kept
                cache = None
            window = rows[:, max(0, position - context_length) : position]
            seen = 0 if cache is None else cache[0].count
            hidden = model.hidden(window[:, seen:], cache)[:, -1]  # (batch, emb_dim)
            new = choose(model.logits(hidden))
            is_new = position >= lengths
            if stop_id is not None:
                new = torch.where(ended, stop_id, new)
                ended |= is_new & (new == stop_id)
                if ended.all():
                    return rows[:, :position]
            rows[:, position] = torch.where(is_new, new, rows[:, position])
    finally:
        model.train(was_training)
    return rows


def _choice(
    temperature: float, top_k: int | None, generator: torch.Generator | None
) -> Callable[[Float[Tensor, "batch vocab"]], Int64[Tensor, " batch"]]:
    """Return `next_token` with these settings, or raise ValueError for one that it cannot obey."""
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; expected a number from 0 up")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; expected at least 1, or null for all tokens")
    return functools.partial(next_token, temperature=temperature, top_k=top_k, generator=generator)
