"""Records into training, validation and test, so that no content stands on two sides."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar, get_args

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Record(Protocol):
    """What a split needs to know of a record."""

    @property
    def id(self) -> str:
        """The name of the record."""

    @property
    def group(self) -> str:
        """The name of what the record was taken from, such as a module."""

    @property
    def content(self) -> str:
        """What a model is shown of the record: it may stand on one side only."""


R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Shares:
    """How much of the records goes where."""

    train: float
    """Share of the training split; above 0."""
    validation: float
    """Share of the validation split; above 0."""
    test: float
    """Share of the test split; above 0; the three sum to 1."""

    def __post_init__(self) -> None:
        for name in SPLITS:
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share above 0")
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {self.train + self.validation + self.test}; expected 1")


def dedupe(records: Iterable[R], leave_out: Callable[[R, R], object] = lambda copy, first: None) -> list[R]:
    """Return the records without those whose content stood earlier already, order kept.

    `leave_out` is told each of these, and the first that has its content.
    """
    first: dict[str, R] = {}
    for record in records:
        if (earlier := first.setdefault(record.content, record)) is not record:
            leave_out(record, earlier)
    return list(first.values())


def by_content(records: Iterable[R], shares: Shares, seed: int) -> dict[Split, list[R]]:
    """Return the splits drawn by each content's hash: a record added or taken away moves no other.

    Order is kept within a split. Shares are met on average, not exactly. Raises ValueError for an empty split.
    """
    splits: dict[Split, list[R]] = {name: [] for name in SPLITS}
    for record in records:
        splits[_drawn(record.content, shares, seed)].append(record)
    return _checked(splits)


def draw(groups: Iterable[str], shares: Shares, seed: int) -> dict[str, Split]:
    """Return a split for each group, drawn by the hash of its name: a group added or taken away moves no other."""
    return {group: _drawn(group, shares, seed) for group in groups}


def capped(
    splits: Mapping[Split, Sequence[R]], *, most: int | None, most_per_group: int | None, seed: int
) -> dict[Split, list[R]]:
    """Return the splits with at most `most` records in each of those held out, and so many of one group; order kept.

    Drawn by content. None keeps all; training always does.
    """
    return {
        name: list(records) if name == "train" else _sample(records, most, most_per_group, seed)
        for name, records in splits.items()
    }


def by_position(records: Sequence[R], train: float, test: float) -> dict[Split, list[R]]:
    """Return the first `train` share, then the next `test` share, and the rest as validation: the book's order.

    Raises ValueError for an empty split and for a content that stands on two sides (see `dedupe`).
    Source: Build a Large Language Model (From Scratch), section 7.2 (0.85 and 0.1).
    """
    n_train, n_test = int(len(records) * train), int(len(records) * test)
    return _checked(
        {
            "train": list(records[:n_train]),
            "validation": list(records[n_train + n_test :]),
            "test": list(records[n_train : n_train + n_test]),
        }
    )


def by_side(records: Iterable[R], side_of: Mapping[str, Split], shares: Shares, seed: int) -> dict[Split, list[R]]:
    """Return the splits that a mapping from content to split says; what it lacks is drawn as by `by_content`.

    So that what one task is tested on is trained on in no other. Raises ValueError for an empty split.
    """
    splits: dict[Split, list[R]] = {name: [] for name in SPLITS}
    for record in records:
        splits[side_of.get(record.content) or _drawn(record.content, shares, seed)].append(record)
    return _checked(splits)


def by_group(records: Iterable[R], split_of: Mapping[str, str]) -> dict[Split, list[R]]:
    """Return the splits that a mapping from group to split says, order kept.

    Raises ValueError for a group without a split, an unknown split, an empty split, and a content on two sides.
    """
    splits: dict[Split, list[R]] = {name: [] for name in SPLITS}
    for record in records:
        split = split_of.get(record.group)
        if split not in splits:
            raise ValueError(f"group {record.group!r} has the split {split!r}; expected one of {', '.join(SPLITS)}")
        splits[split].append(record)
    return _checked(splits)


def halve(sizes: Mapping[str, int]) -> dict[str, Split]:
    """Return "test" or "validation" for each group, so that each side gets about half of the records.

    `sizes`: records per group. The largest group comes first, each to the side that has fewer so far.

    >>> halve({"os": 50, "json": 30, "re": 25})
    {'os': 'test', 'json': 'validation', 're': 'validation'}
    """
    held: dict[Split, int] = {"test": 0, "validation": 0}
    split_of: dict[str, Split] = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], name)):
        split_of[group] = "test" if held["test"] <= held["validation"] else "validation"
        held[split_of[group]] += sizes[group]
    return split_of


def _drawn(content: str, shares: Shares, seed: int) -> Split:
    drawn = int(_hash(seed, content)[:16], 16) / 16**16
    if drawn < shares.train:
        return "train"
    return "validation" if drawn < shares.train + shares.validation else "test"


def _sample(records: Sequence[R], most: int | None, most_per_group: int | None, seed: int) -> list[R]:
    taken: Counter[str] = Counter()
    chosen: set[str] = set()
    # Drawn apart from the split: what a share has taken must not be what is taken first here.
    for each in sorted(records, key=lambda each: _hash(seed, f"capped\n{each.content}")):
        if len(chosen) == most:
            break
        if most_per_group is None or taken[each.group] < most_per_group:
            taken[each.group] += 1
            chosen.add(each.content)
    return [each for each in records if each.content in chosen]


def _hash(seed: int, content: str) -> str:
    return hashlib.sha256(f"{seed}\n{content}".encode()).hexdigest()


def _checked(splits: dict[Split, list[R]]) -> dict[Split, list[R]]:
    side: dict[str, Split] = {}
    for name, records in splits.items():
        if not records:
            counts = ", ".join(f"{split} {len(splits[split])}" for split in SPLITS)
            raise ValueError(f"the {name} split is empty ({counts} records); change the shares or add records")
        for record in records:
            if side.setdefault(record.content, name) != name:
                raise ValueError(f"{record.content[:60]!r} stands in {side[record.content]} and {name}; dedupe first")
    return splits
