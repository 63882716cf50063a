"""How many real tokens a second instruction tuning learns from: packed rows against the book's padded batches.

    python -m benchmarks.packing --shared ../shared/data
    python -m benchmarks.packing --shared ../shared/data --size 30M --rounds 3

The book's training records (the first 935 of 1,100, Alpaca's template, loss on every token) as two packed rows of 256
tokens a step, as the book's eight records padded to the longest, and as eight padded to a fixed 256. Real tokens are
those of records: padding counts for nothing. Everything else is equal: model, AdamW, loop. The three take turns in one
process, and the median round counts. Prints Markdown; exits 1 if a target is missed. Takes about 12 minutes on two idle
cores and 8 GB of memory. Run it in the project's root.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks import reporting, training
from components.gpt.model import GPT, GPTConfig
from components.tasks.instructions import IGNORED, Batches, Row, encode, read_alpaca, row
from components.tasks.packing import PackedBatches
from components.tokenizer.bpe import Tokenizer
from components.training.loop import Step, train
from components.training.losses import Batch, next_token
from components.training.optimizer import make

ROW_TOKENS = 256
PACKED_ROWS, RECORDS = 2, 8  # in a batch; two rows hold nine records
SEED = 123
N_TRAINING = 935  # int(0.85 * 1100), the book's split

SIZES = {
    "30M": replace(training.CONFIGURATIONS["13.8M"].model, vocab_size=50257, tie_weights=True),
    "124M": training.CONFIGURATIONS["124M"].model,
}
PACKED, BOOK, FIXED = "packed rows of 256", "the book's batches of 8", "8 padded to 256"
TARGETS = {BOOK: 1.15, FIXED: 3.0}
"""Least ratio of packed real tokens per second to those of the others."""
MOST_PADDING = 0.02
"""Most share of the packed rows that is padding."""

Way = Callable[[int], Batch]


def book_rows(shared: Path) -> tuple[list[Row], int]:
    """Return the book's training records as rows, and the end token."""
    tokenizer = Tokenizer.gpt2(shared / "gpt2_bpe")
    records = read_alpaca(shared / "book" / "instruction-data.json")[:N_TRAINING]
    examples = [encode(record, "alpaca", tokenizer.encode) for record in records]
    return [row(each, tokenizer.end_of_text, mask_prompt=False) for each in examples], tokenizer.end_of_text


def ways(rows: list[Row], end_of_text: int) -> dict[str, Way]:
    """Return by name what gives batch after batch of the rows."""
    padded = Batches(rows, RECORDS, SEED, end_of_text=end_of_text)

    def fixed(index: int) -> Batch:
        inputs, targets = padded(index)
        rest = (0, ROW_TOKENS - inputs.shape[1])
        return F.pad(inputs, rest, value=end_of_text), F.pad(targets, rest, value=IGNORED)

    return {
        PACKED: PackedBatches(rows, ROW_TOKENS, PACKED_ROWS, SEED, end_of_text=end_of_text),
        BOOK: padded,
        FIXED: fixed,
    }


@dataclass
class Learned:
    """What one way did."""

    real: int = 0
    """Tokens of records, over all rounds."""
    held: int = 0
    """Tokens of the batches, padding too."""
    rates: list[float] = field(default_factory=list)
    """Real tokens a second, by round."""

    @property
    def rate(self) -> float:
        """Median real tokens a second."""
        return statistics.median(self.rates)

    @property
    def padding_share(self) -> float:
        """Share of the batches' tokens that is no record's; 0..1."""
        return 1 - self.real / self.held


def measure(
    config: GPTConfig, batches: dict[str, Way], *, rounds: int, steps: int, device: torch.device, rung: str
) -> dict[str, Learned]:
    """Return what each way learned in `rounds` turns of `steps` steps."""
    learned = {name: Learned() for name in batches}
    runs = {name: _training(config, way, learned[name], device, rung) for name, way in batches.items()}
    for run in runs.values():
        next(run)  # first use sets kernels up, and compiles
    for each in learned.values():
        each.real = each.held = 0
    names = list(runs)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started = time.perf_counter()
            real = sum(int(next(runs[name]).tokens.item()) for _ in range(steps))
            learned[name].rates.append(real / (time.perf_counter() - started))
            learned[name].real += real
        print(f"round {turn + 1} of {rounds}", file=sys.stderr)
    return learned


def _training(config: GPTConfig, way: Way, learned: Learned, device: torch.device, rung: str) -> Iterator[Step]:
    """Return the endless steps of a model of its own; the sizes of the batches are added up as they are used."""

    def counted(model: torch.nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        learned.held += batch[0].numel()
        return next_token(model, batch)

    torch.manual_seed(SEED)
    how = training.training_settings(training.RUNGS[rung], RECORDS)
    model = GPT(config).to(device)
    return train(model, way, counted, how, device=device, optimizers=make(model, how.optimizer))


def report(learned: dict[str, Learned], packed_padding: float) -> str:
    """Return the result as Markdown."""
    lines = [
        "| | real tokens/s | slowest..fastest round | padding | packed is faster by | target |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in learned.items():
        ratio = "" if name == PACKED else f"{learned[PACKED].rate / each.rate:.2f}"
        cells = [name, f"{each.rate:,.0f}", f"{min(each.rates):,.0f}..{max(each.rates):,.0f}"]
        cells += [f"{each.padding_share:.1%}", ratio, f"{TARGETS[name]:g}" if name in TARGETS else ""]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Padding of an epoch's packed rows: {packed_padding:.2%}."]
    return "\n".join(lines)


def missed(learned: dict[str, Learned], packed_padding: float) -> list[str]:
    """Return each target that is missed, in words."""
    ratios = {name: learned[PACKED].rate / learned[name].rate for name in TARGETS}
    failures = [
        f"{ratios[name]:.2f} times {name}; expected {least:g} or more"
        for name, least in TARGETS.items()
        if ratios[name] < least
    ]
    if packed_padding >= MOST_PADDING:
        failures.append(f"{packed_padding:.2%} of the packed rows is padding; expected less than {MOST_PADDING:.0%}")
    return failures


def main() -> int:
    """Measure and print; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.packing", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--shared", type=Path, required=True, help="folder with book/ and gpt2_bpe/")
    parser.add_argument("--size", choices=SIZES, default="124M")
    parser.add_argument("--rung", choices=training.RUNGS, default=next(iter(training.RUNGS)), help="how it trains")
    parser.add_argument("--rounds", type=int, default=7, help="turns that the median is taken of")
    parser.add_argument("--steps", type=int, default=8, help="steps of a turn")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic algorithms want it
    rows, end_of_text = book_rows(arguments.shared)
    batches = ways(rows, end_of_text)
    learned = measure(
        SIZES[arguments.size],
        batches,
        rounds=arguments.rounds,
        steps=arguments.steps,
        device=torch.device(arguments.device),
        rung=arguments.rung,
    )
    padding = PackedBatches(rows, ROW_TOKENS, PACKED_ROWS, SEED, end_of_text=end_of_text).padding_share
    print(f"{arguments.size}, {arguments.rung}. {reporting.description()}\n\n{report(learned, padding)}")
    failures = missed(learned, padding)
    for failure in failures:
        print(f"missed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
