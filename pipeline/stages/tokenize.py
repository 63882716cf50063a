"""Split the corpus into documents, train or open the tokenizer, and keep every document's ids in Parquet."""

import logging
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice, tee
from pathlib import Path
from typing import Literal

from components.corpus import documents, reading
from components.corpus.documents import Document, Duplicate, NearDuplicate, SplitSettings
from components.corpus.reading import ReadingSettings, Refused, Text
from components.overlap.near import NearSettings, matches
from components.tokenizer import table
from components.tokenizer.bpe import Ids, Tokenizer
from components.tokenizer.table import Row
from pipeline import checks, machine, paths, tracking
from pipeline.heartbeat import progress
from pipeline.orchestration import io, stage
from pipeline.pool import in_order
from pipeline.work import work

log = logging.getLogger(__name__)

BATCH_CHARACTERS = 2**18
"""Characters that a process encodes at once."""
ALONE = 64
"""Batches, about a second's work, that are encoded before other processes are begun."""
_COUNTED = {Duplicate: "duplicates", NearDuplicate: "near_duplicates"}


@dataclass(frozen=True)
class TokenizeSettings:
    """What is read, splits and vocabulary."""

    reading: ReadingSettings
    """How files become documents, and what is too large."""
    near: NearSettings | None
    """When a text counts as an earlier one that was changed a little, and is left out; None: never."""
    split: SplitSettings
    """How documents are split into training and validation."""
    vocabulary: Literal["trained", "gpt2"]
    """Merges trained on the training split, or GPT-2's own from two published files (else tiktoken's copy)."""
    vocab_size: int
    """Different tokens with the special ones and the end of text; 257 is bytes alone; GPT-2's own has 50257."""
    special_tokens: tuple[str, ...]
    """Tokens of a trained vocabulary that no text encodes to, such as `<|user|>`, beside the end of text."""

    def __post_init__(self) -> None:
        """Refuse special tokens and a size that the vocabulary cannot have."""
        least = Tokenizer([], self.special_tokens).vocab_size
        if self.vocab_size < least:
            named = "".join(f"{token}, " for token in self.special_tokens)
            raise ValueError(
                f"vocab_size is {self.vocab_size}; expected at least {least}: each byte, {named}and the end of text"
            )
        if self.vocabulary == "gpt2" and self.special_tokens:
            raise ValueError(f"special_tokens has {self.special_tokens[0]!r}; GPT-2's own vocabulary takes none")
        if self.vocabulary == "gpt2" and self.vocab_size != 50257:
            raise ValueError(f"vocab_size is {self.vocab_size}; GPT-2's own vocabulary has 50257")


@stage
def tokenize(tokenize: TokenizeSettings) -> None:
    """Write the tokenizer and the table of documents."""
    make_tokenizer(tokenize)
    counts = encode(tokenize)
    check()
    record(tokenize, counts)


@io
def make_tokenizer(settings: TokenizeSettings) -> None:
    """Train the tokenizer on the training split, or open GPT-2's, and save it."""
    if settings.vocabulary == "gpt2":
        tokenizer = Tokenizer.gpt2(paths.RAW_TOKENIZER if _has_gpt2() else None)
    else:
        with progress("tokenize: learning the vocabulary", reading.size_bytes(paths.RAW_CORPUS)) as on_read:
            found = read(settings, on_read)
            texts = (each.text for each in found if isinstance(each, Document) and each.split == "train")
            tokenizer = Tokenizer.trained(texts, settings.vocab_size, settings.special_tokens)
    with paths.whole(paths.TOKENIZER) as folder:
        tokenizer.save(folder)


@io
def encode(settings: TokenizeSettings) -> dict[str, int]:
    """Write a row per document, with its ids, and what was left out with its place and reason; return their counts.

    A run that was killed is gone on with after its last full file.
    """
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    counts: Counter[str] = Counter(duplicates=0, near_duplicates=0, refused=0)
    with (
        work("tokenize") as folder,
        paths.whole(paths.QUARANTINE) as quarantine,
        reading.quarantine(quarantine) as leave_out,
        progress("tokenize", reading.size_bytes(paths.RAW_CORPUS)) as on_read,
    ):
        found = read(settings, on_read)
        write(_kept(found, counts, leave_out), tokenizer, folder / "tokens", processes=os.cpu_count() or 1)
        done = folder / "done"  # a kill while it is copied to another disk shall leave nothing to go on from
        paths.remove(done)
        (folder / "tokens").rename(done)
        with paths.whole(paths.TOKENS) as temporary:
            shutil.move(done, temporary)
    return counts


def read(settings: TokenizeSettings, on_read: Callable[[int], object] | None = None) -> Iterator[Document | Refused]:
    """Yield the corpus's documents, and what is left out between: what cannot be read, duplicates, near duplicates."""
    sift = partial(without_near, settings=settings.near) if settings.near else iter
    return documents.read(paths.RAW_CORPUS, settings.split, settings.reading, on_read, sift)


