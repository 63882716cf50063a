"""The classifier beside the untuned model and the baselines."""

import math

import numpy as np

from components.page.facts import (
    Block,
    Column,
    ConfusionMatrix,
    Curves,
    Dot,
    Intervals,
    Line,
    Panel,
    Section,
    Table,
    Text,
)
from pipeline import predictions, tracking
from pipeline.findings.classifier import RECALLS, LabelScores, Scores
from pipeline.findings.findings import Findings
from pipeline.sections import training
from pipeline.sections.wording import known, listed, percent

PANELS = 4  # labels whose precision-recall curves are drawn, the rarest first
MEASURES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "calibration_error": "calibration error",
    "average_precision": "average precision",
}


def section(found: Findings) -> Section:
    """Return the test results beside all baselines, label by label, and how they came to be."""
    blocks: tuple[Block, ...] = (
        Text(_conclusion(found)),
        _results(found),
        _differences(found),
        _by_label(found),
        _precision_recall(found),
        _confusion(),
        training.curves("finetune_classifier", "Training of the classifier"),
        Text(_kept()),
    )
    return Section("The classifier", blocks)


def _conclusion(found: Findings) -> str:
    accuracy = found.classifier.scores[0].accuracy
    said = (
        f"On {accuracy.count:,} test texts the classifier is right on {100 * accuracy.mean:.1f} % "
        f"({percent(found.confidence)} interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}). "
    )
    better, worse, open_ = _told_apart(found.classifier.differences)
    if better:
        said += f"Its accuracy is above that of {listed(better)} (the interval of the difference excludes zero). "
    if worse:
        said += f"Its accuracy is below that of {listed(worse)} (the interval of the difference excludes zero). "
    if open_:
        said += f"It is not told apart from {listed(open_)} (the interval of the difference does not exclude zero)."
    return said.strip()


def _told_apart(differences: tuple[Scores, ...]) -> tuple[list[str], list[str], list[str]]:
    """Return those that the classifier is above, below, and neither, by accuracy."""
    better = [each.who for each in differences if each.accuracy.excludes_zero and each.accuracy.low > 0]
    worse = [each.who for each in differences if each.accuracy.excludes_zero and each.accuracy.high < 0]
    return better, worse, [each.who for each in differences if each.who not in (*better, *worse)]


def _results(found: Findings) -> Table:
    return Table(
        "Test results",
        (Column("labelled by"), *(Column(name, "%", 1) for name in MEASURES.values())),
        tuple((each.who, *(known(getattr(each, name)) for name in MEASURES)) for each in found.classifier.scores),
        f"{percent(found.confidence)} bootstrap intervals, groups (modules) drawn together. F1 is the mean over the "
        "labels, average precision too, each label against the rest. The calibration error is the mean distance of the "
        "probability of the label that is said from the share that is right, in 15 bins (lower is better; resampling "
        "can only add to it, so that its interval lies high). Untuned is the model that training began with, frozen, "
        "with a head of its own fitted to the training texts; bag of words is a logistic regression on word counts; "
        "majority gives each label its share of training.",
    )


def _differences(found: Findings) -> Intervals:
    rows = tuple(
        Dot(f"minus {each.who}", shown, MEASURES[name])
        for name in ("accuracy", "f1", "average_precision")
        for each in found.classifier.differences
        if (shown := known(getattr(each, name)))
    )
    note = "Text by text, on the same resamples. Above zero the classifier is better."
    return Intervals("The classifier minus the others", "points", rows, 1, 0.0, note)


def _by_label(found: Findings) -> Table:
    columns = (
        Column("label"),
        Column("test texts"),
        *(Column(name, "%", 1) for name in ("precision", "recall", "F1", "average precision")),
    )
    rows = tuple(
        (
            each.label,
            each.texts,
            *(known(its) for its in (each.precision, each.recall, each.f1, each.average_precision)),
        )
        for each in found.classifier.labels
    )
    note = "Recall is the diagonal of the confusion matrix as a share of its row, precision as a share of its column."
    return Table("Label by label", columns, rows, note)


def _precision_recall(found: Findings) -> Block:
    shown = sorted((each for each in found.classifier.labels if each.texts), key=lambda each: each.texts)[:PANELS]
    left_out = len(found.classifier.labels) - len(shown)
    panels = tuple(Panel(f"precision of {each.label} (%)", _lines(each)) for each in shown)
    note = (
        f"Each label against the rest, at the highest threshold that finds such a share of its texts; between "
        f"{percent(found.confidence)} intervals, recall by recall."
    )
    if left_out:
        note += f" The rarest labels; {left_out} more are in the table."
    return Curves("Precision and recall", "recall (%)", panels, note)


def _lines(its: LabelScores) -> tuple[Line, ...]:
    x = tuple(round(100 * recall, 6) for recall in RECALLS)

    def line(label: str, values: list[float]) -> Line:
        points = [(at, 100 * value) for at, value in zip(x, values, strict=True) if not math.isnan(value)]
        return Line(label, tuple(at for at, _ in points), tuple(value for _, value in points))

    return (
        line("classifier", [each.mean for each in its.curve]),
        line("interval, low", [each.low for each in its.curve]),
        line("interval, high", [each.high for each in its.curve]),
        line("bag of words", [each.mean for each in its.words_curve]),
    )


def _confusion() -> ConfusionMatrix:
    its = predictions.read(predictions.CLASSIFIER)
    counts = np.zeros((len(its.labels), len(its.labels)), dtype=int)
    np.add.at(counts, (its.true, its.predicted), 1)
    rows = tuple(tuple(row) for row in counts.tolist())
    return ConfusionMatrix("Test texts by label", its.labels, rows, "Shaded by the share of the true label's texts.")


def _kept() -> str:
    given = tracking.recorded("finetune_classifier")
    if "kept_step" not in given:
        return "No step was made: there was nothing to choose the weights by."
    return (
        f"Kept are the weights after step {given['kept_step']:,} of {given['steps']:,} (counted from 0), "
        f"with a validation loss of {given['kept_validation_loss']:.3f} nats."
    )
