"""Whether batches come fast enough, and from how much memory, however large the corpus is.

    python -m benchmarks.loader

Writes shards of seeded ids, 1 MB and 1 GB of them, and draws shuffled batches of the default's shape as training does,
past the end of an epoch, each size in a process of its own; another process makes the default's training steps. They
take turns, round by round, and the median round counts. The shards' pages are put out of the system's cache first.
Memory is what a process holds for itself (resident, not mapped from files): mapped pages belong to the cache, which
gives them back. Prints Markdown; exits 1 if a target is missed. Takes about 2 minutes and 1 GB of disk. For Linux, on a
CPU. Run it in the project's root.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import torch

from benchmarks import reporting, states
from components.gpt.model import GPT
from components.training.loop import train
from components.training.losses import next_token
from components.training.optimizer import make
from components.windows.batches import Batches
from components.windows.shards import Documents, ShardSettings, document, write, write_index
from components.windows.windows import Windows
from pipeline import paths, settings
from pipeline.commands import use

LEAST_RATIO = 10.0
"""Least ratio of the loader's tokens per second to those of training."""
MOST_GROWTH_MB = 10.0
"""Most that a process may hold more for the largest corpus than for the smallest, 10^6 bytes."""
TRAINING = "the default's training step"
_DOCUMENT = 1_000_000  # ids handed to the writer at once


@dataclass(frozen=True)
class Result:
    """What one process measured."""

    tokens_per_second: float
    """Median over the rounds."""
    windows: int = 0
    """Windows that the batches are drawn from; 0 for training."""
    before_mb: float = 0.0
    """Private memory before the shards were opened, 10^6 bytes."""
    opened_mb: float = 0.0
    """Private memory when the first batch could be asked for."""
    after_mb: float = 0.0
    """Private memory after the last round."""

    @property
    def held_mb(self) -> float:
        """What opening and drawing have added, 10^6 bytes."""
        return max(self.opened_mb, self.after_mb) - self.before_mb


