"""How fast tokens become shards, hashes included, and how soon a window can be asked for.

    python -m benchmarks.sharding

Writes a table of a million documents of seeded ids, 1 GB of them, nine of ten for training; lays them in shards as the
stage does, and opens the training split, each in a process of its own, as often as asked. Prints Markdown; exits 1 if a
target is missed. Takes about 2 minutes, 2 GB of disk. Run it in the project's root.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import reporting
from components.tokenizer import table
from components.tokenizer.table import Row
from components.windows.shards import ShardSettings
from components.windows.windows import Windows
from pipeline import paths
from pipeline.stages import shard

LEAST_MB_A_SECOND = 150.0
"""Least rate, 10^6 bytes of ids."""
MOST_OPENING_S = 0.05
"""Longest time until a split is open."""
VOCAB_SIZE = 50_257
IDS = 500  # of a document
HOW = ShardSettings(context_length=1024, stride=1024, separator="end_of_text", shard_size=10_000_000)


def rows(documents: int) -> Iterator[Row]:
    """Yield documents of seeded ids."""
    generator = np.random.default_rng(0)
    for n in range(documents):
        ids = generator.integers(VOCAB_SIZE - 1, size=IDS, dtype=np.uint16)
        yield Row(n, "source", "validation" if n % 10 == 0 else "train", f"file line {n + 1}", 0, 4 * IDS, 4 * IDS, ids)


def write(tokens: Path, folder: Path) -> tuple[float, float]:
    """Lay the table's ids in shards; return the seconds and the process's highest memory in MiB."""
    started = time.perf_counter()
    shard.lay(tokens, folder, HOW, end_of_text=VOCAB_SIZE - 1, vocab_size=VOCAB_SIZE)
    return time.perf_counter() - started, reporting.peak_memory_mib()


def open_(folder: Path) -> float:
    """Return the seconds until the training split is open and its last window is there."""
    started = time.perf_counter()
    windows = Windows(folder, "train")
    windows[len(windows) - 1]
    return time.perf_counter() - started


def main(words: list[str]) -> int:
    """Measure, print the table and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharding", description=__doc__)
    parser.add_argument("--documents", type=int, default=1_000_000, help="of 500 ids each (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each (default 3)")
    arguments = parser.parse_args(words)
    context = multiprocessing.get_context("spawn")
    writings, openings = [], []
    paths.WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.WORK) as work:
        tokens, folder = Path(work, "tokens"), Path(work, "shards")
        table.write(rows(arguments.documents), tokens, VOCAB_SIZE)
        for _ in range(arguments.rounds):
            paths.remove(folder)
            with ProcessPoolExecutor(1, context) as process:
                writings.append(process.submit(write, tokens, folder).result())
            with ProcessPoolExecutor(1, context) as process:
                openings.append(process.submit(open_, folder).result())
    size_mb = arguments.documents * (IDS + 1) * 2 / 1e6
    seconds, opening = statistics.median(each for each, _ in writings), statistics.median(openings)
    print(f"{reporting.description()}\n")
    print("| documents | ids, MB | seconds, median | MB/s | target | highest memory, MiB | open after, ms | target |")
    print("|---|---|---|---|---|---|---|---|")
    memory_mib = max(each for _, each in writings)
    print(
        f"| {arguments.documents:,} | {size_mb:,.0f} | {seconds:.2f} | {size_mb / seconds:.0f} "
        f"| {LEAST_MB_A_SECOND:.0f} | {memory_mib:,.0f} | {opening * 1e3:.1f} | {MOST_OPENING_S * 1e3:.0f} |"
    )
    failures = missed(size_mb / seconds, opening)
    for each in failures:
        print(f"missed: {each}", file=sys.stderr)
    return int(bool(failures))


def missed(rate: float, opening: float) -> list[str]:
    """Return each target that is missed, in words: of a rate in MB a second and of seconds to open."""
    words = []
    if rate < LEAST_MB_A_SECOND:
        words.append(f"{rate:.0f} MB of ids a second; expected {LEAST_MB_A_SECOND:.0f}")
    if opening > MOST_OPENING_S:
        words.append(f"{opening * 1e3:.1f} ms to open; expected at most {MOST_OPENING_S * 1e3:.0f}")
    return words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
