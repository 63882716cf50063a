"""Texts with a label: read, balanced, and turned into padded batches."""

import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from components.tasks import rows
from components.tasks.files import Empty, LeaveOut, numbered, read_text
from components.tasks.splits import SPLITS, Split

Batch = tuple[Int64[Tensor, "batch token"], Int64[Tensor, " batch"], Int64[Tensor, " batch"]]


@dataclass(frozen=True)
class Labelled:
    """A text and what it is; Empty, a ValueError, unless both are there."""

    id: str
    """Name of the record; unique in its task."""
    text: str
    """What the model reads."""
    label: str
    """What it should say."""
    group: str
    """What the text was taken from, such as a module; the record's own id where it stands for itself."""

    def __post_init__(self) -> None:
        for name in ("text", "label"):
            if not getattr(self, name).strip():
                raise Empty(f"the {name} is empty")

    @property
    def content(self) -> str:
        """The text: it may stand in one split only."""
        return self.text


def read_sms(path: Path, leave_out: LeaveOut | None = None) -> list[Labelled]:
    r"""Return the records of the SMS Spam Collection: lines of `label<TAB>text`, no header, no quoting.

    A quotation mark is text: read as CSV with quoting the 5,574 rows become 5,572. Exact duplicates are kept (403 of
    them; `splits.dedupe` drops them). Raises ValueError with file and row for a missing column, an unknown label and,
    without `leave_out`, an empty text.
    Source: Almeida, Hidalgo and Yamakami 2011; archive.ics.uci.edu/dataset/228.
    """
    lines = read_text(path).removesuffix("\n").split("\n")

    def record(number: int, line: str) -> Labelled:
        columns = line.split("\t")
        if len(columns) != 2:
            raise ValueError(f"expected 2 columns (label, tab, text), got {len(columns)}: {line[:60]!r}")
        label, text = columns
        if label not in ("ham", "spam"):
            raise ValueError(f"unknown label {label!r}; expected 'ham' or 'spam'")
        return Labelled(id=f"sms-{number}", text=text, label=label, group=f"sms-{number}")

    return numbered(path, lines, record, leave_out)


def label_shares(records: Sequence[Labelled]) -> dict[str, float]:
    """Return the share of the records that each label has, the commonest first.

    >>> label_shares([Labelled("1", "Hi", "ham", "1"), Labelled("2", "Win!", "spam", "2")])
    {'ham': 0.5, 'spam': 0.5}
    """
    return {label: count / len(records) for label, count in Counter(each.label for each in records).most_common()}


def check_labels(records: Sequence[Labelled]) -> None:
    """Raise ValueError unless each of two labels or more has a record for each split: three."""
    counts = Counter(record.label for record in records)
    if len(counts) < 2:
        raise ValueError(f"the labels are {', '.join(sorted(counts)) or 'none'}; expected two or more")
    for record in records:
        if counts[record.label] < len(SPLITS):
            raise ValueError(
                f"the label {record.label!r} has {counts[record.label]} record(s), the first is {record.id}; expected "
                f"{len(SPLITS)} or more, one for each split; add records of it, or leave it out"
            )


def labels_of(parts: Mapping[Split, Sequence[Labelled]]) -> list[str]:
    """Return the labels of training, sorted.

    Raises ValueError, naming the record, for a label in validation or test that training never saw.
    """
    known = sorted({record.label for record in parts["train"]})
    for name in SPLITS:
        for record in parts[name]:
            if record.label not in known:
                raise ValueError(
                    f"record {record.id} of the {name} split has the label {record.label!r}, which no training record "
                    f"has ({', '.join(known)}); add records of it, or change the shares or the seed of the split"
                )
    return known


def balance(records: Sequence[Labelled], seed: int) -> list[Labelled]:
    """Return as many records of every label as the rarest has, drawn by each text's seeded hash, order kept.

    The book does so with the SMS collection (section 6.2): 747 each, or 653 each without duplicates.
    """
    return at_most(records, min(Counter(record.label for record in records).values(), default=0), seed)


def most_for_share(records: Sequence[Labelled], least: float) -> int:
    """Return the most records that each label may have for the rarest to have a share of at least so much, 0..1.

    That is at least as many as the rarest has, which may not be enough: k labels cannot have more than 1/k each.

    >>> most_for_share([Labelled(str(n), "Hi", "spam" if n < 5 else "ham", str(n)) for n in range(100)], 0.06)
    78
    """
    counts = Counter(record.label for record in records).values()
    fewest, most = min(counts), max(counts)

    def is_too_rare(cap: int) -> bool:
        return fewest / sum(min(count, cap) for count in counts) < least

    return max(fewest, bisect_left(range(most + 1), x=True, lo=fewest, key=is_too_rare) - 1)


def at_most(records: Sequence[Labelled], most: int, seed: int) -> list[Labelled]:
    """Return at most so many records of each label, drawn by each text's seeded hash, order kept."""
    taken: Counter[str] = Counter()
    kept = set()

    # Drawn apart from the split, which has a seed and the text too: else each ham that is left would train.
    def drawn(record: Labelled) -> str:
        return hashlib.sha256(f"balance\n{seed}\n{record.text}".encode()).hexdigest()

    for record in sorted(records, key=drawn):
        if taken[record.label] < most:
            taken[record.label] += 1
            kept.add(record.id)
    return [record for record in records if record.id in kept]


class Batches(rows.Batches[Batch]):
    """Padded batches of `(ids, lengths, labels)`, the same for the same seed and index.

    `texts`: token ids, cut to their first `max_length`. `labels`: numbers, one a text. `pad`: right padding with
    `pad_id` to the longest of the "batch", in which texts of like length meet then, or always to "max_length" (the
    book's: a model that reads the last position needs it). `lengths` counts the tokens without padding. Raises
    ValueError for a text without tokens.
    """

    def __init__(
        self,
        texts: Sequence[Sequence[int]],
        labels: Sequence[int],
        batch_size: int,
        seed: int,
        *,
        pad_id: int,
        max_length: int,
        pad: Literal["batch", "max_length"] = "batch",
    ) -> None:
        if len(texts) != len(labels):
            raise ValueError(f"{len(texts)} texts and {len(labels)} labels; expected as many")
        if not all(texts):
            raise ValueError(f"text {next(k for k, text in enumerate(texts) if not text)} has no tokens")
        super().__init__(len(texts), batch_size, seed)
        self.texts = [list(text[:max_length]) for text in texts]
        self.labels = list(labels)
        self.pad_id = pad_id
        self.pad = pad
        self.least_length = max_length if pad == "max_length" else 1
        self._epoch: tuple[int, list[list[int]]] = (-1, [])  # the one last asked for, with its batches

    def chosen(self, index: int) -> list[int]:
        """Return the numbers of the texts in batch `index`."""
        if self.pad == "max_length":
            return super().chosen(index)
        epoch, step = divmod(index, self.steps_per_epoch)
        known, batches = self._epoch
        if epoch != known:
            batches = rows.bucketed(epoch, [len(text) for text in self.texts], self.batch_size, self.seed)
            self._epoch = epoch, batches
        return batches[step]

    def batch(self, chosen: Sequence[int]) -> Batch:
        """Return the batch of the texts of these numbers."""
        texts = [self.texts[k] for k in chosen]
        longest = max(self.least_length, *map(len, texts))
        ids = [text + [self.pad_id] * (longest - len(text)) for text in texts]
        lengths = [len(text) for text in texts]
        labels = [self.labels[k] for k in chosen]
        return torch.tensor(ids), torch.tensor(lengths), torch.tensor(labels)
