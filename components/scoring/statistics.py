"""Means with an interval: how far a score would move on other test records of the same kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

_BATCH = 1000  # resamples held in memory at once: 1,000 x 10,000 values are 80 MB


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
        """True when the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def bootstrap(values: Sequence[float], *, resamples: int, confidence: float, seed: int) -> Interval:
    """Return the mean of the values and its percentile bootstrap interval.

    `resamples` are drawn with replacement; `confidence` is a share, 0.95 for a 95 % interval. Values that are all alike
    (and a single value) give an interval of no width: the bootstrap sees no spread, which does not prove that there is
    none. The percentile method is taken because BCa is undefined there.

    Raises ValueError for no values, for a value that is not finite, and for settings out of range.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13; scipy.stats.bootstrap.
    """
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}; expected at least 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; expected a share between 0 and 1, such as 0.95")
    if not values:
        raise ValueError("there are no values to take a mean of")
    for position, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"value {position} is {value}; expected a finite number")
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if np.all(sample == sample[0]):
        return Interval(float(sample[0]), float(sample[0]), float(sample[0]), len(values))
    result = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=resamples,
        batch=min(_BATCH, resamples),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return Interval(mean, float(result.confidence_interval.low), float(result.confidence_interval.high), len(values))


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, resamples: int, confidence: float, seed: int
) -> Interval:
    """Return the mean of a - b, record by record, and its bootstrap interval.

    `a` and `b` score the same records in the same order, so what makes a record hard or easy cancels out: the interval
    is narrower than that of two means judged apart. `excludes_zero` says that the difference is no chance.

    Raises ValueError where the two have different lengths, and what `bootstrap` raises.
    """
    if len(a) != len(b):
        raise ValueError(f"paired scores: {len(a)} of the one and {len(b)} of the other; expected one each per record")
    differences = [first - second for first, second in zip(a, b, strict=True)]
    return bootstrap(differences, resamples=resamples, confidence=confidence, seed=seed)
