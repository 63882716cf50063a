"""The numbers by which whole builds are compared, and their names."""

import re

from components.scoring.response import CONSTANT, TUNED
from components.scoring.score import NATS, POINTS
from components.scoring.statistics import Interval
from pipeline import predictions, tracking
from pipeline.findings import calibration
from pipeline.findings.classifier import Classified
from pipeline.findings.findings import Findings


def numbers(found: Findings) -> dict[str, float]:
    """Return the numbers by which whole builds are compared, each interval as two more: `_low` and `_high`.

    The units are those of the stages: shares 0..1, chrF and verdicts 0..100. By kind of question the tuned model is
    compared with the best constant alone, which knows the kinds.
    """
    base = tracking.recorded("evaluate")
    given = _with_ends("bits_per_byte", found.bits_per_byte)
    given |= {name: float(base[name]) for name in ("xz_bits_per_byte", "xz_after_training_text_bits_per_byte")}
    if found.clean.bits_per_byte:
        given |= _with_ends("bits_per_byte_clean", found.clean.bits_per_byte)
    for of in found.multiple_choice:
        name = f"multiple_choice_{of.shots}_shot_accuracy"
        given |= _with_ends(name, of.accuracy) | _with_ends(f"{name}_norm", of.accuracy_norm)
    touched = {"base_model": found.clean.passages, "classifier": found.clean.texts, "assistant": found.clean.questions}
    given |= {f"{who}_touched": float(count) for who, count in touched.items()}
    given |= _classifier(found.classifier, "")
    if found.clean.classifier:
        given |= _classifier(found.clean.classifier, "_clean")
    for each in found.standings:
        name = name_of(each.model, each.judge)
        if each.mean:
            given |= _with_ends(name, each.mean) if each.model == TUNED else {name: each.mean.mean}
        if each.unit in (POINTS, NATS):
            given[f"{name}_coverage"] = each.read / each.answers
    for each in found.clean.standings:
        name = f"{name_of(each.model, each.judge)}_clean"
        if each.mean:
            given |= _with_ends(name, each.mean) if each.model == TUNED else {name: each.mean.mean}
    for its in found.preferences:
        given |= _with_ends(f"preferences_{its.split}_margin", its.margin)
        given |= _with_ends(f"preferences_{its.split}_accuracy", its.accuracy)
    for pair in found.comparisons:
        if pair.kind is None or pair.other == CONSTANT:
            words = [TUNED, "minus", pair.other, pair.judge, *([pair.kind] if pair.kind else [])]
            given |= _with_ends(name_of(*words), pair.difference)
    return given | {name_of(name): value for name, value in calibration.numbers(found.calibration).items()}


def _classifier(found: Classified, end: str) -> dict[str, float]:
    """Return the classifier's measures, those of the others without their intervals, and how far it is above them."""
    classifier, *others = found.scores
    given: dict[str, float] = {}
    for measure in predictions.MEASURES:
        given |= _with_ends(f"classifier_{measure}{end}", getattr(classifier, measure))
        given |= {name_of(labeller(each.who), measure) + end: getattr(each, measure).mean for each in others}
    for each in found.differences:
        for measure in ("accuracy", "f1"):
            given |= _with_ends(
                name_of("classifier", "minus", labeller(each.who), measure) + end, getattr(each, measure)
            )
    return given


def labeller(who: str) -> str:
    """Return who labelled, told apart from the untuned model that answers questions."""
    return f"{who} classifier" if who == predictions.UNTUNED else who


def _with_ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def name_of(*words: str) -> str:
    """Return the words of a headline number, such as a model and a judge, as one name that MLflow takes."""
    return "_".join(re.sub(r"[^A-Za-z0-9_./:-]+", "_", word) for word in words)
