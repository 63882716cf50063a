"""Split the corpus into documents, train or open the tokenizer, and keep every document's ids in Parquet."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import tee
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from components.corpus import contract, documents, reading, spool
from components.corpus.contract import Breach, ContractSettings, TokenEntropy
from components.corpus.documents import Document, SplitSettings
from components.corpus.reading import ReadingSettings, Refused, Text
from components.corpus.texts import Kind
from components.overlap.near import NearSettings, matches
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.sifting import sift
from components.tokenizer.summary import summary
from components.tokenizer.table import Row
from pipeline import checks, encoding, paths, tracking
from pipeline.checks import CheckFailed
from pipeline.heartbeat import progress
from pipeline.orchestration import io, stage
from pipeline.work import work

log = logging.getLogger(__name__)

SPOOL = "documents.arrow"
"""Of work in progress: the documents, laid by while the vocabulary is learned from them."""
DECODED_FROM = "decoded_from_"
"""What is said before an encoding other than UTF-8, where documents so decoded are counted."""


@dataclass(frozen=True)
class TokenizeSettings:
    """What is read and kept, splits and vocabulary."""

    reading: ReadingSettings
    """How files become documents, and what is too large."""
    near: NearSettings | None
    """When a text counts as an earlier one that was changed a little, and is left out; None: never."""
    split: SplitSettings
    """How documents are split into training and validation."""
    contract: ContractSettings
    """What documents, tokens and the split must be."""
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
    counts = encode(tokenize)
    check(tokenize)
    record(tokenize, counts)


@io
def encode(settings: TokenizeSettings) -> dict[str, int]:
    """Write the tokenizer, a row per document with its ids, and what was left out with its place and reason.

    Return how many documents there were of each kind that was left out, and otherwise of note. The corpus is read once:
    where the vocabulary is learned from it first, what is found is laid by. A run that was killed is gone on with after
    its last full file.
    """
    counts: Counter[str] = Counter(dict.fromkeys(get_args(Kind), 0))
    size_bytes = reading.size_bytes(paths.RAW_CORPUS)
    with work("tokenize") as folder:
        tokenizer = opened(settings, folder, size_bytes)
        with paths.whole(paths.TOKENIZER) as target:
            tokenizer.save(target)
        spooled = folder / SPOOL
        to_read_bytes = spooled.stat().st_size if spooled.exists() else size_bytes
        with listed() as leave_out, progress("tokenize", to_read_bytes) as on_read:
            found = spool.read(spooled, on_read) if spooled.exists() else read(settings, on_read)
            kept = _kept(found, counts, leave_out)
            encoding.write(kept, tokenizer, folder / "tokens", encoding.processes(size_bytes))
            tokens = sifted(folder, tokenizer, settings.contract.bits_per_token, counts, leave_out)
        done = folder / "done"  # a kill while it is copied to another disk shall leave nothing to go on from
        paths.remove(done)
        tokens.rename(done)
        with paths.whole(paths.TOKENS) as temporary:
            shutil.move(done, temporary)
    return counts


def opened(settings: TokenizeSettings, folder: Path, size_bytes: int) -> Tokenizer:
    """Return GPT-2's tokenizer, or the one that the training split teaches: then the corpus is laid by in a folder."""
    if settings.vocabulary == "gpt2":
        return Tokenizer.gpt2(paths.RAW_TOKENIZER if _has_gpt2() else None)
    learned = folder / "tokenizer"
    if not learned.exists():
        try:
            with listed() as leave_out, progress("tokenize: learning the vocabulary", size_bytes) as on_read:
                kept = _documents(spool.keep(read(settings, on_read), folder / SPOOL), leave_out)
                texts = (each.text for each in kept if each.split == "train")
                tokenizer = Tokenizer.trained(texts, settings.vocab_size, settings.special_tokens)
        except ValueError:  # other settings are other work: nothing would go on from here, or clear it away
            paths.remove(folder / SPOOL)
            raise
        paths.remove(paths.QUARANTINE)  # encoding lists all anew; a full disk then leaves nothing
        with paths.whole(learned) as temporary:
            tokenizer.save(temporary)
    return Tokenizer.load(learned)


