"""Split the corpus into documents, train or open the tokenizer, and keep every document's ids in Parquet."""

import logging
import os
from dataclasses import dataclass
from typing import Literal

from components.corpus import documents, reading
from components.corpus.documents import Corpus, SplitSettings
from components.corpus.reading import ReadingSettings
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.table import Row
from pipeline import checks, paths, tracking
from pipeline.orchestration import io, stage

log = logging.getLogger(__name__)

TABLE = "tokens.parquet"


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
    encode(tokenize)
    check()
    record(tokenize)


@io
def make_tokenizer(settings: TokenizeSettings) -> None:
    """Train the tokenizer on the training split, or open GPT-2's, and save it."""
    if settings.vocabulary == "gpt2":
        is_here = (paths.RAW_TOKENIZER / "vocab.bpe").exists()
        tokenizer = Tokenizer.gpt2(paths.RAW_TOKENIZER if is_here else None)
    else:
        texts = (each.text for each in _corpus(settings).documents if each.split == "train")
        tokenizer = Tokenizer.trained(texts, settings.vocab_size)
    with paths.whole(paths.TOKENIZER) as folder:
        tokenizer.save(folder)


@io
def encode(settings: TokenizeSettings) -> None:
    """Write a row per document, with its ids; the number of threads changes the time alone.

    What could not be read is written beside it, with its place and reason.
    """
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    corpus = _corpus(settings)
    _tell(corpus)
    found = corpus.documents
    ids = tokenizer.encode_batch([each.text for each in found], threads=os.cpu_count() or 1)
    rows = (
        Row.of(document=each.index, source=each.source, split=each.split, text=each.text, ids=its)
        for each, its in zip(found, ids, strict=True)
    )
    with paths.whole(paths.TOKENS) as folder:
        table.write(rows, folder / TABLE, tokenizer.vocab_size)
    with paths.whole(paths.QUARANTINE) as temporary:
        reading.write(corpus.refused, temporary)


@io
def check() -> None:
    """Check the table of documents."""
    vocab_size = Tokenizer.load(paths.TOKENIZER).vocab_size
    checks.check("documents", table.summary(paths.TOKENS / TABLE), checks.documents(vocab_size))


@io
def record(settings: TokenizeSettings) -> None:
    """Record sizes, what was left out, and how well the vocabulary fits text that it was not trained on."""
    rows = table.summary(paths.TOKENS / TABLE)
    numbers: dict[str, float | int] = {}
    for name in ("train", "validation"):
        part = rows[rows["split"] == name]
        numbers[f"{name}_documents"] = len(part)
        numbers[f"{name}_tokens"] = int(part["count"].sum())
        numbers[f"{name}_bytes"] = int(part["size_bytes"].sum())
    corpus = _corpus(settings)
    words = sum(len(each.text.split()) for each in corpus.documents if each.split == "validation")
    numbers["validation_bytes_per_token"] = numbers["validation_bytes"] / numbers["validation_tokens"]
    numbers["validation_tokens_per_word"] = numbers["validation_tokens"] / words
    numbers["duplicates"] = corpus.duplicates
    numbers["quarantined"] = len(corpus.refused)
    tracking.record("tokenize", numbers)


def _corpus(settings: TokenizeSettings) -> Corpus:
    return documents.read(paths.RAW_CORPUS, settings.split, settings.reading)


def _tell(corpus: Corpus) -> None:
    """Say what was not read, and what was read as something else than UTF-8."""
    for place, encoding in corpus.encodings.items():
        log.info("%s: not UTF-8, read as %s", place, encoding)
    if corpus.refused:
        first = corpus.refused[0]
        log.warning(
            "%d refused, listed in %s; first %s: %s", len(corpus.refused), paths.QUARANTINE, first.place, first.reason
        )
