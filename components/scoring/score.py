"""One judgement of one answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

LIKELIHOOD = "likelihood"  # the judge of the expected answer, whatever was answered
POINTS = "points"  # the unit of a judging model or a rater, whose verdicts may be unreadable
NATS = "nats per token"  # the unit of a likelihood


@dataclass(frozen=True)
class Score:
    """What one judge says of one answer; a verdict that could not be read is kept as null, with the reason."""

    model: str
    """Name of the model that answered."""
    id: str
    """Id of the test record that was answered."""
    judge: str
    """Who judged: the name of a metric ("exact_match", "chrf", "rouge_l", "likelihood"), a judging model or a rater."""
    value: float | None
    """The verdict in `unit`; None where it could not be read."""
    unit: str
    """What `value` counts: "share" 0..1, "chrF" 0..100, "points" 0..100, "nats per token" up to 0."""
    reason: str
    """Why `value` is None; empty where there is one."""

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is not finite, or for a null without a reason."""
        if self.value is None and not self.reason:
            raise ValueError(f"{self.model} {self.id}: a score without a value needs a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(f"{self.model} {self.id}: score is {self.value}; expected a finite number or null")
