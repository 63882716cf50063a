"""How the answers of each model stand by each judge, and the tuned model against every other."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from components.scoring.response import TUNED, Response
from components.scoring.score import Score
from components.scoring.statistics import Interval
from components.tasks.files import read_records
from pipeline import paths
from pipeline.findings.resampling import Resampling


@dataclass(frozen=True)
class Standing:
    """One model's answers by one judge, over all questions."""

    judge: str
    unit: str
    """"share" 0..1, "chrF" 0..100, "points" 0..100 or "nats per token" up to 0."""
    model: str
    mean: Interval | None
    """Over the verdicts that could be read; None where none could."""
    answers: int
    """Answers judged; those without a verdict too."""

    @property
    def read(self) -> int:
        """Verdicts that could be read."""
        return self.mean.count if self.mean else 0


@dataclass(frozen=True)
class Comparison:
    """The tuned model against another on the same questions, by one judge; those without both verdicts left out."""

    judge: str
    unit: str
    other: str
    """The model compared with."""
    kind: str | None
    """Kind of question; None for all of them."""
    tuned: float
    """Mean of the tuned model."""
    theirs: float
    """Mean of the other."""
    difference: Interval
    """Mean of tuned minus other, question by question."""


def standings(how: Resampling, asked: Mapping[str, Response]) -> list[Standing]:
    """Return how each model stands by each judge; `asked` gives each question that counts by its id."""
    given: defaultdict[tuple[str, str, str], list[Score]] = defaultdict(list)
    for each in read_records(paths.SCORE_LINES, Score):
        if each.id in asked:
            given[each.judge, each.unit, each.model].append(each)
    found = []
    for (judge, unit, model), its in given.items():
        read = [(each.value, asked[each.id].group) for each in its if each.value is not None]
        mean = how.mean([value for value, _ in read], [group for _, group in read]) if read else None
        found.append(Standing(judge, unit, model, mean, len(its)))
    judges = list(dict.fromkeys(each.judge for each in found))
    return sorted(found, key=lambda each: judges.index(each.judge))


def comparisons(how: Resampling, asked: Mapping[str, Response]) -> list[Comparison]:
    """Return the tuned model against every other by each judge, over all questions and over each kind of them.

    `asked` gives the question of each id. A model that a judge has not judged is not compared.
    """
    values: defaultdict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for each in read_records(paths.SCORE_LINES, Score):
        if each.value is not None:
            values[each.judge, each.unit, each.model][each.id] = each.value
    judges = list(dict.fromkeys(judge for judge, _, _ in values))
    kinds: list[str | None] = list(dict.fromkeys(each.kind for each in asked.values()))
    found = []
    for (judge, unit, other), theirs in sorted(values.items(), key=lambda item: judges.index(item[0][0])):
        tuned = values.get((judge, unit, TUNED), {})
        for kind in [None, *(kinds if len(kinds) > 1 else [])]:
            ids = [id for id, its in asked.items() if kind in (None, its.kind) and id in tuned and id in theirs]
            if other != TUNED and ids:
                a, b = [tuned[id] for id in ids], [theirs[id] for id in ids]
                means = sum(a) / len(a), sum(b) / len(b)
                found.append(
                    Comparison(judge, unit, other, kind, *means, how.difference(a, b, [asked[id].group for id in ids]))
                )
    return found
