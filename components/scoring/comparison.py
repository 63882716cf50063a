"""Two builds compared: on the records that both were asked, and over runs that differ in their seeds alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from components.scoring.statistics import Interval, paired_difference


@dataclass(frozen=True)
class Value:
    """What one record adds to a mean."""

    number: float
    """In the unit of the mean."""
    group: str
    """What the record was made from; records of a group are alike and are drawn together."""
    asked: str
    """What was asked, and what is right: records are the same only where this is."""
    weight: float = 1.0
    """How much the record counts in the mean, above 0."""


@dataclass(frozen=True)
class Paired:
    """What the records that both builds were asked say of their difference."""

    difference: Interval | None
    """Mean of B minus A, record by record; None where no record is in both."""
    left_out: int
    """Records of either that are not in the other, or ask something else there."""


def paired(a: Mapping[str, Value], b: Mapping[str, Value], *, resamples: int, confidence: float, seed: int) -> Paired:
    """Return how B differs from A on the records, named by their ids, that ask the same in both.

    An id alone proves nothing, for it may be a row's number: `asked` has to be equal too. The interval is that of
    `paired_difference`: it says how far the difference would move on other records, with these two models. How far it
    would move had they been trained with other seeds, `difference_of_means` says. Weights and groups are those of A.
    """
    ids = [id for id, value in a.items() if id in b and b[id].asked == value.asked]
    left_out = len(a.keys() | b.keys()) - len(ids)
    if not ids:
        return Paired(None, left_out)
    difference = paired_difference(
        [b[id].number for id in ids],
        [a[id].number for id in ids],
        resamples=resamples,
        confidence=confidence,
        seed=seed,
        groups=[a[id].group for id in ids],
        weights=[a[id].weight for id in ids],
    )
    return Paired(difference, left_out)


@dataclass(frozen=True)
class Spread:
    """How a number scatters over runs."""

    mean: float
    deviation: float | None
    """Standard deviation with n - 1 below; None for a single run."""
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation over runs; ValueError for no run."""
    if not values:
        raise ValueError("there are no runs to take a mean of")
    mean, squares = _scatter(values)
    deviation = math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None
    return Spread(mean, deviation, len(values))


def difference_of_means(a: Sequence[float], b: Sequence[float], *, confidence: float) -> Interval:
    """Return the mean of the runs of B minus that of A, with Student's interval.

    It is +- t s sqrt(1 / n_a + 1 / n_b), with s the pooled standard deviation and t the quantile for n_a + n_b - 2
    degrees of freedom; `count` is n_a + n_b. Runs are taken to scatter alike in A and in B. With a single run in A it
    asks whether that could be one more run of B: it could not where the interval leaves out zero. Where no run differs
    from the others of its side it has no width: no spread was seen, which does not prove that there is none.

    >>> difference_of_means([1.0, 2.0, 3.0], [11.0, 12.0, 13.0], confidence=0.95).mean
    10.0

    Raises ValueError for fewer than three runs in all, or none in one, and a confidence out of range.
    Source: Student 1908, The Probable Error of a Mean; scipy.stats.ttest_ind gives the same for two runs and more each.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; expected a share between 0 and 1, such as 0.95")
    freedom = len(a) + len(b) - 2
    if not a or not b or freedom < 1:
        raise ValueError(f"{len(a)} runs of A and {len(b)} of B; expected one each, and three in all at least")
    (mean_a, squares_a), (mean_b, squares_b) = _scatter(a), _scatter(b)
    error = math.sqrt((squares_a + squares_b) / freedom * (1 / len(a) + 1 / len(b)))
    width = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    mean = mean_b - mean_a
    return Interval(mean, mean - width, mean + width, len(a) + len(b))


def _scatter(runs: Sequence[float]) -> tuple[float, float]:
    """Return the mean, and the sum of the squares around it.

    Taken as distances from the first run: the mean of equal runs is each of them then, to the last digit.
    """
    distances = np.asarray(runs) - runs[0]
    return float(runs[0] + np.mean(distances)), float(np.sum((distances - np.mean(distances)) ** 2))
