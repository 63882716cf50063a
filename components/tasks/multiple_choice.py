"""Items of which one ending is right: read, asked behind worked examples, and judged by each ending's likelihood."""

import hashlib
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.tasks.files import numbered, read_json_lines, text_fields

BETWEEN = "\n\n"
"""What parts worked examples."""


@dataclass(frozen=True)
class Item:
    """A context with endings, of which one is right; ValueError unless there are two and the right one among them."""

    id: str
    """Name of the item; unique in its file."""
    group: str
    """What the item was taken from, such as a video; the item's own id where it stands for itself."""
    context: str
    """What is read first."""
    endings: tuple[str, ...]
    """What may follow it, behind a space."""
    answer: int
    """Place of the right ending, from 0."""

    def __post_init__(self) -> None:
        if not self.context.strip():
            raise ValueError("the context is empty")
        if len(self.endings) < 2:
            raise ValueError(f"there are {len(self.endings)} endings; expected two or more")
        if not 0 <= self.answer < len(self.endings):
            raise ValueError(f"the label is {self.answer}; expected 0..{len(self.endings) - 1}")


@dataclass(frozen=True)
class Choice:
    """What a model makes of an item: how likely it finds each ending."""

    id: str
    """The item's."""
    group: str
    """The item's."""
    shots: int
    """Worked examples that stood before it."""
    answer: int
    """Place of the right ending."""
    nats: tuple[float, ...]
    """Log-likelihood of each ending."""
    characters: tuple[int, ...]
    """Length of each ending; of no character where cleaning has left none."""
    tokens: tuple[int, ...]
    """Length of each ending with the space before it."""
    is_cut: bool
    """Whether the whole was too long for the model, which was not shown its beginning."""

    @property
    def likeliest(self) -> int:
        """Place of the likeliest ending; the first of equal ones."""
        return _greatest(self.nats)

    @property
    def likeliest_by_character(self) -> int:
        """Place of the ending with the greatest log-likelihood per character; never one without characters.

        Source: `acc_norm` of lm-evaluation-harness 0.4 (lm_eval/api/task.py), where the length is Python's `len`.
        """
        lengths = zip(self.nats, self.characters, strict=True)
        return _greatest([nats / length if length else float("-inf") for nats, length in lengths])

    @property
    def likeliest_by_token(self) -> int:
        """Place of the ending with the greatest log-likelihood per token.

        Source: github.com/karpathy/build-nanogpt, hellaswag.py, which asks without the activity.
        """
        return _greatest([nats / tokens for nats, tokens in zip(self.nats, self.tokens, strict=True)])

    @property
    def longest(self) -> int:
        """Place of the ending with most characters: what knows no more than lengths."""
        return _greatest(self.characters)

    @property
    def shortest(self) -> int:
        """Place of the ending with fewest characters."""
        return _greatest([-each for each in self.characters])


def _greatest(values: Sequence[float]) -> int:
    return max(range(len(values)), key=values.__getitem__)


def read_hellaswag(path: Path) -> list[Item]:
    """Return the items of a file of HellaSwag, JSON lines; the group is the video or article that they are from.

    The context is the activity and both halves of the text, the second with a capital; marks in brackets, which
    WikiHow's pages left behind, are taken out. Raises ValueError with file and row for a missing field, an empty
    ending, fewer than two endings, and a label that is none of them (the test split has none at all).
    Sources: Zellers et al. 2019, HellaSwag; github.com/rowanz/hellaswag; the cleaning is that of lm-evaluation-harness
    0.4 (lm_eval/tasks/hellaswag/utils.py), so that scores can be compared.
    """

    def item(number: int, row: object) -> Item:
        fields = text_fields(row, ("activity_label", "ctx_a", "ctx_b", "source_id"))
        assert isinstance(row, dict)  # text_fields has seen to it
        endings, label = row.get("endings"), str(row.get("label", ""))
        if not isinstance(endings, list) or not all(isinstance(each, str) and each.strip() for each in endings):
            raise ValueError(f"the endings are {endings!r:.60}; expected a list of texts, none of them empty")
        if not label.isdecimal():
            raise ValueError(f"the label is {label!r}; expected the place of the right ending, from 0")
        context = f"{fields['activity_label']}: {fields['ctx_a']} {fields['ctx_b'].capitalize()}"
        cleaned = tuple(_without_marks(each) for each in endings)
        return Item(f"hellaswag-{number}", fields["source_id"], _without_marks(context), cleaned, int(label))

    return numbered(path, read_json_lines(path), item)


def _without_marks(text: str) -> str:
    """Return a text without [marks]; a title ends with a full stop.

    >>> _without_marks("How to boil eggs [title] Fill a pot [step] Take cold water.")
    'How to boil eggs. Fill a pot Take cold water.'
    """
    return re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". ")).replace("  ", " ")


def drawn(items: Sequence[Item], most: int | None, seed: int) -> list[Item]:
    """Return at most `most` items, order kept; a larger number holds those of a smaller one. None keeps all."""

    def place(item: Item) -> str:
        return hashlib.sha256(f"{seed}\n{item.id}".encode()).hexdigest()

    kept = {item.id for item in sorted(items, key=place)[:most]}
    return [item for item in items if item.id in kept]


def context(item: Item, items: Sequence[Item], shots: int, seed: int) -> str:
    """Return what the endings follow: worked examples drawn from `items`, each with its right ending, then the context.

    Never the item itself nor one of its group, which may tell its end. Drawn by the seed and the item's id, so that no
    other item changes it, and fewer shots are the first of more. Raises ValueError where there are too few others.
    """
    order = random.Random(f"{seed} {item.id}")  # noqa: S311 - nothing secret
    examples: list[Item] = []
    tried: set[int] = set()
    while len(examples) < shots:
        if len(tried) == len(items):
            raise ValueError(f"{item.id}: {len(examples)} other items to draw {shots} worked examples from; add items")
        place = order.randrange(len(items))
        if place not in tried and items[place].group != item.group:
            examples.append(items[place])
        tried.add(place)
    worked = [f"{each.context} {each.endings[each.answer]}" for each in examples]
    return BETWEEN.join([*worked, item.context])


def pair(text: str, ending: str, encode: Callable[[str], list[int]]) -> tuple[list[int], list[int]]:
    """Return the ids of a context and those of the space and the ending behind it, parted as they are encoded together.

    White space at the context's end belongs to the ending.
    Source: `_encode_pair` of lm-evaluation-harness 0.4 (lm_eval/api/model.py).
    """
    shown = encode(text.rstrip())
    return shown, encode(f"{text} {ending}")[len(shown) :]
