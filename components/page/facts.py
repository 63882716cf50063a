"""What a page can hold: plain text, numbers and the data of charts. Never markup: every text is shown as it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A number and the interval around it, all in one unit."""

    value: float
    low: float
    high: float


Value = str | int | float | bool | Estimate | None
"""What stands in a cell: a text, a number, a number with its interval, yes or no, or nothing (shown as a dash)."""


@dataclass(frozen=True)
class Figure:
    """A headline figure: one number in large type."""

    label: str
    value: Value
    unit: str = ""
    digits: int | None = None
    """Decimals shown; None: three significant digits."""
    note: str = ""
    """What to compare it with, in a few words."""


@dataclass(frozen=True)
class Headline:
    """A row of headline figures; three to six read best."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Text:
    """Paragraphs, an empty line between two of them."""

    text: str


@dataclass(frozen=True)
class KeyValues:
    """Names with one value each: settings, versions, hashes."""

    title: str
    items: tuple[tuple[str, Value], ...]
    note: str = ""


@dataclass(frozen=True)
class Column:
    """A column's head, and how its numbers are written."""

    title: str
    unit: str = ""
    digits: int | None = None
    """Decimals of every number in the column; None: three significant digits of the largest."""


@dataclass(frozen=True)
class Table:
    """Rows of values; a column of numbers is aligned by digits."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for a row that is not as wide as the head."""
        for number, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: row {number} has {len(row)} cells; expected {len(self.columns)}")


@dataclass(frozen=True)
class Sample:
    """A text as a model wrote it, line ends and all."""

    title: str
    text: str
    prompt: str = ""
    """What the model was given, shown before its text and set apart from it."""
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One curve: y over x, in the units of its panel."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raise ValueError unless there is one y for each x."""
        if len(self.x) != len(self.y):
            raise ValueError(f"{self.label}: {len(self.x)} values of x and {len(self.y)} of y")


@dataclass(frozen=True)
class Panel:
    """Curves that share a y axis."""

    y_label: str
    """Name of what is drawn, with its unit: "loss (nats)"."""
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Curves:
    """Panels one above the other, sharing the x axis: losses over learning rate, for one."""

    title: str
    x_label: str
    panels: tuple[Panel, ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError without a panel."""
        if not self.panels:
            raise ValueError(f"{self.title}: curves without a panel; expected at least one")


@dataclass(frozen=True)
class ConfusionMatrix:
    """Records by true label (row) and predicted label (column)."""

    title: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError unless there are as many rows and columns as labels, at least one."""
        size = len(self.labels)
        if not size or len(self.counts) != size or any(len(row) != size for row in self.counts):
            raise ValueError(f"{self.title}: expected {size} x {size} counts, one row and one column for each label")


@dataclass(frozen=True)
class Dot:
    """One row of a dot-and-whisker chart."""

    label: str
    estimate: Estimate
    group: str = ""
    """Rows of the same group stand together under its name, and the same label has one colour in all groups."""


@dataclass(frozen=True)
class Intervals:
    """Scores with their intervals as dots and whiskers, the numbers beside them."""

    title: str
    unit: str
    rows: tuple[Dot, ...]
    digits: int = 2
    reference: float | None = None
    """Where a dashed line is drawn: 0 for differences."""
    note: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError without a row."""
        if not self.rows:
            raise ValueError(f"{self.title}: a chart of intervals without a row; expected at least one")


@dataclass(frozen=True)
class Graph:
    """What depends on what: arrows from the one to the other, without a circle."""

    title: str
    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    note: str = ""


Block = Headline | Text | KeyValues | Table | Sample | Curves | ConfusionMatrix | Intervals | Graph


@dataclass(frozen=True)
class Section:
    """A titled part of the page."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Facts:
    """All that a page shows."""

    title: str
    subtitle: str
    sections: tuple[Section, ...]
    footer: str = ""
