"""What is held out and overlaps something, and how all stands without it."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from components.overlap.found import Count, Overlap
from components.scoring.response import Response
from components.scoring.statistics import Interval
from components.tasks.files import read_records
from pipeline import paths, predictions
from pipeline.findings import base_model, classifier
from pipeline.findings.assistant import Standing, standings
from pipeline.findings.classifier import Classified
from pipeline.findings.resampling import Resampling

PASSAGES = ("corpus validation",)  # the sides that are scored
TEXTS, QUESTIONS = ("classification test",), ("instructions test", "judge items")


@dataclass(frozen=True)
class Clean:
    """The same on what overlaps nothing that was trained on; empty where all of it does so, or nothing overlaps."""

    passages: int
    """Passages of the validation text that overlap something, by any measure."""
    bits_per_byte: Interval | None
    """Of the base model on the others; None as said."""
    texts: int
    """Test texts of the classifier that overlap something, by any measure."""
    classifier: Classified | None
    """All scores on the others; None as said."""
    questions: int
    """Test questions that overlap something."""
    standings: tuple[Standing, ...]
    """On the others."""


def overlap_counts() -> list[Count]:
    """Return how much of each held-out side overlaps each other, by kind."""
    return [Count(**row) for row in json.loads(paths.OVERLAP_COUNTS.read_text(encoding="utf-8"))]


def touched(sides: Collection[str]) -> set[str]:
    """Return the ids of the records of some held-out sides that overlap anything."""
    return {each.id for each in read_records(paths.OVERLAPS, Overlap) if each.held_out in sides}


def clean(how: Resampling, asked: Mapping[str, Response]) -> Clean:
    """Return losses, labels and standings on what overlaps nothing."""
    held_out, found = base_model.passages(), touched(PASSAGES)
    others = [each for each in held_out if each.id not in found]
    ids = set(predictions.read(predictions.CLASSIFIER).ids)
    texts, questions = ids & touched(TEXTS), asked.keys() & touched(QUESTIONS)
    left = {id: each for id, each in asked.items() if id not in questions}
    return Clean(
        len(held_out) - len(others),
        base_model.bits_per_byte(how, others) if 0 < len(others) < len(held_out) else None,
        len(texts),
        classifier.gather(how.statistics, texts) if 0 < len(texts) < len(ids) else None,
        len(questions),
        tuple(standings(how, left)) if questions else (),
    )
