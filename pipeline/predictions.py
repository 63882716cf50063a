"""What the classifier and those it must beat make of the test texts: `data/predictions`, and what is measured of it."""

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.scoring import weighted
from components.scoring.weighted import Flags, Numbers, Places
from pipeline import paths

CLASSIFIER, UNTUNED, WORDS, MAJORITY = "classifier", "untuned", "bag of words", "majority"
WHO = (CLASSIFIER, UNTUNED, WORDS, MAJORITY)
MEASURES = ("accuracy", "f1", "calibration_error", "average_precision")

_PROBABILITY = "probability of "


@dataclass(frozen=True)
class Labelling:
    """What one of them makes of every test text."""

    ids: tuple[str, ...]
    """Names of the records."""
    groups: tuple[str, ...]
    """What each was taken from."""
    labels: tuple[str, ...]
    """All labels; the numbers below are places in it."""
    true: Places
    """The right label of each record."""
    predicted: Places
    """The label that was said."""
    probabilities: Numbers
    """(record, label), each row summing to 1."""

    @property
    def is_right(self) -> Flags:
        """Whether each record was labelled right."""
        found: Flags = self.true == self.predicted
        return found

    @property
    def confidence(self) -> Numbers:
        """The probability of each label that was said."""
        found: Numbers = self.probabilities[np.arange(len(self.predicted)), self.predicted]
        return found

    def without(self, ids: Collection[str]) -> "Labelling":
        """Return the same without some records."""
        left = [place for place, id in enumerate(self.ids) if id not in ids]
        names = tuple(self.ids[place] for place in left), tuple(self.groups[place] for place in left)
        return Labelling(*names, self.labels, self.true[left], self.predicted[left], self.probabilities[left])


def file(who: str) -> Path:
    """Return where a labelling is kept; that of the classifier is what `dvc plots` shows."""
    return paths.PREDICTIONS / ("predictions.csv" if who == CLASSIFIER else f"{who.replace(' ', '_')}.csv")


def write(
    target: Path,
    records: Sequence[tuple[str, str, str]],
    predicted: Sequence[str],
    probabilities: Sequence[dict[str, float]],
) -> None:
    """Write a labelling as CSV; `records` are id, group and right label of each text, in its order."""
    with target.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(["id", "group", "actual", "predicted", *(f"{_PROBABILITY}{each}" for each in probabilities[0])])
        for record, label, each in zip(records, predicted, probabilities, strict=True):
            writer.writerow([*record, label, *(f"{share:.9g}" for share in each.values())])  # 9 digits: all of float32


def read(who: str) -> Labelling:
    """Return a labelling as it was written."""
    with file(who).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    labels = [name.removeprefix(_PROBABILITY) for name in rows[0] if name.startswith(_PROBABILITY)]
    return Labelling(
        tuple(row["id"] for row in rows),
        tuple(row["group"] for row in rows),
        tuple(labels),
        np.array([labels.index(row["actual"]) for row in rows]),
        np.array([labels.index(row["predicted"]) for row in rows]),
        np.array([[float(row[f"{_PROBABILITY}{label}"]) for label in labels] for row in rows]),
    )


def measured(who: str) -> dict[str, float]:
    """Return the measures of a labelling by their names."""
    its = read(who)
    return dict(zip(MEASURES, measures(np.ones((1, len(its.ids))), its)[0].tolist(), strict=True))


def measures(weights: Numbers, its: Labelling) -> Numbers:
    """Return `MEASURES` of samples that hold each text so many times; (sample, text) gives (sample, measure)."""
    count = len(its.labels)
    precisions = [
        weighted.average_precision(weights, its.probabilities[:, place], its.true == place) for place in range(count)
    ]
    return np.stack(
        [
            weighted.accuracy(weights, its.is_right),
            np.nanmean(weighted.by_label(weights, its.true, its.predicted, count)[:, :, 2], axis=1),
            weighted.calibration_error(weights, its.confidence, its.is_right),
            np.nanmean(precisions, axis=0),
        ],
        axis=1,
    )