def sifted(
    folder: Path,
    tokenizer: Tokenizer,
    contract: TokenEntropy,
    counts: Counter[str],
    leave_out: Callable[[Refused], None],
) -> Path:
    """Return where the table lies whose parts all have enough entropy, if those that have not shall be left out."""
    if contract.on_breach == "stop":
        return folder / "tokens"

    def quarantine(row: Row, bits: float) -> None:
        reason = f"bits_per_token of its part of a row group is {bits:.6g}; expected at least {contract.least:.6g}"
        _set_aside(Refused(documents.where(row), reason, kind="breaches"), counts, leave_out)
        if row.split == "validation":
            counts["validation_words"] -= len(tokenizer.decode(row.ids.tolist()).split())

    paths.remove(folder / "sifted")
    kept = sift(folder / "tokens", folder / "sifted", tokenizer.vocab_size, contract.least, quarantine)
    if gone := {"train", "validation"} - set(table.sizes(kept).index):
        raise ValueError(
            f"tokenize.contract.bits_per_token.least is {contract.least:g}, which leaves no document for "
            f"{' and '.join(sorted(gone))}; all are listed in {paths.QUARANTINE}; lower it, or add other text"
        )
    return kept


@contextmanager
def listed() -> Iterator[Callable[[Refused], None]]:
    """Yield what adds to the list of what is left out, which is there after the block and after its ValueError."""
    failed: ValueError | None = None
    with paths.whole(paths.QUARANTINE) as temporary, reading.quarantine(temporary) as leave_out:
        try:
            yield leave_out
        except ValueError as error:
            failed = error
    if failed:
        raise failed


def read(settings: TokenizeSettings, on_read: Callable[[int], object] | None = None) -> Iterator[Document | Refused]:
    """Yield the corpus's documents, and between them what is left out.

    Raises CheckFailed at a document beyond a limit of the contract that ends the build.
    """
    sift = partial(without_near, settings=settings.near) if settings.near else iter
    found = documents.read(paths.RAW_CORPUS, settings.split, settings.reading, on_read, sift)
    for each in contract.judged(found, settings.contract):
        if isinstance(each, Breach) and each.limits.on_breach == "stop":
            expected = checks.document(each.limited, each.limits.least, each.limits.most)
            row = pd.DataFrame([{"place": each.place, each.limited: each.value}])
            try:
                checks.check("documents", row, expected)
            except CheckFailed as failed:
                setting = f"tokenize.contract.{each.limited}.on_breach"
                raise CheckFailed(f"{failed}; with {setting}: quarantine it is left out") from None
        yield each


def without_near(found: Iterator[Text | Refused], settings: NearSettings) -> Iterator[Text | Refused]:
    """Pass on what was found, with a refusal for each text that is nearly an earlier one; reads up to 128 ahead."""
    found, compared = tee(found)  # which holds what is read ahead
    texts = ((each.text, documents.where(each)) if isinstance(each, Text) else None for each in compared)
    for each, match in zip(found, matches(texts, settings), strict=True):
        if isinstance(each, Text) and match:
            reason = f"nearly the same text as {match.place} ({match.similarity:.2f})"
            yield Refused(documents.where(each), reason, kind="near_duplicates")
        else:
            yield each


@io
def check(settings: TokenizeSettings) -> None:
    """Check the table of documents."""
    judge(paths.TOKENS, Tokenizer.load(paths.TOKENIZER).vocab_size, settings)