def write_shards(folder: Path, size_bytes: int) -> None:
    """Write seeded ids of so many bytes in the default's shards, and put them out of the system's cache."""
    sections = settings.sections(use.combined("default"), paths.PRESETS)
    how: ShardSettings = settings.parse("shard", sections["shard"], ShardSettings)
    vocab_size: int = sections["tokenize"]["vocab_size"]

    def documents() -> Iterator[Documents]:
        generator = np.random.default_rng(0)
        for number, start in enumerate(range(0, size_bytes // 2, _DOCUMENT)):
            count = min(_DOCUMENT, size_bytes // 2 - start)
            yield document(number, generator.integers(vocab_size, size=count, dtype=np.uint16))

    split = write(
        documents(),
        folder,
        "train",
        end_of_text=None,
        vocab_size=vocab_size,
        shard_size=how.shard_size,
        size_bytes=size_bytes,
    )
    write_index(folder, [split], context_length=how.context_length, stride=how.stride, vocab_size=vocab_size)
    for each in split.files:
        with (folder / each.name).open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def private_mb() -> float:
    """Return what this process holds for itself: resident memory that is not mapped from a file, 10^6 bytes."""
    found = psutil.Process().memory_info()
    return float(found.rss - found.shared) / 1e6


def draw(folder: Path, round_s: float, pipe: Connection) -> None:
    """Draw batches for a round whenever told to, over the end of the first epoch; at last say the memory."""
    how = states.default().how
    Batches(Windows(folder, "train"), 1, 0)  # what numpy sets up at first use is no part of it
    before_mb = private_mb()
    windows = Windows(folder, "train")
    batches = Batches(windows, how.batch_size, how.seed)
    opened_mb = private_mb()
    index = max(0, batches.steps_per_epoch - 1000)

    def step() -> int:
        nonlocal index
        inputs, _ = batches(index)
        index += 1
        return inputs.numel()

    _rounds(step, round_s, pipe)
    pipe.send((len(windows), before_mb, opened_mb, private_mb()))


def make_steps(folder: Path, round_s: float, pipe: Connection) -> None:
    """Make the default's training steps, on batches of `folder`, for a round whenever told to."""
    case = states.default()
    torch.manual_seed(case.how.seed)
    model = GPT(case.model)
    batches = Batches(Windows(folder, "train"), case.how.batch_size, case.how.seed)
    optimizers = make(model, case.how.optimizer)
    steps = train(model, batches, next_token, case.how, device=torch.device("cpu"), optimizers=optimizers)
    for _ in range(states.WARM_UP):
        next(steps)
    _rounds(lambda: int(next(steps).tokens), round_s, pipe)
    pipe.send(())


def _rounds(step: Callable[[], int], round_s: float, pipe: Connection) -> None:
    """Say the tokens per second of a round, as often as asked for one."""
    pipe.send(None)
    while pipe.recv():
        tokens, started = 0, time.perf_counter()
        while (elapsed_s := time.perf_counter() - started) < round_s:
            tokens += step()
        pipe.send(tokens / elapsed_s)


def measure(folders: dict[str, Path], *, rounds: int, round_s: float) -> dict[str, Result]:
    """Return the result for each folder of shards, and for training on the first of them, after turns of rounds."""
    context = multiprocessing.get_context("spawn")
    first = next(iter(folders.values()))
    pipes: dict[str, Connection] = {}
    processes = []
    speeds: dict[str, list[float]] = {name: [] for name in (*folders, TRAINING)}
    try:
        for name in speeds:
            pipes[name], theirs = context.Pipe()
            body, folder = (make_steps, first) if name == TRAINING else (draw, folders[name])
            process = context.Process(target=body, args=(folder, round_s, theirs), daemon=True)
            process.start()
            theirs.close()  # so that the end of the process is the end of the pipe
            processes.append(process)
        for pipe in pipes.values():
            pipe.recv()
        for turn in range(rounds):
            for name, rates in speeds.items():
                pipes[name].send(True)
                rates.append(pipes[name].recv())
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
        results = {}
        for name, rates in speeds.items():
            pipes[name].send(False)
            results[name] = Result(statistics.median(rates), *pipes[name].recv())
        return results
    finally:
        for process in processes:
            process.kill()
            process.join()


def table(results: dict[str, Result]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| | windows | tokens/s | times training | memory before, MB | opened, MB | after the last round, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    training = results[TRAINING].tokens_per_second
    for name, each in results.items():
        cells = [name, "", f"{each.tokens_per_second:,.0f}", "", "", "", ""]
        if each.windows:
            cells[1], cells[3] = f"{each.windows:,}", f"{each.tokens_per_second / training:,.0f}"
            cells[4:] = [f"{each.before_mb:,.1f}", f"{each.opened_mb:,.1f}", f"{each.after_mb:,.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def missed(results: dict[str, Result]) -> list[str]:
    """Return each target that is missed, in words."""
    training = results[TRAINING].tokens_per_second
    loaders = {name: each for name, each in results.items() if name != TRAINING}
    failures = [
        f"{name}: {each.tokens_per_second / training:.1f} times the training rate; expected {LEAST_RATIO:g} or more"
        for name, each in loaders.items()
        if each.tokens_per_second < LEAST_RATIO * training
    ]
    smallest, *_, largest = loaders
    growth = loaders[largest].held_mb - loaders[smallest].held_mb
    if growth > MOST_GROWTH_MB:
        failures.append(f"{largest} holds {growth:.1f} MB more than {smallest}; expected at most {MOST_GROWTH_MB:g}")
    return failures


def main() -> int:
    """Measure and print; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 1000], help="MB of ids (default 1 1000)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds that the median is taken of (default 7)")
    parser.add_argument("--round-s", type=float, default=4.0, help="seconds of a round (default 4)")
    arguments = parser.parse_args()
    paths.WORK.mkdir(exist_ok=True)  # the project's disk
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.WORK) as temporary:
        folders = {f"{size:,} MB": Path(temporary) / str(size) for size in arguments.sizes}
        for size, folder in zip(arguments.sizes, folders.values(), strict=True):
            write_shards(folder, size * 1_000_000)
        results = measure(folders, rounds=arguments.rounds, round_s=arguments.round_s)
    print(f"{reporting.description()}\n\n{table(results)}")
    failures = missed(results)
    for failure in failures:
        print(f"missed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
