"""What held-out pairs of answers say of the assistant before and after it was taught to prefer, with intervals."""

from collections import defaultdict
from dataclasses import dataclass

from components.scoring.margin import Margin
from components.scoring.statistics import Interval, Mean
from components.tasks.files import read_records
from pipeline import paths


@dataclass(frozen=True)
class Preferences:
    """What a held-out split's pairs of answers say of the assistant before and after it was taught to prefer."""

    split: str
    likelier_before: Interval
    """Share of pairs whose preferred answer was the likelier one."""
    likelier: Interval
    """Share of pairs whose preferred answer is the likelier one now."""
    margin: Interval
    """By how much the preferred answer's lead has grown, nats per token."""
    accuracy: Interval
    """Share of pairs in which it has grown at all."""


def gather(mean: Mean) -> tuple[Preferences, ...]:
    """Return what the pairs of each held-out split say, with intervals; none where nothing was taught."""
    by_split: defaultdict[str, list[Margin]] = defaultdict(list)
    for each in read_records(paths.MARGINS, Margin):
        by_split[each.split].append(each)
    return tuple(
        Preferences(
            split,
            *(
                mean([float(value) for value in values], [each.group for each in its])
                for values in zip(*((e.lead_before > 0, e.lead > 0, e.margin, e.margin > 0) for e in its), strict=True)
            ),
        )
        for split, its in by_split.items()
    )
