"""How fast GPT-2's 124M shape writes: our `generate` against the loop without a cache and transformers' `generate`.

    python -m benchmarks.generation

Fresh weights, a prompt of 16 tokens, 200 more, greedy, one row; once with all weights in float32, once in bfloat16. The
three take turns, so that all see the same machine, and the median counts. The loop reads the whole text for every token
and computes the last token's logits only. Prints Markdown; exits 1 if a full run misses a target. Takes about 5 minutes
on two idle cores and 3 GB of memory. Run it in the project's root.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks import reporting
from components.gpt.generate import generate
from components.gpt.model import GPT, PUBLISHED, GPTConfig

TOKENS = 200
PROMPT_TOKENS = 16
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}

OURS, LOOP, TRANSFORMERS = "ours", "loop without a cache", "transformers"
TARGETS = {
    ("float32", LOOP): 4.0,
    ("float32", TRANSFORMERS): 1.0,
    ("bfloat16", TRANSFORMERS): 1.2,
}
"""Least ratio of the other's time to ours. In bfloat16 the loop has none: a processor that multiplies such matrices in
hardware reads a hundred tokens in hardly more time than the weights take to arrive, which a single token costs too."""

Times = dict[tuple[str, str], list[float]]
"""Seconds of each repetition, by precision and contestant."""


def contestants(config: GPTConfig, precision: torch.dtype, ids: Tensor) -> dict[str, Callable[[int], object]]:
    """Return by name what writes so many tokens after `ids` (1, token)."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT(config).to(precision).eval()
    shape = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.context_length,
        n_embd=config.emb_dim,
        n_head=config.n_heads,
        n_layer=config.n_layers,
        bos_token_id=0,
        eos_token_id=0,
    )
    theirs: Any = GPT2LMHeadModel(shape).to(precision).eval()  # type: ignore[arg-type]

    def without_cache(tokens: int) -> Tensor:
        row = ids
        with torch.inference_mode():
            for _ in range(tokens):
                last = model.logits(model.hidden(row)[:, -1])
                row = torch.cat([row, last.argmax(dim=-1, keepdim=True)], dim=1)
        return row

    def by_transformers(tokens: int) -> Tensor:
        written: Tensor = theirs.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
        )
        return written

    return {OURS: lambda tokens: generate(model, ids, tokens), LOOP: without_cache, TRANSFORMERS: by_transformers}


def compare(config: GPTConfig, tokens: int, repetitions: int) -> Times:
    """Return how long each contestant takes for `tokens` tokens, in every repetition."""
    torch.manual_seed(0)
    ids = torch.randint(config.vocab_size, (1, PROMPT_TOKENS))
    times: Times = {}
    for precision, dtype in PRECISIONS.items():
        turns = list(contestants(config, dtype, ids).items())
        for _, write in turns:
            write(2)  # first use sets kernels up
        for repetition in range(repetitions):
            for name, write in turns[:: 1 if repetition % 2 == 0 else -1]:
                started = time.perf_counter()
                write(tokens)
                elapsed_s = time.perf_counter() - started
                times.setdefault((precision, name), []).append(elapsed_s)
                print(f"{precision} {name}: {elapsed_s:.2f} s", file=sys.stderr)
    return times


def ratio(times: Times, precision: str, name: str) -> float:
    """Return how many times faster ours is."""
    return statistics.median(times[precision, name]) / statistics.median(times[precision, OURS])


def report(times: Times, tokens: int) -> str:
    """Return the result as Markdown."""
    lines = [
        "| precision | | tokens/s | seconds, median | fastest..slowest | ours is faster by | target |",
        "|---|---|---|---|---|---|---|",
    ]
    for (precision, name), seconds in times.items():
        median = statistics.median(seconds)
        target = TARGETS.get((precision, name))
        cells = [precision, name, f"{tokens / median:.1f}", f"{median:.2f}", f"{min(seconds):.2f}..{max(seconds):.2f}"]
        cells += [f"{ratio(times, precision, name):.2f}", "" if target is None else f"{target:g}"]
        lines.append(f"| {' | '.join(cells)} |")
    repetitions = len(next(iter(times.values())))
    lines += ["", f"{tokens} tokens after {PROMPT_TOKENS}, {repetitions} times. {reporting.description()}"]
    return "\n".join(lines)


def missed(times: Times) -> list[str]:
    """Return each target that is missed, in words."""
    return [
        f"{precision}: {ratio(times, precision, name):.2f} times as fast as {name}; expected {least:g} or more"
        for (precision, name), least in TARGETS.items()
        if ratio(times, precision, name) < least
    ]


def main() -> int:
    """Measure and print; return 1 if a full run misses a target."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.generation", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--tokens", type=int, default=TOKENS, help="fewer than 200 are a trial, which checks no target")
    parser.add_argument("--repetitions", type=int, default=5, help="turns that the median is taken of (default 5)")
    arguments = parser.parse_args()
    times = compare(PUBLISHED["gpt2-124M"], arguments.tokens, arguments.repetitions)
    print(report(times, arguments.tokens))
    failures = missed(times) if arguments.tokens == TOKENS else []
    for failure in failures:
        print(f"missed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
