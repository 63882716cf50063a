"""The leakage gate over a corpus beside tokenizing it: the held-out side is hashed, the training text streams by.

    python -m benchmarks.leakage --shared ../shared/data

The corpus of `benchmarks.duplicates`, tokenized: one document of 20 is nearly another, and a tenth are held out. The
gate is what the stage `screen` does with a corpus: ids from Parquet to text, and its overlaps exactly, nearly and by 13
words; tokenizing goes from files to Parquet. They take turns, each in a process of its own, with two processes that
encode or two threads that look; the median turn counts.
Prints Markdown; exits 1 if the target is missed. For Linux. Run it in the project's root.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks import duplicates, reporting, tokenizing
from benchmarks.tokenizing import Turn
from components.overlap import screening
from components.overlap.near import NearSettings
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.decoding import Decoder
from pipeline import paths
from pipeline.passages import passages

MOST_OF_TOKENIZING = 0.6
"""Most share of the time that tokenizing takes."""
THREADS = 2
NEAR = NearSettings(threshold=0.8, words=5, permutations=128, seed=123)


def gate(shared: Path, tokens: Path) -> Turn:
    """Look for the held-out documents of a table among its training documents."""
    from pipeline.stages import screen  # late: the processes that encode import this module too, and not the stage

    tokenizer = Tokenizer.gpt2(shared / "gpt2_bpe")
    started = time.perf_counter()
    decoder = Decoder(tokenizer)
    for held_out in screen.corpus_validation(tokens, decoder, NEAR):
        read = screen.corpus_training(tokens, decoder)
        screening.stream(held_out, [], screen.TRAINED, read, passages, NEAR, THREADS)
    return Turn(time.perf_counter() - started, 0, reporting.peak_memory_mib())


def measure(shared: Path, corpus: Path, tokens: Path, rounds: int) -> tuple[list[Turn], list[Turn]]:
    """Return the turns of tokenizing and of the gate."""
    context = multiprocessing.get_context("spawn")
    both: tuple[list[Turn], list[Turn]] = ([], [])
    for turn in range(rounds):
        paths.remove(tokens)
        with ProcessPoolExecutor(1, context) as process:
            both[0].append(process.submit(tokenizing.ours, shared, corpus, tokens, THREADS).result())
        with ProcessPoolExecutor(1, context) as process:
            both[1].append(process.submit(gate, shared, tokens).result())
        seconds = ", ".join(f"{each[-1].seconds:.1f} s" for each in both)
        print(f"turn {turn + 1} of {rounds}, tokenizing and the gate: {seconds}", file=sys.stderr)
    return both


def share(tokenized: list[Turn], gated: list[Turn]) -> float:
    """Return the gate's median time as a share of tokenizing's."""
    return statistics.median(each.seconds for each in gated) / statistics.median(each.seconds for each in tokenized)


def report(tokenized: list[Turn], gated: list[Turn], size_bytes: int) -> str:
    """Return the results as a Markdown table."""
    lines = ["| | MB/s | seconds, least..most | highest memory, MiB |", "|---|---|---|---|"]
    for name, turns in (("tokenizing", tokenized), ("the gate", gated)):
        seconds = [turn.seconds for turn in turns]
        memory_mib = max(turn.memory_mib for turn in turns)
        rate = tokenizing.rate(turns, size_bytes)
        lines.append(f"| {name} | {rate:.2f} | {min(seconds):.1f}..{max(seconds):.1f} | {memory_mib:,.0f} |")
    return "\n".join([*lines, "", f"The gate takes {share(tokenized, gated):.2f} of tokenizing's time."])


def main(words: list[str]) -> int:
    """Measure, print the table and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leakage", description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with corpora and gpt2_bpe")
    parser.add_argument("--megabytes", type=int, default=200, help="of text (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    arguments = parser.parse_args(words)
    paths.WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.WORK) as folder:
        corpus, tokens = Path(folder, "corpus"), Path(folder, "tokens")
        corpus.mkdir()
        size_bytes, _ = duplicates.write_corpus(arguments.shared, corpus, arguments.megabytes)
        both = measure(arguments.shared, corpus, tokens, arguments.rounds)
    print(f"{reporting.description()}\n\n{size_bytes / 1e6:,.0f} MB of text.\n\n{report(*both, size_bytes)}")
    if (found := share(*both)) > MOST_OF_TOKENIZING:
        print(
            f"missed: the gate takes {found:.2f} of tokenizing's time; expected {MOST_OF_TOKENIZING}", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
