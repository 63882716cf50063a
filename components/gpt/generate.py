"""Text's continuation, token by token: greedy, or drawn with temperature, top-k and top-p."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from components.gpt.batching import by_length
from components.gpt.cache import Cache
from components.gpt.model import GPT

PastContext = Literal["slide", "refuse"]
"""When a text outgrows the context: the model sees its last context_length tokens, or it is refused beforehand."""

ENDED = 1 / 8
"""Share of a batch's rows that have ended from which the others go on without them; to move their keys and values costs
about what a step does. 32 answers of 1 to 200 tokens by 6 layers of 384: 5.7 s with all rows kept, 2.9 s like this."""

Choose = Callable[[Float[Tensor, "going vocab"], Int64[Tensor, " going"]], Int64[Tensor, " going"]]
"""What takes a token for each row that goes on, from its logits and its place in the batch."""


def generate(
    model: GPT,
    ids: Int64[Tensor, "batch token"],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_id: int | None = None,
    generator: torch.Generator | None = None,
    past_context: PastContext = "slide",
) -> Int64[Tensor, "batch token_and_new"]:
    """Return `ids` with up to `max_new_tokens` more.

    Temperature 0 takes the likeliest token; above 0 tokens are drawn as in `next_token`, by one number a row and token
    from `generator` (None: torch's global one). A row ends before its first `stop_id`; rows that end earlier than the
    longest are filled up with `stop_id`. Runs in evaluation mode and leaves the model in the mode it was in.

    Raises ValueError for empty ids, a setting out of range, and a text too long where `past_context` is "refuse".
    """
    if ids.ndim != 2 or 0 in ids.shape:
        raise ValueError(f"ids have shape {tuple(ids.shape)}; expected (batch, token), at least one of each")
    _check(model, [ids.shape[1]], max_new_tokens, temperature, top_k, top_p, past_context)
    choose = _choice(temperature, top_k, top_p, _draws(ids.shape[0], generator, ids.device))
    seen = ids[:, -model.config.context_length :]
    lengths = torch.full((seen.shape[0],), seen.shape[1], device=ids.device)
    return torch.cat([ids, *_continue(model, seen, lengths, max_new_tokens, choose, stop_id)], dim=1)


def stream(
    model: GPT,
    ids: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_id: int | None = None,
    generator: torch.Generator | None = None,
    past_context: PastContext = "slide",
) -> Iterator[int]:
    """Yield one by one the tokens that `generate` appends to this row, each as soon as it is chosen.

    The model is in evaluation mode until the last token, or until the iterator is closed.

    Raises ValueError as `generate` does, at once.
    """
    _check(model, [len(ids)], max_new_tokens, temperature, top_k, top_p, past_context)
    seen = torch.tensor([list(ids)[-model.config.context_length :]], device=model.body.token_embedding.weight.device)
    choose = _choice(temperature, top_k, top_p, _draws(1, generator, seen.device))
    lengths = torch.tensor([seen.shape[1]], device=seen.device)
    return (int(new) for new in _continue(model, seen, lengths, max_new_tokens, choose, stop_id))


def complete(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_id: int | None = None,
    generator: torch.Generator | None = None,
    seeds: Sequence[int] | None = None,
    batch_size: int = 32,
    past_context: PastContext = "slide",
) -> list[list[int]]:
    """Return for each prompt the tokens that follow it, without the prompt and without `stop_id`; order kept.

    Prompts may differ in length: `batch_size` of about the same length run side by side. Greedy answers are those of
    each prompt by itself, up to rounding: what stands beside it, or has ended and left, changes the last digits of its
    logits, and a near tie may fall the other way. So are drawn ones where each prompt has its seed: the numbers that
    draw come from a generator of its own on the CPU, for every device. Those drawn from `generator` depend on
    `batch_size` too. The rest is as in `generate`.

    Raises ValueError as `generate` does, naming the place of an empty prompt, and for seeds that are not one a prompt.
    """
    if seeds is not None and (generator is not None or len(seeds) != len(prompts)):
        came = "a generator too" if generator is not None else f"{len(seeds)}"
        raise ValueError(f"seeds: expected one for each of {len(prompts)} prompts and no generator, came {came}")
    lengths = [len(prompt) for prompt in prompts]
    _check(model, lengths, max_new_tokens, temperature, top_k, top_p, past_context)
    device = model.body.token_embedding.weight.device
    answers: list[list[int]] = [[] for _ in prompts]
    for places in by_length(prompts, batch_size):
        # Tokens before the context are never seen: without them the batch's lengths are closer together.
        seen = [list(prompts[place])[-model.config.context_length :] for place in places]
        ids = torch.tensor([prompt + [0] * (len(seen[-1]) - len(prompt)) for prompt in seen], device=device)
        lengths_seen = torch.tensor([len(prompt) for prompt in seen], device=device)
        if seeds is None:
            draws = _draws(len(places), generator, device)
        else:
            draws = _seeded_draws([seeds[place] for place in places], max_new_tokens, device)
        choose = _choice(temperature, top_k, top_p, draws)
        new = _continue(model, ids, lengths_seen, max_new_tokens, choose, stop_id)
        rows = torch.cat([ids, *new], dim=1)[:, ids.shape[1] :].tolist()
        for place, answer in zip(places, rows, strict=True):
            answers[place] = answer[: answer.index(stop_id)] if stop_id in answer else answer
    return answers


def next_token(
    logits: Float[Tensor, "batch vocab"],
    draws: Iterator[Float[Tensor, " batch"]],
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Int64[Tensor, " batch"]:
    """Return one token a row: the likeliest at temperature 0, else the one on which the row's draw falls.

    The tokens divide 0..1 in the order of their ids, each as wide as it is likely: softmax of logits / `temperature`,
    of the `top_k` likeliest, and of those the fewest whose mass reaches `top_p`; ties with the last of them stay in. A
    draw is a number in 0 <= draw < 1; at temperature 0 none is taken.

    Source: Raschka, Build a Large Language Model (From Scratch), section 5.3; Holtzman et al. 2020, The Curious Case of
    Neural Text Degeneration, section 3.1 (top-p).
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    # Less the greatest first: a small temperature makes no infinity of it.
    shares = ((logits - logits.amax(dim=-1, keepdim=True)) / temperature).softmax(dim=-1)
    if shares.device.type != "mps":  # it knows no float64
        shares = shares.double()
    if top_p is not None:
        descending = shares.sort(dim=-1, descending=True).values
        is_needed = descending.cumsum(dim=-1) - descending < top_p
        least = descending.masked_fill(~is_needed, torch.inf).amin(dim=-1, keepdim=True)
        shares = shares.masked_fill(shares < least, 0)
    ends = shares.cumsum(dim=-1)  # (batch, vocab): where each token's part ends
    return torch.searchsorted(ends, next(draws)[:, None] * ends[:, -1:], right=True).squeeze(1)


@torch.inference_mode()
def _continue(
    model: GPT,
    ids: Int64[Tensor, "batch token"],
    lengths: Int64[Tensor, " batch"],
    max_new_tokens: int,
    choose: Choose,
    stop_id: int | None,
) -> Iterator[Int64[Tensor, "batch 1"]]:
    """Yield the tokens that follow the rows of `ids`, then the next ones, until every row has said `stop_id`.

    Rows are padded on the right behind their `lengths`, at most context_length; one that has ended repeats `stop_id`,
    and is left out of the work as soon as `ENDED` of the rows are of its kind.
    """
    context_length = model.config.context_length
    batch, longest = ids.shape
    new, rows = ids[:, -1:], torch.cat([ids, ids.new_zeros(batch, max_new_tokens)], dim=1)
    going = torch.arange(batch, device=ids.device)  # the places of the rows that are worked on
    ended: Bool[Tensor, "going 1"] = torch.zeros_like(new, dtype=torch.bool)
    cache: Cache | None = model.cache(min(context_length, longest + max_new_tokens), lengths)
    was_training = model.training
    model.eval()
    try:
        for step in range(max_new_tokens):
            ends = (lengths + step)[:, None]  # (going, 1)
            if 0 < step <= context_length - longest:
                hidden = model.hidden(new, cache)[:, 0]  # (going, emb_dim)
            else:  # the prompts, or a window that slides: every token gets another position and nothing kept is of use
                cache = cache if step == 0 else None
                starts = (ends - context_length).clamp(min=0)
                columns = torch.arange(min(longest + step, context_length), device=ids.device)
                hidden = model.hidden(rows.gather(1, starts + columns), cache)
                hidden = hidden.take_along_dim((ends - starts - 1)[:, :, None], dim=1)[:, 0]
            new = choose(model.logits(hidden), going)[:, None]
            if stop_id is not None:
                new = new.masked_fill(ended, stop_id)
                ended |= new == stop_id
                if ended.all():
                    return
            rows.scatter_(1, ends, new)
            yield new if stop_id is None else ids.new_full((batch, 1), stop_id).index_copy(0, going, new)
            if stop_id is not None and ended.sum() >= max(1, ENDED * len(ended)):
                left = (~ended[:, 0]).nonzero()[:, 0]
                rows, lengths, going, new, ended = (each[left] for each in (rows, lengths, going, new, ended))
                if cache is not None:
                    cache.keep(left)
    finally:
        model.train(was_training)


def _draws(batch: int, generator: torch.Generator | None, device: torch.device) -> Iterator[Float[Tensor, " batch"]]:
    """Yield without end a number in 0..1 for each row, drawn from `generator`, or from torch's global one."""
    source = torch.device("cpu") if generator is None else generator.device
    while True:
        yield torch.rand(batch, generator=generator, device=source).to(device)


def _seeded_draws(seeds: Sequence[int], max_new_tokens: int, device: torch.device) -> Iterator[Float[Tensor, " batch"]]:
    """Yield `max_new_tokens` times a number in 0..1 for each row, each row's from a generator with its seed."""
    rows = [torch.rand(max_new_tokens, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return iter(torch.stack(rows, dim=1).to(device))


def _choice(
    temperature: float, top_k: int | None, top_p: float | None, draws: Iterator[Float[Tensor, " batch"]]
) -> Choose:
    """Return `next_token` with these settings; numbers are drawn for rows that have ended too, and not used."""

    def choose(logits: Float[Tensor, "going vocab"], going: Int64[Tensor, " going"]) -> Int64[Tensor, " going"]:
        own = (drawn[going] for drawn in draws)
        return next_token(logits, own, temperature=temperature, top_k=top_k, top_p=top_p)

    return choose


def _check(
    model: GPT,
    lengths: Sequence[int],
    max_new_tokens: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    past_context: PastContext,
) -> None:
    """Raise ValueError for a setting that cannot be obeyed, an empty prompt, and one too long for "refuse"."""
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens is {max_new_tokens}; expected at least 0")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature is {temperature}; expected a number from 0 up")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; expected at least 1, or null for all tokens")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p is {top_p}; expected a share above 0 and at most 1, or null for all tokens")
    if past_context not in ("slide", "refuse"):
        raise ValueError(f"past_context is {past_context!r}; expected 'slide' or 'refuse'")
    if 0 in lengths:
        raise ValueError(f"prompt {lengths.index(0)} is empty; expected at least one token")
    longest, context_length = max(lengths, default=0), model.config.context_length
    if past_context == "refuse" and longest + max_new_tokens > context_length:
        raise ValueError(
            f"prompt {lengths.index(longest)} has {longest} tokens and up to {max_new_tokens} more follow; the model "
            f"reads {context_length} at once: shorten either, or let the window slide (past_context 'slide')"
        )
