"""How well labels were told, in samples in which each record counts so many times: what a bootstrap resamples.

Everything takes `weights`, (sample, record), the times that each record is in each sample, and returns a value or some
for each sample: nan where a sample has none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int64

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

BINS = 15
"""Of equal width, for the calibration error; as many as in Guo et al. 2017, section 4."""


def accuracy(weights: Float[Numbers, "sample record"], is_right: Bool[Flags, " record"]) -> Float[Numbers, " sample"]:
    """Return the share of the records that are right."""
    found: Numbers = weights @ is_right / weights.sum(axis=1)
    return found


def by_label(
    weights: Float[Numbers, "sample record"],
    true: Int64[Places, " record"],
    predicted: Int64[Places, " record"],
    labels: int,
) -> Float[Numbers, "sample label 3"]:
    """Return precision, recall and F1 of each label; its number is its place.

    A label that is never predicted has no precision (nan), one that no record has no recall, and one that is neither
    no F1: macro F1 is the mean over the others, as in scikit-learn.
    """
    found = np.empty((len(weights), labels, 3))
    for place in range(labels):
        right = weights @ ((true == place) & (predicted == place))
        said, there = weights @ (predicted == place), weights @ (true == place)
        found[:, place, 0] = _divided(right, said)
        found[:, place, 1] = _divided(right, there)
        found[:, place, 2] = _divided(2 * right, said + there)
    return found


def calibration_error(
    weights: Float[Numbers, "sample record"], confidence: Float[Numbers, " record"], is_right: Bool[Flags, " record"]
) -> Float[Numbers, " sample"]:
    """Return the expected calibration error, 0..1: how far the probability of the label that was said is from truth.

    ECE = sum over bins b of |B_b| / n * |accuracy(B_b) - mean confidence(B_b)|, where bin b of 15 holds the records
    whose `confidence`, the probability of the predicted label, is in ((b - 1) / 15, b / 15].

    Of few records it is too large on average, and of resamples of them larger still: there is noise in each bin, and
    none of it is negative.
    Source: Guo, Pleiss, Sun and Weinberger 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.zeros(len(weights))
    for place in np.unique(bins):
        gaps += np.abs(weights @ ((is_right - confidence) * (bins == place)))
    found: Numbers = gaps / weights.sum(axis=1)
    return found


def average_precision(
    weights: Float[Numbers, "sample record"], scores: Float[Numbers, " record"], is_true: Bool[Flags, " record"]
) -> Float[Numbers, " sample"]:
    """Return the area under the precision-recall curve, as scikit-learn takes it: sum of (R_n - R_n-1) * P_n.

    `scores` say how likely each record is to have the label, `is_true` whether it has; nan where none has it.
    """
    precision, recall = _curve(weights, scores, is_true)
    found: Numbers = (np.diff(recall, axis=1, prepend=0.0) * precision).sum(axis=1)
    return found


def precision_at(
    weights: Float[Numbers, "sample record"],
    scores: Float[Numbers, " record"],
    is_true: Bool[Flags, " record"],
    recalls: Float[Numbers, " point"],
) -> Float[Numbers, "sample point"]:
    """Return the precision at the highest threshold that finds such a share of the records with the label, above 0."""
    precision, recall = _curve(weights, scores, is_true)
    found = np.full((len(weights), len(recalls)), np.nan)
    for row in np.flatnonzero(~np.isnan(recall[:, -1])):
        first = np.searchsorted(recall[row], recalls - 1e-12)  # a recall is rounded: 0.1 + 0.2 is above 0.3
        found[row] = precision[row, first]
    return found


def _curve(weights: Numbers, scores: Numbers, is_true: Flags) -> tuple[Numbers, Numbers]:
    """Return precision and recall at each threshold, the highest first; equal scores pass one threshold together."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.inf))
    passed = weights[:, order].cumsum(axis=1)[:, ends]
    right = (weights[:, order] * is_true[order]).cumsum(axis=1)[:, ends]
    return right / np.maximum(passed, 1), _divided(right, right[:, -1:])


def _divided(a: Numbers, b: Numbers) -> Numbers:
    """Return a / b, and nan where b is 0."""
    found: Numbers = np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=b != 0)
    return found
