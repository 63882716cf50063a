"""How well labels were told: accuracy, precision, recall, F1 and the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support


@dataclass(frozen=True)
class Classification:
    """Classification metrics over one set of records; shares 0..1."""

    accuracy: float
    precision: float
    """Mean over the labels (macro), each label with the same weight; a label never predicted counts 0."""
    recall: float
    """Mean over the labels (macro); a label that no record has counts 0."""
    f1: float
    """Mean over the labels (macro) of each one's F1."""
    labels: tuple[str, ...]
    """The labels, in the order of the confusion matrix."""
    confusion: tuple[tuple[int, ...], ...]
    """Records by true label (row) and predicted label (column)."""


def classification(true: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Classification:
    """Return the metrics of predicted labels against the true ones.

    `labels` are all that can occur, in the order wanted; macro means are taken over them.

    Raises ValueError for no records, different lengths, or a label that is not among `labels`.
    """
    if not true or len(true) != len(predicted):
        raise ValueError(f"{len(true)} true and {len(predicted)} predicted labels; expected as many, at least one")
    if unknown := sorted({*true, *predicted} - set(labels)):
        raise ValueError(f"unknown label {unknown[0]!r}; expected one of {', '.join(labels)}")
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=list(labels), average="macro", zero_division=0
    )
    matrix = confusion_matrix(true, predicted, labels=list(labels))
    return Classification(
        accuracy=float(accuracy_score(true, predicted)),
        precision=float(precision),
        recall=float(recall),
        f1=float(f1),
        labels=tuple(labels),
        confusion=tuple(tuple(int(count) for count in row) for row in matrix),
    )
