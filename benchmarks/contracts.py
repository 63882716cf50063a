"""What the contracts on documents cost beside tokenizing them.

    python -m benchmarks.contracts --shared ../shared/data

The corpus of `benchmarks.tokenizing` goes from files to Parquet as there, without contracts; then its documents are
judged one by one by the default's limits, and the table on disk as the stage does it, with Great Expectations' import.
Each is a process of its own, the median turn counts. Prints Markdown; exits 1 if the target is missed. Takes about 6
minutes on two idle cores and 2.5 GB of disk. For Linux. Run it in the project's root.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

from benchmarks import reporting, tokenizing
from components.corpus import contract, documents
from components.tokenizer import table
from pipeline import paths, settings
from pipeline.stages import tokenize
from pipeline.stages.tokenize import TokenizeSettings

MOST_OF_TOKENIZING = 0.2
"""Most share of the tokenizing time."""
VOCAB_SIZE = 50257
DEFAULT = Path("presets/default.yaml")
DOCUMENTS_HELD = 10_000
"""Documents in memory while they are judged: what reading them costs is no contract's."""


def judging(corpus: Path, how: TokenizeSettings) -> float:
    """Return the seconds in which the corpus's documents are judged one by one, and their U+FFFD counted."""
    found = documents.read(corpus, how.split, how.reading)
    seconds = 0.0
    while held := list(islice(found, DOCUMENTS_HELD)):
        started = time.perf_counter()
        for each in contract.judged(held, how.contract):
            if isinstance(each, documents.Document):
                each.text.count("\ufffd")
        seconds += time.perf_counter() - started
    return seconds


def checking(tokens: Path, folder: Path, how: TokenizeSettings) -> tuple[float, float]:
    """Return the seconds in which a table is checked, outcomes kept in a folder, and the highest memory, MiB."""
    os.chdir(folder)
    started = time.perf_counter()
    tokenize.judge(tokens, VOCAB_SIZE, how)
    return time.perf_counter() - started, reporting.peak_memory_mib()


def main(words: list[str]) -> int:
    """Measure, print the table and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contracts", description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with corpora and gpt2_bpe")
    parser.add_argument("--megabytes", type=int, default=1000, help="of text (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    arguments = parser.parse_args(words)
    default: TokenizeSettings = settings.parse("tokenize", settings.read(DEFAULT)["tokenize"], TokenizeSettings)
    how = replace(default, split=tokenizing.SPLIT, reading=tokenizing.READING)
    paths.WORK.mkdir(exist_ok=True)
    context = multiprocessing.get_context("spawn")
    seconds: dict[str, list[float]] = {"tokenizing": [], "judging documents": [], "checking the table": []}
    memory_mib = 0.0
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.WORK) as folder:
        corpus, tokens, out = (Path(folder, name).absolute() for name in ("corpus", "tokens", "out"))
        corpus.mkdir()
        out.mkdir()
        size_bytes = tokenizing.write_corpus(arguments.shared, corpus, arguments.megabytes)
        for _ in range(arguments.rounds):
            paths.remove(tokens)
            with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as process:
                turn = process.submit(tokenizing.ours, arguments.shared, corpus, tokens, 2).result()
                checked = process.submit(checking, tokens, out, how).result()
                judged = process.submit(judging, corpus, how).result()
            for name, took in zip(seconds, (turn.seconds, judged, checked[0]), strict=True):
                seconds[name].append(took)
            memory_mib = max(memory_mib, checked[1])
        groups = sum(1 for _ in table.row_groups(tokens, ["document"]))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    share = sum(medians.values()) / medians["tokenizing"] - 1
    print(f"{reporting.description()}\n\n{size_bytes / 1e6:,.0f} MB of text, {groups} row groups.\n")
    print("| | seconds, median | least..most | of tokenizing |\n|---|---|---|---|")
    for name, each in seconds.items():
        part = medians[name] / medians["tokenizing"]
        print(f"| {name} | {medians[name]:.2f} | {min(each):.2f}..{max(each):.2f} | {part:.3f} |")
    print(f"\nContracts together {share:.3f} of tokenizing; checking holds {memory_mib:,.0f} MiB at most.")
    failures = missed(share)
    for said in failures:
        print(f"missed: {said}", file=sys.stderr)
    return int(bool(failures))


def missed(share: float) -> list[str]:
    """Return each target that is missed, in words."""
    if share <= MOST_OF_TOKENIZING:
        return []
    return [f"contracts take {share:.3f} of tokenizing; expected {MOST_OF_TOKENIZING}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
