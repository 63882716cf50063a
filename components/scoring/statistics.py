"""Means with an interval: how far a score would move on other test records of the same kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from scipy import stats

Numbers = npt.NDArray[np.float64]

Statistic = Callable[[Float[Numbers, "resample record"]], Float[Numbers, "resample value"]]
"""Some values, each of whole samples: of how often each record is in the sample, for several samples at once."""

_HELD = 10_000_000  # numbers of resamples that are held in memory at once, 80 MB


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it, all in the unit of the values."""

    mean: float
    low: float
    high: float
    count: int
    """Values behind the mean."""

    @property
    def excludes_zero(self) -> bool:
        """True when the whole interval lies on one side of zero; never for one without width, which knows no spread."""
        return self.low < self.high and (self.low > 0 or self.high < 0)


Mean = Callable[[Sequence[float], Sequence[str]], Interval]
"""The mean of some values, with its interval; each value has its group."""


def bootstrap(
    values: Sequence[float],
    *,
    resamples: int,
    confidence: float,
    seed: int,
    groups: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Interval:
    """Return the mean of the values and its percentile bootstrap interval.

    `resamples` are drawn with replacement; `confidence` is a share, 0.95 for a 95 % interval. `groups` names the group
    of each value, such as the module that a question was made from: whole groups are drawn then, for values of a group
    are alike, and drawing them one by one would make the interval too narrow. None: each value is its own group. Values
    that are all alike, and a single group, give an interval of no width: the bootstrap sees no spread, which does not
    prove that there is none. The percentile method is taken because BCa is undefined there. `weights` say how much each
    value counts in the mean, such as the bytes that it is a loss per byte of; None: all as much.

    Raises ValueError for no values, one that is not finite, groups or weights that do not match, a weight that is not
    above 0, and settings out of range.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13; scipy.stats.bootstrap. Groups: Cameron,
    Gelbach and Miller 2008, Bootstrap-Based Improvements for Inference with Clustered Errors (the pairs bootstrap).
    """
    _check(resamples, confidence)
    if not values:
        raise ValueError("there are no values to take a mean of")
    if groups is not None and len(groups) != len(values):
        raise ValueError(f"{len(values)} values and {len(groups)} groups; expected the group of each value")
    if weights is not None and (len(weights) != len(values) or not all(0 < each < math.inf for each in weights)):
        raise ValueError(f"{len(values)} values and {len(weights)} weights; expected one above 0 for each value")
    for position, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"value {position} is {value}; expected a finite number")
    sample = np.asarray(values, dtype=np.float64)
    _, places = np.unique(np.arange(len(values)) if groups is None else np.asarray(groups), return_inverse=True)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    sums, counts = np.bincount(places, sample * weight), np.bincount(places, weight)
    mean = float(sample[0]) if np.all(sample == sample[0]) else float((sample * weight).sum() / weight.sum())
    if len(sums) == 1 or np.all(sample == sample[0]):
        return Interval(mean, mean, mean, len(values))
    result = stats.bootstrap(
        (sums, counts),
        _mean_of_groups,
        n_resamples=resamples,
        batch=_batch(len(sums), resamples),
        vectorized=True,
        paired=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return Interval(mean, float(low), float(high), len(values))


def bootstrap_statistics(
    statistic: Statistic, groups: Sequence[str], *, resamples: int, confidence: float, seed: int
) -> list[Interval]:
    """Return each value of a statistic that is no mean of the records' own, with its percentile bootstrap interval.

    `groups` names the group of each record; whole groups are drawn, as in `bootstrap`. All values are taken from the
    same resamples, so that one which is the difference of two others is a paired one. A value that a resample does not
    have (nan), such as the recall of a label that is not in it, counts there for nothing; one that the records
    themselves do not have is nan, with its interval.

    Raises ValueError for no records, and settings out of range.
    """
    _check(resamples, confidence)
    if not groups:
        raise ValueError("there are no records to take a statistic of")
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(seed)
    drawn = []
    batch = _batch(len(groups), resamples)
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        times = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)
        drawn.append(statistic(times[:, places].astype(np.float64)))
    (values,) = statistic(np.ones((1, len(groups))))
    tail = (1 - confidence) / 2
    found = []
    for value, column in zip(values.tolist(), np.concatenate(drawn).T, strict=True):
        known = column[~np.isnan(column)]
        ends = np.quantile(known, [tail, 1 - tail]) if len(known) and not math.isnan(value) else (math.nan, math.nan)
        found.append(Interval(value, float(ends[0]), float(ends[1]), len(groups)))
    return found


def _batch(size: int, resamples: int) -> int:
    """Return how many resamples of so many numbers are made at once; what is drawn does not depend on it."""
    return max(1, min(resamples, _HELD // size))


def _check(resamples: int, confidence: float) -> None:
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected at least 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; expected a share between 0 and 1, such as 0.95")


def _mean_of_groups(sums: Numbers, counts: Numbers, axis: int = -1) -> Numbers:
    mean: Numbers = sums.sum(axis=axis) / counts.sum(axis=axis)
    return mean


def paired_difference(
    a: Sequence[float],
    b: Sequence[float],
    *,
    resamples: int,
    confidence: float,
    seed: int,
    groups: Sequence[str] | None = None,
    weights: Sequence[float] | None = None,
) -> Interval:
    """Return the mean of a - b, record by record, and its bootstrap interval.

    `a` and `b` score the same records in the same order, so what makes a record hard or easy cancels out: the interval
    is narrower than that of two means judged apart. `groups` and `weights` are as in `bootstrap`.

    Raises ValueError where the two have different lengths, and what `bootstrap` raises.
    """
    if len(a) != len(b):
        raise ValueError(f"paired scores: {len(a)} of the one and {len(b)} of the other; expected one each per record")
    differences = [first - second for first, second in zip(a, b, strict=True)]
    return bootstrap(differences, resamples=resamples, confidence=confidence, seed=seed, groups=groups, weights=weights)