def without_near(found: Iterator[Text | Refused], settings: NearSettings) -> Iterator[Text | Refused]:
    """Pass on what was found, with a refusal for each text that is nearly an earlier one."""
    found, compared = tee(found)
    alike = matches(((each.text, documents.where(each)) for each in compared if isinstance(each, Text)), settings)
    for each in found:
        if isinstance(each, Text) and (match := next(alike)):
            reason = f"nearly the same text as {match.place} ({match.similarity:.2f})"
            yield NearDuplicate(documents.where(each), reason)
        else:
            yield each


def write(found: Iterable[Document], tokenizer: Tokenizer, folder: Path, processes: int) -> None:
    """Write a row for each document that the folder has none for yet; who encodes changes the time alone."""
    done = table.count(folder)
    waiting: deque[tuple[int, str, str, str, int, int]] = deque()  # what a row has beside ids, of texts being encoded

    def texts() -> Iterator[str]:
        for each in islice(found, done, None):
            waiting.append((each.index, each.source, each.split, each.place, each.begin, len(each.text.encode())))
            yield each.text

    with closing(_ids(texts(), tokenizer, folder, processes)) as ids:
        table.write((Row(*waiting.popleft(), its) for its in ids), folder, tokenizer.vocab_size)
    assert not waiting, f"{len(waiting)} texts have no ids"


def _ids(texts: Iterable[str], tokenizer: Tokenizer, folder: Path, processes: int) -> Generator[Ids, None, None]:
    """Yield the ids of each text, in order: from a Ray cluster where the environment names one, else from here."""
    if (address := machine.ray_address()) is None:
        yield from encoded(texts, tokenizer, processes)
    else:
        from integrations import ray_data  # late: what it needs is an extra

        log.info("encoding on the Ray cluster at %s", address)
        between = folder.with_name("texts")
        yield from ray_data.encode_each(texts, tokenizer, between, address, machine.handed_on())


def encoded(texts: Iterable[str], tokenizer: Tokenizer, processes: int) -> Generator[Ids, None, None]:
    """Yield the ids of each text, in order, by processes of this machine."""
    with closing(in_order(tokenizer.encode_batch, _batches(texts), processes, alone=ALONE)) as batches:
        for batch in batches:
            yield from batch


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in batches that are worth a process's while; a long one is the last of its batch."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


@io
def check() -> None:
    """Check the table of documents."""
    vocab_size = Tokenizer.load(paths.TOKENIZER).vocab_size
    checks.check("documents", table.summary(paths.TOKENS), checks.documents(vocab_size))


@io
def record(settings: TokenizeSettings, counts: dict[str, int]) -> None:
    """Record sizes, what was left out, and how well the vocabulary fits text that it was not trained on.

    And how well GPT-2's own fits the same text, where its files are among the build's sources: never from another copy,
    for numbers shall not depend on the machine.
    """
    sizes = table.sizes(paths.TOKENS)
    numbers: dict[str, float | int] = {}
    for name in ("train", "validation"):
        for column, unit in (("documents", "documents"), ("count", "tokens"), ("size_bytes", "bytes")):
            numbers[f"{name}_{unit}"] = int(sizes[column][name])
    numbers["vocab_size"] = settings.vocab_size
    tokens = {"": numbers["validation_tokens"]}
    if settings.vocabulary == "gpt2":
        tokens["gpt2_"] = tokens[""]
    elif _has_gpt2():
        tokens["gpt2_"] = _gpt2_validation_tokens()
    for whose, count in tokens.items():
        numbers[f"{whose}validation_bytes_per_token"] = numbers["validation_bytes"] / count
        numbers[f"{whose}validation_tokens_per_word"] = count / counts["validation_words"]
    numbers |= {name: counts[name] for name in ("duplicates", "near_duplicates", "refused")}
    tracking.record("tokenize", numbers)


def _has_gpt2() -> bool:
    return (paths.RAW_TOKENIZER / "vocab.bpe").exists()


def _gpt2_validation_tokens() -> int:
    """Return how many tokens GPT-2's own vocabulary makes of the validation text."""
    tokenizer, gpt2 = Tokenizer.load(paths.TOKENIZER), Tokenizer.gpt2(paths.RAW_TOKENIZER)
    texts = (tokenizer.decode(row.ids.tolist()) for row in table.read(paths.TOKENS, "validation"))
    return sum(map(len, encoded(texts, gpt2, processes=os.cpu_count() or 1)))


def _kept(
    found: Iterable[Document | Refused], counts: Counter[str], leave_out: Callable[[Refused], None]
) -> Iterator[Document]:
    """Yield the documents, count and leave out the rest, and say what was read as something else than UTF-8."""
    told = ""
    for each in found:
        if isinstance(each, Refused):
            counted = _COUNTED.get(type(each), "refused")
            if counted == "refused" and not counts["refused"]:
                log.warning("%s: not read: %s; all such are listed in %s", each.place, each.reason, paths.QUARANTINE)
            counts[counted] += 1
            leave_out(each)
            continue
        if each.encoding != "utf-8" and each.place != told:
            log.info("%s: not UTF-8, read as %s", each.place, each.encoding)
            told = each.place
        if each.split == "validation":
            counts["validation_words"] += len(each.text.split())
        yield each
