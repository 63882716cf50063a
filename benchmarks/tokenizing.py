"""From files to Parquet: our reading, splitting, encoding and writing beside tiktoken's encoding alone.

    python -m benchmarks.tokenizing --shared ../shared/data
    python -m benchmarks.tokenizing --shared ../shared/data --megabytes 4000 --rounds 1 --only-ours

The corpora of the shared folder, cut into documents of some 4 kB and repeated with changes, as .jsonl, in GPT-2's own
vocabulary. `tiktoken` has the documents in memory and calls `encode_ordinary_batch` with two threads on a thousand at a
time; ours is `pipeline.encoding.write` on the files, with two processes, of which one reads and writes too, and once
more with one. They take turns, each turn in a process of its own; the median turn counts. Prints Markdown; exits 1 if a
target is missed, or an id differs. Takes about 10 minutes on two idle cores and 1 GB of disk. For Linux. Run it in the
project's root.
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from benchmarks import reporting
from components.corpus import documents, reading
from components.corpus.documents import Document, SplitSettings
from components.corpus.reading import ReadingSettings
from components.tokenizer.bpe import Tokenizer
from pipeline import paths

LEAST_OF_TIKTOKEN = 0.9
"""Least share of the rate of tiktoken alone."""
LEAST_OF_ONE_PROCESS = 1.8
"""Least ratio of the rate of two processes to that of one."""
MOST_MIB = 1000.0
"""Most resident memory, of all processes together."""
DOCUMENT_CHARACTERS = 4000
FILE_BYTES = 50_000_000
AT_ONCE = 1000
SPLIT = SplitSettings("document", 0.1, 123)
READING = ReadingSettings("text", "source", gutenberg=False, most_unpacked_bytes=10**9, most_line_bytes=10**7)


@dataclass(frozen=True)
class Turn:
    """What one process measured."""

    seconds: float
    ids: int
    """Ids made, separators not counted."""
    memory_mib: float
    """Highest resident memory."""


def write_corpus(shared: Path, folder: Path, megabytes: int) -> int:
    """Write so many megabytes of text, the corpora over and over, no document twice; return the bytes of text."""
    pieces = []
    for found in reading.read(shared / "corpora", READING):
        if isinstance(found, reading.Text):
            pieces += [(found.source, part) for part in parts(found.text)]
    size, copy, number = 0, 0, 0
    while size < megabytes * 1_000_000:
        with (folder / f"{number:05d}.jsonl").open("w", encoding="utf-8") as file:
            while file.tell() < FILE_BYTES and size < megabytes * 1_000_000:
                for n, (source, piece) in enumerate(pieces):
                    text = f"{copy}.{n} {piece}"
                    file.write(json.dumps({"source": f"{source} {copy}", "text": text}, ensure_ascii=False) + "\n")
                    size += len(text.encode())
                copy += 1
        number += 1
    return size


def parts(text: str) -> Iterator[str]:
    """Yield a text in parts that end at paragraphs."""
    held: list[str] = []
    for paragraph in text.split("\n\n"):
        held.append(paragraph)
        if sum(map(len, held)) >= DOCUMENT_CHARACTERS:
            yield "\n\n".join(held)
            held = []
    if held:
        yield "\n\n".join(held)


def tiktoken_alone(shared: Path, corpus: Path, _: Path, threads: int) -> Turn:
    """Encode the documents, read before, with what tiktoken has for many."""
    tokenizer = Tokenizer.gpt2(shared / "gpt2_bpe")
    texts = [each.text for each in documents.read(corpus, SPLIT, READING) if isinstance(each, Document)]
    ids = 0
    started = time.perf_counter()
    for some in lists(iter(texts)):
        ids += sum(map(len, tokenizer.encoding.encode_ordinary_batch(some, num_threads=threads)))
    return Turn(time.perf_counter() - started, ids, reporting.peak_memory_mib())


def ours(shared: Path, corpus: Path, out: Path, processes: int) -> Turn:
    """Go from the files to Parquet."""
    from components.tokenizer import table  # late: the processes that encode import this module too, and not these
    from pipeline import encoding

    tokenizer = Tokenizer.gpt2(shared / "gpt2_bpe")
    with reporting.peak_memory_of_children() as children:
        started = time.perf_counter()
        found = (each for each in documents.read(corpus, SPLIT, READING) if isinstance(each, Document))
        encoding.write(found, tokenizer, out, processes)
        seconds = time.perf_counter() - started
    memory_mib = reporting.peak_memory_mib() + sum(children.values())
    return Turn(seconds, int(table.sizes(out)["count"].sum()), memory_mib)


def differing(shared: Path, corpus: Path, out: Path) -> int:
    """Return how many documents have other ids than tiktoken gives them."""
    from components.tokenizer import table

    tokenizer = Tokenizer.gpt2(shared / "gpt2_bpe")
    texts = (each.text for each in documents.read(corpus, SPLIT, READING) if isinstance(each, Document))
    rows = table.read(out)
    differ: int = sum(
        row.ids.tolist() != ids
        for some in lists(texts)
        for row, ids in zip(islice(rows, len(some)), tokenizer.encoding.encode_ordinary_batch(some), strict=True)
    )
    return differ + len(list(rows))


def lists(texts: Iterator[str]) -> Iterator[list[str]]:
    """Yield the texts, a thousand at a time."""
    while some := list(islice(texts, AT_ONCE)):
        yield some


OURS = "ours"
CONTESTANTS: dict[str, tuple[Callable[[Path, Path, Path, int], Turn], int]] = {
    "tiktoken alone": (tiktoken_alone, 2),
    "ours, one process": (ours, 1),
    OURS: (ours, 2),
}


def measure(shared: Path, corpus: Path, work: Path, rounds: int, names: list[str]) -> dict[str, list[Turn]]:
    """Return the turns of each contestant; what the last wrote lies in `work`."""
    context = multiprocessing.get_context("spawn")
    turns: dict[str, list[Turn]] = {name: [] for name in names}
    for turn in range(rounds):
        for name in names:
            paths.remove(work)
            body, threads = CONTESTANTS[name]
            with ProcessPoolExecutor(1, context) as process:
                turns[name].append(process.submit(body, shared, corpus, work, threads).result())
            print(f"turn {turn + 1} of {rounds}, {name}: {turns[name][-1].seconds:.1f} s", file=sys.stderr)
    return turns


def rate(turns: list[Turn], size_bytes: int) -> float:
    """Return the median rate, MB of text a second."""
    return size_bytes / 1e6 / statistics.median(each.seconds for each in turns)


def report(turns: dict[str, list[Turn]], size_bytes: int) -> str:
    """Return the results as a Markdown table."""
    lines = ["| | MB/s | seconds, least..most | of tiktoken alone | highest memory, MiB |", "|---|---|---|---|---|"]
    alone = turns.get("tiktoken alone")
    for name, each in turns.items():
        seconds = [turn.seconds for turn in each]
        share = f"{rate(each, size_bytes) / rate(alone, size_bytes):.2f}" if alone else ""
        memory_mib = max(turn.memory_mib for turn in each)
        span = f"{min(seconds):.1f}..{max(seconds):.1f}"
        lines.append(f"| {name} | {rate(each, size_bytes):.2f} | {span} | {share} | {memory_mib:,.0f} |")
    return "\n".join(lines)


def missed(turns: dict[str, list[Turn]], size_bytes: int) -> list[str]:
    """Return each target that is missed, in words."""
    rates = {name: rate(each, size_bytes) for name, each in turns.items()}
    words = []
    if "tiktoken alone" in rates and rates[OURS] < LEAST_OF_TIKTOKEN * rates["tiktoken alone"]:
        words.append(f"ours makes {rates['ours']:.2f} MB/s; expected {LEAST_OF_TIKTOKEN} of tiktoken alone")
    if "ours, one process" in rates and rates[OURS] < LEAST_OF_ONE_PROCESS * rates["ours, one process"]:
        words.append(f"ours makes {rates['ours']:.2f} MB/s; expected {LEAST_OF_ONE_PROCESS} times one process")
    if (most := max(turn.memory_mib for turn in turns[OURS])) > MOST_MIB:
        words.append(f"ours holds {most:,.0f} MiB; expected at most {MOST_MIB:,.0f}")
    return words


def main(words: list[str]) -> int:
    """Measure, print the table and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenizing", description=__doc__)
    parser.add_argument("--shared", type=Path, required=True, help="the folder with corpora and gpt2_bpe")
    parser.add_argument("--megabytes", type=int, default=200, help="of text (default 200)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("--only-ours", action="store_true", help="for the memory of a large corpus")
    arguments = parser.parse_args(words)
    paths.WORK.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.WORK) as folder:
        corpus, out = Path(folder, "corpus"), Path(folder, "tokens")
        corpus.mkdir()
        size_bytes = write_corpus(arguments.shared, corpus, arguments.megabytes)
        names = [OURS] if arguments.only_ours else list(CONTESTANTS)
        turns = measure(arguments.shared, corpus, out, arguments.rounds, names)
        other = differing(arguments.shared, corpus, out)
    print(f"{reporting.description()}\n\n{size_bytes / 1e6:,.0f} MB of text.\n\n{report(turns, size_bytes)}")
    failures = missed(turns, size_bytes) + ([f"{other} documents have other ids than tiktoken's"] if other else [])
    for each in failures:
        print(f"missed: {each}", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
