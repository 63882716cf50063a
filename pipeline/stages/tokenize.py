"""Split the corpus into documents, train or open the tokenizer, and keep every document's ids in Parquet."""

import os
from dataclasses import dataclass
from typing import Literal

from components.corpus import documents
from components.corpus.documents import SplitSettings
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.table import Row
from pipeline import checks, paths, tracking
from pipeline.orchestration import io, stage

TABLE = "tokens.parquet"


@dataclass(frozen=True)
class TokenizeSettings:
    """Splits and vocabulary."""

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
    encode(tokenize.split)
    check()
    record(tokenize.split)


@io
def make_tokenizer(settings: TokenizeSettings) -> None:
    """Train the tokenizer on the training split, or open GPT-2's, and save it."""
    if settings.vocabulary == "gpt2":
        is_here = (paths.RAW_TOKENIZER / "vocab.bpe").exists()
        tokenizer = Tokenizer.gpt2(paths.RAW_TOKENIZER if is_here else None)
    else:
        found = documents.read(paths.RAW_CORPUS, settings.split)
        texts = (each.text for each in found if each.split == "train")
        tokenizer = Tokenizer.trained(texts, settings.vocab_size)
    with paths.whole(paths.TOKENIZER) as folder:
        tokenizer.save(folder)


@io
def encode(split: SplitSettings) -> None:
    """Write a row per document, with its ids; the number of threads changes the time alone."""
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    found = documents.read(paths.RAW_CORPUS, split)
    ids = tokenizer.encode_batch([each.text for each in found], threads=os.cpu_count() or 1)
    rows = (
        Row.of(document=each.index, source=each.source, split=each.split, text=each.text, ids=its)
        for each, its in zip(found, ids, strict=True)
    )
    with paths.whole(paths.TOKENS) as folder:
        table.write(rows, folder / TABLE, tokenizer.vocab_size)


@io
def check() -> None:
    """Check the table of documents."""
    vocab_size = Tokenizer.load(paths.TOKENIZER).vocab_size
    checks.check("documents", table.summary(paths.TOKENS / TABLE), checks.documents(vocab_size))


@io
def record(split: SplitSettings) -> None:
    """Record sizes, and how well the vocabulary fits text that it was not trained on."""
    rows = table.summary(paths.TOKENS / TABLE)
    numbers: dict[str, float | int] = {}
    for name in ("train", "validation"):
        part = rows[rows["split"] == name]
        numbers[f"{name}_documents"] = len(part)
        numbers[f"{name}_tokens"] = int(part["count"].sum())
        numbers[f"{name}_bytes"] = int(part["size_bytes"].sum())
    words = sum(
        len(each.text.split()) for each in documents.read(paths.RAW_CORPUS, split) if each.split == "validation"
    )
    numbers["validation_bytes_per_token"] = numbers["validation_bytes"] / numbers["validation_tokens"]
    numbers["validation_tokens_per_word"] = numbers["validation_tokens"] / words
    tracking.record("tokenize", numbers)
