"""How far two judges of the same answers agree: three correlations, each with an interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.scoring.statistics import Interval, Numbers, bootstrap_statistics


@dataclass(frozen=True)
class Agreement:
    """How the scores of two judges go together, -1..1; None where one of them gives all answers the same."""

    pearson: Interval | None
    """Of the scores themselves."""
    spearman: Interval | None
    """Of their ranks, equal scores sharing the mean of theirs."""
    kendall: Interval | None
    """tau-b: pairs of answers in the same order less those in the other, equal scores accounted for."""
    count: int
    """Answers that both have scored."""


def agreement(
    a: Sequence[float],
    b: Sequence[float],
    *,
    resamples: int,
    confidence: float,
    seed: int,
    groups: Sequence[str] | None = None,
) -> Agreement:
    """Return the correlations of two judges' scores of the same answers, with percentile bootstrap intervals.

    `resamples`, `confidence`, `seed` and `groups` are as in `statistics.bootstrap`: the answers of a group, such as
    those to one question, are drawn together. A resample in which one judge's scores are all equal has no correlation
    and is left out. Takes memory for a few matrices of answers by answers.

    Raises ValueError where the scores or the groups are not as many as the others, or none, and as `bootstrap` does.
    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13; Kendall 1945, The Treatment of Ties in
    Ranking Problems (tau-b).
    """
    if not a or len(a) != len(b) or (groups is not None and len(groups) != len(a)):
        raise ValueError(f"{len(a)} and {len(b)} scores, {len(groups or a)} groups; expected as many, at least one")
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if np.all(x == x[0]) or np.all(y == y[0]):
        return Agreement(None, None, None, len(a))
    orders = _order(x), _order(y)
    found = bootstrap_statistics(
        lambda times: _correlations(times, x, y, *orders).T,
        [str(place) for place in range(len(a))] if groups is None else groups,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    pearson, spearman, kendall = (None if math.isnan(each.low) else each for each in found)
    return Agreement(pearson, spearman, kendall, len(a))


def _order(values: Numbers) -> Numbers:
    """Return for each pair of answers whether the first has the higher score: 1, 0 for equal ones, else -1."""
    order: Numbers = np.sign(values[:, None] - values[None, :])
    return order


def _correlations(times: Numbers, x: Numbers, y: Numbers, x_order: Numbers, y_order: Numbers) -> Numbers:
    """Return Pearson's, Spearman's and Kendall's correlation (rows) of each resample (columns); NaN for none.

    `times` (resample, answer) says how often each answer was drawn. In these counts all three are sums and products of
    matrices: an answer's rank is half of (drawn + those below - those above), and tau-b is the sum of both orders'
    product over all pairs by the root of their squares'.
    """
    half_drawn = times.sum(axis=1, keepdims=True) / 2
    x_ranks, y_ranks = (half_drawn + times @ order.T / 2 for order in (x_order, y_order))

    def over_pairs(matrix: Numbers) -> Numbers:
        total: Numbers = ((times @ matrix) * times).sum(axis=1)
        return total

    with np.errstate(invalid="ignore", divide="ignore"):
        kendall = over_pairs(x_order * y_order) / np.sqrt(over_pairs(x_order**2) * over_pairs(y_order**2))
        return np.stack([_pearson(times, x, y), _pearson(times, x_ranks, y_ranks), kendall])


def _pearson(times: Numbers, x: Numbers, y: Numbers) -> Numbers:
    """Return the correlation of each resample; NaN where a variance is no more than rounding."""
    shares = times / times.sum(axis=1, keepdims=True)
    x, y = (each - (shares * each).sum(axis=1, keepdims=True) for each in (x, y))
    variances = (shares * x * x).sum(axis=1) * (shares * y * y).sum(axis=1)
    products = (shares * x * y).sum(axis=1)
    found: Numbers = np.where(variances > 1e-20, products / np.sqrt(variances), np.nan)
    return found
