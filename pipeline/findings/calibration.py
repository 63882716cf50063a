"""Each judge beside a rater whose scores of the same answers are known: how far they agree, and on how many."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from components.scoring.agreement import Agreement
from components.scoring.score import Score
from components.tasks.files import read_records
from pipeline import paths

Agree = Callable[[Sequence[float], Sequence[float], Sequence[str]], Agreement]


@dataclass(frozen=True)
class Calibrated:
    """One judge beside the reference."""

    judge: str
    reference: str
    """The rater compared with."""
    answers: int
    """Answers that the reference has scored and the judge was given."""
    agreement: Agreement | None
    """Over those that both have scored; None where there is none."""

    @property
    def read(self) -> int:
        """Answers that the judge has scored too."""
        return self.agreement.count if self.agreement else 0


def calibrate(agree: Agree) -> tuple[Calibrated, ...]:
    """Return every judge beside the first rater, in the order of the scores; empty where nothing was to be compared.

    `agree` compares the scores of the same answers, with the record of each: the answers to a record are alike.
    """
    by_judge: defaultdict[str, dict[tuple[str, str], float | None]] = defaultdict(dict)
    for each in read_records(paths.CALIBRATION_LINES, Score):
        by_judge[each.judge][each.model, each.id] = each.value
    if not by_judge:
        return ()
    reference, *judges = by_judge
    known = {answer: value for answer, value in by_judge[reference].items() if value is not None}
    found = []
    for judge in judges:
        given = {answer: value for answer, value in by_judge[judge].items() if answer in known}
        both = [(known[answer], value, answer[1]) for answer, value in given.items() if value is not None]
        agreement = agree([a for a, _, _ in both], [b for _, b, _ in both], [id for *_, id in both]) if both else None
        found.append(Calibrated(judge, reference, len(given), agreement))
    return tuple(found)


def numbers(found: Sequence[Calibrated]) -> dict[str, float]:
    """Return each judge's correlations by name, their intervals as `_low` and `_high`, and the share it scored."""
    given: dict[str, float] = {}
    for each in found:
        if each.answers:
            given[f"calibration {each.judge} coverage"] = each.read / each.answers
        for name in ("pearson", "spearman", "kendall"):
            if correlation := getattr(each.agreement, name, None):
                ends = {"": correlation.mean, " low": correlation.low, " high": correlation.high}
                given |= {f"calibration {each.judge} {name}{end}": value for end, value in ends.items()}
    return given
