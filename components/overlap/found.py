"""What a search for overlaps finds, as it is kept on disk."""

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["exact", "near", "13_gram"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Overlap:
    """A text that is held out, and one that it overlaps."""

    held_out: str
    """The side that it is on, such as "classification test"."""
    seen: str
    """The side that the other is on."""
    kind: Kind
    id: str
    """Which it is, such as a record's id."""
    place: str
    """Which the other is: the first of several, for `near` the nearest."""
    similarity: float
    """`exact`: 1; `near`: the estimated Jaccard similarity; `13_gram`: the share of its runs of words that stand
    elsewhere."""


@dataclass(frozen=True)
class Count:
    """How much of a held-out side overlaps another in one way."""

    held_out: str
    seen: str
    kind: Kind
    items: int
    """Texts held out."""
    touched: int
    """Those of them that overlap."""
    most: float
    """The share that may."""
    setting: str
    """The dotted name of the setting that says so."""

    @property
    def is_over(self) -> bool:
        """Tell whether more overlap than may."""
        return self.items > 0 and self.touched / self.items > self.most
