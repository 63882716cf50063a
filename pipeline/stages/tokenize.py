"""Split the corpus into documents, train or open the tokenizer, and keep every document's ids in Parquet."""

import logging
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from components.corpus import documents, reading
from components.corpus.documents import Document, Duplicate, SplitSettings
from components.corpus.reading import ReadingSettings, Refused
from components.tokenizer import table
from components.tokenizer.bpe import Ids, Tokenizer
from components.tokenizer.table import Row
from pipeline import checks, machine, paths, tracking
from pipeline.heartbeat import progress
from pipeline.orchestration import io, stage
from pipeline.work import work

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TokenizeSettings:
    """What is read, splits and vocabulary."""

    reading: ReadingSettings
    """How files become documents, and what is too large."""
    split: SplitSettings
    """How documents are split into training and validation."""
    vocabulary: Literal["trained", "gpt2"]
    """Merges trained on the training split, or GPT-2's own from two published files (else tiktoken's copy)."""
    vocab_size: int
    """Different tokens with the end of text; 257 is bytes without merges; GPT-2's own has 50257."""

    def __post_init__(self) -> None:
        """Refuse a size that the vocabulary cannot have."""
        if self.vocab_size < 257:
            raise ValueError(f"vocab_size is {self.vocab_size}; expected at least 257: each byte and the end of text")
        if self.vocabulary == "gpt2" and self.vocab_size != 50257:
            raise ValueError(f"vocab_size is {self.vocab_size}; GPT-2's own vocabulary has 50257")


@stage
def tokenize(tokenize: TokenizeSettings) -> None:
    """Write the tokenizer and the table of documents."""
    make_tokenizer(tokenize)
    counts = encode(tokenize)
    check()
    record(counts)


@io
def make_tokenizer(settings: TokenizeSettings) -> None:
    """Train the tokenizer on the training split, or open GPT-2's, and save it."""
    if settings.vocabulary == "gpt2":
        is_here = (paths.RAW_TOKENIZER / "vocab.bpe").exists()
        tokenizer = Tokenizer.gpt2(paths.RAW_TOKENIZER if is_here else None)
    else:
        with progress("tokenize: learning the vocabulary", reading.size_bytes(paths.RAW_CORPUS)) as on_read:
            found = documents.read(paths.RAW_CORPUS, settings.split, settings.reading, on_read)
            texts = (each.text for each in found if isinstance(each, Document) and each.split == "train")
            tokenizer = Tokenizer.trained(texts, settings.vocab_size)
    with paths.whole(paths.TOKENIZER) as folder:
        tokenizer.save(folder)


@io
def encode(settings: TokenizeSettings) -> dict[str, int]:
    """Write a row per document, with its ids, and what was left out with its place and reason; return their counts.

    A run that was killed is gone on with after its last full file.
    """
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    counts: Counter[str] = Counter(duplicates=0, refused=0)
    with (
        work("tokenize") as folder,
        paths.whole(paths.QUARANTINE) as quarantine,
        reading.quarantine(quarantine) as leave_out,
        progress("tokenize", reading.size_bytes(paths.RAW_CORPUS)) as on_read,
    ):
        found = documents.read(paths.RAW_CORPUS, settings.split, settings.reading, on_read)
        write(_kept(found, counts, leave_out), tokenizer, folder / "tokens", threads=os.cpu_count() or 1)
        done = folder / "done"  # a kill while it is copied to another disk shall leave nothing to go on from
        paths.remove(done)
        (folder / "tokens").rename(done)
        with paths.whole(paths.TOKENS) as temporary:
            shutil.move(done, temporary)
    return counts


def write(found: Iterable[Document], tokenizer: Tokenizer, folder: Path, threads: int) -> None:
    """Write a row for each document that the folder has none for yet; threads, or a cluster, change the time alone."""
    done = table.count(folder)
    read: deque[tuple[int, str, str, str, int, int]] = deque()  # what a row has beside ids, of texts not yet encoded

    def texts() -> Iterator[str]:
        for each in islice(found, done, None):
            read.append((each.index, each.source, each.split, each.place, each.begin, len(each.text.encode())))
            yield each.text

    with closing(_ids(texts(), tokenizer, folder, threads)) as ids:
        table.write((Row(*read.popleft(), its) for its in ids), folder, tokenizer.vocab_size)
    assert not read, f"{len(read)} texts have no ids"


def _ids(texts: Iterable[str], tokenizer: Tokenizer, folder: Path, threads: int) -> Generator[Ids, None, None]:
    """Yield the ids of each text, in order: from a Ray cluster where the environment names one, else from here."""
    if (address := machine.ray_address()) is None:
        yield from tokenizer.encode_each(texts, threads)
    else:
        from integrations import ray_data  # late: what it needs is an extra

        log.info("encoding on the Ray cluster at %s", address)
        between = folder.with_name("texts")
        yield from ray_data.encode_each(texts, tokenizer, between, address, machine.handed_on())


@io
def check() -> None:
    """Check the table of documents."""
    vocab_size = Tokenizer.load(paths.TOKENIZER).vocab_size
    checks.check("documents", table.summary(paths.TOKENS), checks.documents(vocab_size))


@io
def record(counts: dict[str, int]) -> None:
    """Record sizes, what was left out, and how well the vocabulary fits text that it was not trained on."""
    sizes = table.sizes(paths.TOKENS)
    numbers: dict[str, float | int] = {}
    for name in ("train", "validation"):
        for column, unit in (("documents", "documents"), ("count", "tokens"), ("size_bytes", "bytes")):
            numbers[f"{name}_{unit}"] = int(sizes[column][name])
    numbers["validation_bytes_per_token"] = numbers["validation_bytes"] / numbers["validation_tokens"]
    numbers["validation_tokens_per_word"] = numbers["validation_tokens"] / counts["validation_words"]
    numbers |= {name: counts[name] for name in ("duplicates", "refused")}
    tracking.record("tokenize", numbers)


def _kept(
    found: Iterable[Document | Refused], counts: Counter[str], leave_out: Callable[[Refused], None]
) -> Iterator[Document]:
    """Yield the documents, count and leave out the rest, and say what was read as something else than UTF-8."""
    told = ""
    for each in found:
        if isinstance(each, Refused):
            if not isinstance(each, Duplicate) and not counts["refused"]:
                log.warning("%s: not read: %s; all such are listed in %s", each.place, each.reason, paths.QUARANTINE)
            counts["duplicates" if isinstance(each, Duplicate) else "refused"] += 1
            leave_out(each)
            continue
        if each.encoding != "utf-8" and each.place != told:
            log.info("%s: not UTF-8, read as %s", each.place, each.encoding)
            told = each.place
        if each.split == "validation":
            counts["validation_words"] += len(each.text.split())
        yield each
