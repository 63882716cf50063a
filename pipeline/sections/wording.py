"""Numbers and names as the page's sections write them."""

import math
from collections.abc import Sequence

from components.page.facts import Estimate
from components.scoring.score import NATS
from components.scoring.statistics import Interval

SHOWN_ANSWERS = 4  # good ones, bad ones, changed ones: of each
LONGEST_ANSWER = 100  # characters shown: an untuned model runs on


def estimate(interval: Interval, factor: float) -> Estimate:
    """Return an interval as the page shows it, in another unit."""
    return Estimate(factor * interval.mean, factor * interval.low, factor * interval.high)


def known(interval: Interval) -> Estimate | None:
    """Return the interval of a share as the page shows it, in percent; None, a dash, where it is not a number."""
    return None if math.isnan(interval.mean) else estimate(interval, 100)


def scale(unit: str) -> tuple[float, str, float]:
    """Return by what a score is multiplied to be shown, the unit it then has, and the most that it was before."""
    return (100.0, "%", 1.0) if unit == "share" else (1.0, unit, 100.0)


def digits(unit: str) -> int:
    """Return the decimals with which a score, or the difference of two, is shown."""
    return 2 if unit == NATS else 1


def spoken(judge: str) -> str:
    """Return a judge's name as one reads it; a model's stays as it is."""
    names = {
        "exact_match": "exact match",
        "chrf": "chrF",
        "rouge_l": "ROUGE-L",
        "likelihood": "likelihood of the expected answer",
    }
    return names.get(judge, judge)


def readable(model: str) -> str:
    """Return a model's name fit for a list.

    >>> readable("untuned, shown examples")
    'untuned (shown examples)'
    """
    name, comma, rest = model.partition(", ")
    return f"{name} ({rest})" if comma else name


def percent(share: float) -> str:
    """Return a share as a percentage.

    >>> percent(0.95)
    '95 %'
    """
    return f"{100 * share:.10g} %"


def cut(answer: str) -> str:
    """Return an answer on one line, cut where it is long."""
    line = " ".join(answer.split()) or "(nothing)"
    return line if len(line) <= LONGEST_ANSWER else f"{line[:LONGEST_ANSWER]} ..."


def points(difference: float) -> str:
    """Return how far a percentage is above or below another.

    >>> points(0.5), points(-1.25)
    ('0.5 points above', '1.2 points below')
    """
    return f"{abs(difference):.1f} points {'above' if difference >= 0 else 'below'}"


def listed(names: Sequence[str]) -> str:
    """Return names as one enumerates them.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