def judge(tokens: Path, vocab_size: int, settings: TokenizeSettings) -> None:
    """Check a table of documents by row group, then the two sides of the split."""
    limits, share = settings.contract, settings.split.validation_share
    parts, splits = summary(tokens, vocab_size)
    documents_expected = checks.documents(
        vocab_size,
        table.columns(vocab_size),
        least_bytes=limits.size_bytes.least,
        most_bytes=limits.size_bytes.most,
        most_replaced_share=limits.replaced_share.most,
        least_bits_per_token=limits.bits_per_token.least,
    )
    checks.check("documents", parts, documents_expected)
    found, tolerance = shares(tokens, splits, settings)
    checks.check(
        "splits",
        splits.assign(validation_share=splits["split"].map({"validation": found})),
        checks.splits(share, tolerance, limits.bits_per_token.least, stops=limits.validation_share.on_breach == "stop"),
    )


def shares(tokens: Path, splits: pd.DataFrame, settings: TokenizeSettings) -> tuple[float, float]:
    """Return validation's share of what the split parts, and how far it may be from what was asked for.

    Parted are characters by position, sources by source, else documents; what is drawn may miss the share by more the
    fewer there are.
    """
    tolerance = settings.contract.validation_share.tolerance
    if settings.split.by == "position":
        sizes = splits.set_index("split")["characters"]
        return sizes["validation"] / sizes.sum(), tolerance
    if settings.split.by == "source":
        sizes = pd.Series({split: len(table.sources(tokens, split)) for split in splits["split"]})
    else:
        sizes = splits.set_index("split")["documents"]
    return sizes["validation"] / sizes.sum(), tolerance + sizes.sum() ** -0.5


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
        tokens["gpt2_"] = _gpt2_validation_tokens(int(numbers["validation_bytes"]))
    for whose, count in tokens.items():
        numbers[f"{whose}validation_bytes_per_token"] = numbers["validation_bytes"] / count
        numbers[f"{whose}validation_tokens_per_word"] = count / counts["validation_words"]
    numbers |= {name: counts[name] for name in get_args(Kind)}
    numbers |= {name: counts[name] for name in sorted(counts) if name.startswith(DECODED_FROM)}
    tracking.record("tokenize", numbers)


def _has_gpt2() -> bool:
    return (paths.RAW_TOKENIZER / "vocab.bpe").exists()


def _gpt2_validation_tokens(size_bytes: int) -> int:
    """Return how many tokens GPT-2's own vocabulary makes of the validation text."""
    tokenizer, gpt2 = Tokenizer.load(paths.TOKENIZER), Tokenizer.gpt2(paths.RAW_TOKENIZER)
    texts = (tokenizer.decode(row.ids.tolist()) for row in table.read(paths.TOKENS, "validation"))
    return sum(map(len, encoding.encoded(texts, gpt2, encoding.processes(size_bytes))))


def _documents(found: Iterable[Document | Refused], leave_out: Callable[[Refused], None]) -> Iterator[Document]:
    """Yield the documents, leave out the rest."""
    for each in found:
        if isinstance(each, Refused):
            leave_out(each)
        else:
            yield each


def _kept(
    found: Iterable[Document | Refused], counts: Counter[str], leave_out: Callable[[Refused], None]
) -> Iterator[Document]:
    """Yield the documents, count and leave out the rest; say and count what was read as something else than UTF-8."""
    told = ""
    for each in found:
        if isinstance(each, Refused):
            _set_aside(each, counts, leave_out)
            continue
        if each.encoding != "utf-8":
            if each.place != told:
                log.info("%s: not UTF-8, read as %s", each.place, each.encoding)
            told = each.place
            counts[f"{DECODED_FROM}{each.encoding}"] += 1
        if each.split == "validation":
            counts["validation_words"] += len(each.text.split())
        yield each


def _set_aside(each: Refused, counts: Counter[str], leave_out: Callable[[Refused], None]) -> None:
    """Count and leave out; say the first that could not be read, and the first that broke the contract."""
    if each.kind in ("refused", "breaches") and not counts[each.kind]:
        said = "not read" if each.kind == "refused" else "left out"
        log.warning("%s: %s: %s; all such are listed in %s", each.place, said, each.reason, paths.QUARANTINE)
    counts[each.kind] += 1
    leave_out(each)
