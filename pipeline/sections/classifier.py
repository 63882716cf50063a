"""The classifier beside its baselines."""

from collections import Counter

from components.page.facts import Column, ConfusionMatrix, Section, Table, Text
from pipeline import findings
from pipeline.findings import Findings, numbers
from pipeline.sections import training
from pipeline.sections.wording import percent, points


def section(found: Findings) -> Section:
    """Return the test results beside both baselines, the confusion matrix and the curve."""
    given = numbers("finetune_classifier")
    names = {"classifier": "", "bag of words": "bag_of_words_", "majority": "majority_"}
    measures = ("accuracy", "precision", "recall", "f1")
    results = Table(
        "Test results",
        (Column("labelled by"), *(Column(name, "%", 1) for name in ("accuracy", "precision", "recall", "F1"))),
        tuple((who, *(100 * given[f"{prefix}{name}"] for name in measures)) for who, prefix in names.items()),
        "Precision, recall and F1 are means over the labels. Bag of words is a logistic regression on word counts, "
        "majority the most frequent label in training.",
    )
    by_accuracy, by_f1 = (100 * (given[name] - given[f"bag_of_words_{name}"]) for name in ("accuracy", "f1"))
    accuracy = found.accuracy
    said = (
        f"On {given['test_texts']:,} test texts the classifier is right on {100 * accuracy.mean:.1f} % "
        f"({percent(found.confidence)} interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}). "
        f"Its accuracy is {points(by_accuracy)} that of bag of words, its F1 {points(by_f1)}."
    )
    return Section(
        "The classifier",
        (Text(said), results, _confusion(), training.curves("finetune_classifier", "Training of the classifier")),
    )


def _confusion() -> ConfusionMatrix:
    found = [(actual, predicted) for *_, actual, predicted in findings.predictions()]
    labels = tuple(sorted({label for pair in found for label in pair}))
    count = Counter(found)
    counts = tuple(tuple(count[actual, predicted] for predicted in labels) for actual in labels)
    return ConfusionMatrix("Test texts by label", labels, counts, "Shaded by the share of the true label's texts.")
