"""What leaving out near duplicates costs: tokenizing from files to Parquet with it and without.

    python -m benchmarks.duplicates --shared ../shared/data
    python -m benchmarks.duplicates --shared ../shared/data --megabytes 1000 --rounds 3

The corpora of the shared folder, cut into documents of some 4 kB, over and over with their words in another order, so
that no two have n-grams in common; after each twentieth comes a copy with one word of a hundred changed, which is to be
found. As .jsonl, in GPT-2's own vocabulary, with two threads. Both ways take turns, each turn in a process of its own;
the median turn counts. Prints Markdown; exits 1 if a target is missed, a copy is not found, or another document is left
out. For Linux. Run it in the project's root.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from benchmarks import reporting
from benchmarks.tokenizing import FILE_BYTES, READING, SPLIT, parts
from components.corpus import documents, reading
from components.corpus.documents import Document
from components.overlap.near import NearSettings
from components.tokenizer.bpe import Tokenizer
from pipeline import encoding, paths

MOST_OF_WITHOUT = 2.0
"""Most time, of that without."""
MOST_BYTES = 1000.0
"""Most memory that a document takes, beyond what tokenizing takes."""
NEAR = NearSettings(threshold=0.8, words=5, permutations=128, seed=123)
COPIED = 20
"""Of so many documents one is followed by its copy."""
CHANGED = 100
"""Of so many words of a copy one is changed, which leaves 0.9 of the n-grams."""
LEAST_WORDS = 100
COPY = "copy of "


@dataclass(frozen=True)
class Turn:
    """What one process measured."""

    seconds: float
    documents: int
    """Documents written."""
    copies: int
    """Copies among them."""
    left_out: int
    """Near duplicates left out."""
    memory_mib: float
    """Highest resident memory."""


def write_corpus(shared: Path, folder: Path, megabytes: int) -> tuple[int, int]:
    """Write at least so many megabytes of text; return the bytes of text and the number of copies."""
    pieces = [
        (found.source, np.array(part.split(), object))
        for found in reading.read(shared / "corpora", READING)
        if isinstance(found, reading.Text)
        for part in parts(found.text)
        if len(part.split()) >= LEAST_WORDS
    ]
    drawn = np.random.default_rng(1)
    size, number, copies = 0, 0, 0
    while size < megabytes * 1_000_000:
        with (folder / f"{number:05d}.jsonl").open("w", encoding="utf-8") as file:
            while file.tell() < FILE_BYTES and size < megabytes * 1_000_000:
                for n, (source, piece) in enumerate(pieces):
                    words = drawn.permutation(piece)
                    size += _write(file, source, words)
                    if n % COPIED == 0:
                        words[drawn.choice(len(words), len(words) // CHANGED, replace=False)] = "changed"
                        size += _write(file, COPY + source, words)
                        copies += 1
        number += 1
    return size, copies


def _write(file: IO[str], source: str, words: NDArray[np.object_]) -> int:
    text = " ".join(words)
    file.write(json.dumps({"source": source, "text": text}, ensure_ascii=False) + "\n")
    return len(text.encode())


def turn(shared: Path, corpus: Path, out: Path, near: NearSettings | None) -> Turn:
    """Go from the files to Parquet."""
    tokenizer = Tokenizer.gpt2(shared / "gpt2_bpe")
    written, copies, left_out = 0, 0, 0

    def kept() -> Iterator[Document]:
        nonlocal written, copies, left_out
        from pipeline.stages import (
            tokenize,  # late: the processes that encode import this module too, and not the stage
        )

        sift = partial(tokenize.without_near, settings=near) if near else iter
        for each in documents.read(corpus, SPLIT, READING, sift=sift):
            if isinstance(each, Document):
                written += 1
                copies += each.source.startswith(COPY)
                yield each
            left_out += not isinstance(each, Document) and each.kind == "near_duplicates"

    started = time.perf_counter()
    encoding.write(kept(), tokenizer, out, processes=2)
    return Turn(time.perf_counter() - started, written, copies, left_out, reporting.peak_memory_mib())


WITHOUT, WITH = "without", "with"
WAYS = {WITHOUT: None, WITH: NEAR}


def measure(shared: Path, corpus: Path, out: Path, rounds: int) -> dict[str, list[Turn]]:
    """Return the turns of each way."""
    context = multiprocessing.get_context("spawn")
    turns: dict[str, list[Turn]] = {name: [] for name in WAYS}
    for number in range(rounds):
        for name, near in WAYS.items():
            paths.remove(out)
            with ProcessPoolExecutor(1, context) as process:
                turns[name].append(process.submit(turn, shared, corpus, out, near).result())
            print(f"turn {number + 1} of {rounds}, {name}: {turns[name][-1].seconds:.1f} s", file=sys.stderr)
    return turns


def of_without(turns: dict[str, list[Turn]]) -> float:
    """Return the time with, of that without: the median turns."""
    return statistics.median(each.seconds for each in turns[WITH]) / statistics.median(
        each.seconds for each in turns[WITHOUT]
    )


def bytes_a_document(turns: dict[str, list[Turn]]) -> float:
    """Return the memory that a document takes more with than without: the highest of each."""
    more_mib = max(each.memory_mib for each in turns[WITH]) - max(each.memory_mib for each in turns[WITHOUT])
    return more_mib * 2**20 / turns[WITHOUT][0].documents


def report(turns: dict[str, list[Turn]], size_bytes: int) -> str:
    """Return the results as a Markdown table."""
    lines = ["| near duplicates | MB/s | seconds, least..most | documents | left out | highest memory, MiB |"]
    lines.append("|---|---|---|---|---|---|")
    for name, each in turns.items():
        seconds = [one.seconds for one in each]
        lines.append(
            f"| {name} | {size_bytes / 1e6 / statistics.median(seconds):.2f} | {min(seconds):.1f}..{max(seconds):.1f} "
            f"| {each[0].documents:,} | {each[0].left_out:,} | {max(one.memory_mib for one in each):,.0f} |"
        )
    return "\n".join(lines)


def missed(turns: dict[str, list[Turn]], copies: int) -> list[str]:
    """Return each target that is missed, in words."""
    words = []
    if of_without(turns) > MOST_OF_WITHOUT:
        words.append(f"{of_without(turns):.2f} times the time without; expected at most {MOST_OF_WITHOUT}")
    if bytes_a_document(turns) > MOST_BYTES:
        words.append(f"{bytes_a_document(turns):,.0f} bytes a document; expected at most {MOST_BYTES:,.0f}")
    for each in turns[WITH]:
        if each.copies:
            words.append(f"{each.copies} of {copies} copies were not found")
        if each.left_out + each.copies != copies:
            words.append(f"{each.left_out + each.copies - copies} documents were left out that are no copies")
    return words


def main(words: list[str]) -> int:
    """Measure, print the table and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duplicates", description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with corpora and gpt2_bpe")
    parser.add_argument("--megabytes", type=int, default=200, help="of text (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    arguments = parser.parse_args(words)
    paths.WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.WORK) as folder:
        corpus, out = Path(folder, "corpus"), Path(folder, "tokens")
        corpus.mkdir()
        size_bytes, copies = write_corpus(arguments.shared, corpus, arguments.megabytes)
        turns = measure(arguments.shared, corpus, out, arguments.rounds)
    print(f"{reporting.description()}\n\n{size_bytes / 1e6:,.0f} MB of text.\n\n{report(turns, size_bytes)}\n")
    print(f"{of_without(turns):.2f} times the time without, {bytes_a_document(turns):,.0f} bytes a document.")
    failures = missed(turns, copies)
    for each in failures:
        print(f"missed: {each}", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
