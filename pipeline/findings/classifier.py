"""How well the classifier and those it must beat label the test texts: all scores, with their intervals."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from components.scoring import weighted
from components.scoring.statistics import Interval, Statistic
from components.scoring.weighted import Numbers
from pipeline.predictions import CLASSIFIER, MEASURES, WHO, WORDS, Labelling, measures, read

RECALLS = tuple(step / 20 for step in range(1, 21))
"""Where the precision-recall curve has its intervals."""

Draw = Callable[[Statistic, Sequence[str]], list[Interval]]
"""What gives the values of a statistic their intervals; it takes the group of each record."""


@dataclass(frozen=True)
class Scores:
    """The measures of one labelling, or what the classifier's are above them; shares 0..1."""

    who: str
    accuracy: Interval
    f1: Interval
    """Mean over the labels."""
    calibration_error: Interval
    """Expected calibration error; lower is better."""
    average_precision: Interval
    """Mean over the labels that test texts have, each against the rest."""


@dataclass(frozen=True)
class LabelScores:
    """How well the classifier tells one label from the rest; an interval of nan where there is nothing to divide by."""

    label: str
    texts: int
    """Test texts that have it."""
    precision: Interval
    recall: Interval
    f1: Interval
    average_precision: Interval
    curve: tuple[Interval, ...]
    """Precision at each of `RECALLS`."""
    words_curve: tuple[Interval, ...]
    """The same of bag of words."""


@dataclass(frozen=True)
class Classified:
    """All scores of the test texts."""

    scores: tuple[Scores, ...]
    """Those of each in `WHO`."""
    differences: tuple[Scores, ...]
    """The classifier's minus those of each other, text by text."""
    labels: tuple[LabelScores, ...]


def gather(draw: Draw, without: Collection[str] = ()) -> Classified:
    """Return all scores with their intervals; `without` are ids of texts left out, never all."""
    its = {who: read(who).without(without) for who in WHO}
    classifier = its[CLASSIFIER]

    def statistic(weights: Numbers) -> Numbers:
        each_one = [measures(weights, each) for each in its.values()]
        differences = [each_one[0] - each for each in each_one[1:]]
        labels = [_of_label(weights, classifier, its[WORDS], place) for place in range(len(classifier.labels))]
        return np.concatenate([*each_one, *differences, *labels], axis=1)

    found = iter(draw(statistic, classifier.groups))
    return Classified(
        tuple(Scores(who, *_next(found, len(MEASURES))) for who in WHO),
        tuple(Scores(who, *_next(found, len(MEASURES))) for who in WHO[1:]),
        tuple(
            LabelScores(
                label,
                int((classifier.true == place).sum()),
                next(found),
                next(found),
                next(found),
                next(found),
                curve=tuple(_next(found, len(RECALLS))),
                words_curve=tuple(_next(found, len(RECALLS))),
            )
            for place, label in enumerate(classifier.labels)
        ),
    )


def _of_label(weights: Numbers, its: Labelling, words: Labelling, place: int) -> Numbers:
    is_true, recalls = its.true == place, np.array(RECALLS)
    told = weighted.by_label(weights, its.true, its.predicted, len(its.labels))[:, place]
    average = weighted.average_precision(weights, its.probabilities[:, place], is_true)[:, None]
    curves = [weighted.precision_at(weights, each.probabilities[:, place], is_true, recalls) for each in (its, words)]
    return np.concatenate([told, average, *curves], axis=1)


def _next(found: Iterator[Interval], count: int) -> list[Interval]:
    return [next(found) for _ in range(count)]
