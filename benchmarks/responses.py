"""How fast 110 instructions are answered: our batches against one at a time and against transformers' batches.

    python -m benchmarks.responses --instructions instruction-data.json --vocabulary gpt2_bpe

The first is the book's file, whose 110 test records are asked in Alpaca's words; the second a folder with GPT-2's
encoder.json and vocab.bpe. The 124M shape with fresh weights in float32, 256 new tokens each, greedy, no end token. One
at a time has the same cache; transformers pads on the left. They take turns, so that all see the same machine, and the
median counts. Prints Markdown; exits 1 if a full run misses the target. A round takes a quarter of an hour on two
cores, most of it one at a time; `--only` leaves contestants out, and `--layers 2 --tokens 16` is a trial, without a
target. Run it in the project's root.
"""

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import reporting
from components.gpt.batching import by_length
from components.gpt.generate import complete
from components.gpt.model import GPT, PUBLISHED, GPTConfig
from components.tasks.instructions import prompt, read_alpaca
from components.tokenizer.bpe import Tokenizer

RECORDS, TOKENS = 110, 256
OURS, ALONE, TRANSFORMERS = "ours, batched", "ours, one at a time", "transformers, batched"
TARGETS = {ALONE: 3.0}
"""Least ratio of the other's time to ours."""

Times = dict[str, list[float]]
"""Seconds of each round, by contestant."""
Prompts = Sequence[Sequence[int]]


def prompts(instructions: Path, encode: Callable[[str], list[int]]) -> list[list[int]]:
    """Return the ids of the book's test prompts: the 110 records behind the first 85 % of its file."""
    records = read_alpaca(instructions)
    test = records[int(len(records) * 0.85) :][:RECORDS]
    if len(test) < RECORDS:
        raise ValueError(f"{instructions}: {len(records)} records; expected the book's 1,100")
    return [encode(prompt(record, "alpaca")) for record in test]


def contestants(config: GPTConfig, asked: Prompts, batch_size: int) -> dict[str, Callable[[int], list[list[int]]]]:
    """Return by name what answers every prompt with so many tokens."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT(config).eval()
    shape = GPT2Config(
        vocab_size=config.vocab_size,
        n_positions=config.context_length,
        n_embd=config.emb_dim,
        n_head=config.n_heads,
        n_layer=config.n_layers,
        bos_token_id=0,
        eos_token_id=0,
    )
    theirs: Any = GPT2LMHeadModel(shape)
    theirs.eval()

    def by_transformers(tokens: int) -> list[list[int]]:
        answers: list[list[int]] = [[] for _ in asked]
        for places in by_length(asked, batch_size):  # as ours: the less is padded
            width = len(asked[places[-1]])
            rows = [[0] * (width - len(asked[place])) + list(asked[place]) for place in places]
            mask = [[0] * (width - len(asked[place])) + [1] * len(asked[place]) for place in places]
            written = theirs.generate(
                torch.tensor(rows),
                attention_mask=torch.tensor(mask),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                use_cache=True,
                pad_token_id=0,
            )
            for place, row in zip(places, written[:, width:].tolist(), strict=True):
                answers[place] = row
        return answers

    return {
        OURS: lambda tokens: complete(model, asked, tokens, batch_size=batch_size),
        ALONE: lambda tokens: complete(model, asked, tokens, batch_size=1),
        TRANSFORMERS: by_transformers,
    }


def compare(
    config: GPTConfig, asked: Prompts, tokens: int, *, batch_size: int, rounds: int, only: Sequence[str]
) -> Times:
    """Return how long each contestant in `only` takes, in every round."""
    torch.manual_seed(0)
    turns = [(name, answer) for name, answer in contestants(config, asked, batch_size).items() if name in only]
    for _, answer in turns:
        answer(1)  # first use sets kernels up
    times: Times = {name: [] for name, _ in turns}
    for number in range(rounds):
        for name, answer in turns[:: 1 if number % 2 == 0 else -1]:
            started = time.perf_counter()
            answer(tokens)
            times[name].append(time.perf_counter() - started)
            print(f"{name}: {times[name][-1]:.2f} s", file=sys.stderr)
    return times


def ratio(times: Times, name: str) -> float:
    """Return how many times faster ours is."""
    return statistics.median(times[name]) / statistics.median(times[OURS])


def report(times: Times, written: int) -> str:
    """Return the result as Markdown; `written` are the tokens of a round."""
    lines = [
        "| | tokens/s | seconds, median | fastest..slowest | ours is faster by | target |",
        "|---|---|---|---|---|---|",
    ]
    for name, seconds in times.items():
        median = statistics.median(seconds)
        faster = f"{ratio(times, name):.2f}" if OURS in times else ""
        cells = [name, f"{written / median:.1f}", f"{median:.2f}", f"{min(seconds):.2f}..{max(seconds):.2f}", faster]
        lines.append(f"| {' | '.join([*cells, f'{TARGETS[name]:g}' if name in TARGETS else ''])} |")
    rounds = len(next(iter(times.values())))
    return "\n".join([*lines, "", f"{written} tokens a round, {rounds} rounds. {reporting.description()}"])


def missed(times: Times) -> list[str]:
    """Return each target that is missed, in words."""
    return [
        f"{ratio(times, name):.2f} times as fast as {name}; expected {least:g} or more"
        for name, least in TARGETS.items()
        if {name, OURS} <= times.keys() and ratio(times, name) < least
    ]


def main() -> int:
    """Measure and print; return 1 if a full run misses the target."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.responses", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--instructions", type=Path, required=True, help="the book's instruction-data.json")
    parser.add_argument("--vocabulary", type=Path, help="a folder with GPT-2's vocabulary (default: tiktoken's copy)")
    parser.add_argument("--batch-size", type=int, default=32, help="prompts side by side (default 32)")
    parser.add_argument("--rounds", type=int, default=3, help="turns that the median is taken of (default 3)")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens of an answer (default 256)")
    parser.add_argument("--layers", type=int, default=12, help="fewer than 12 are a smaller model")
    names = {"ours": OURS, "alone": ALONE, "transformers": TRANSFORMERS}
    parser.add_argument("--only", nargs="+", choices=names, default=list(names), help="who takes part (default: all)")
    arguments = parser.parse_args()
    config = dataclasses.replace(PUBLISHED["gpt2-124M"], n_layers=arguments.layers)
    asked = prompts(arguments.instructions, Tokenizer.gpt2(arguments.vocabulary).encode)
    times = compare(
        config,
        asked,
        arguments.tokens,
        batch_size=arguments.batch_size,
        rounds=arguments.rounds,
        only=[names[name] for name in arguments.only],
    )
    print(report(times, len(asked) * arguments.tokens))
    failures = missed(times) if (arguments.tokens, arguments.layers) == (TOKENS, 12) else []
    for failure in failures:
        print(f"missed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
