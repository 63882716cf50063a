"""How the learning rate moves: up over a warm-up, then flat, along half a cosine, or flat and straight down."""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ScheduleSettings:
    """The course of the learning rate, as shares of its peak."""

    name: Literal["constant", "cosine", "linear"]
    """What follows the warm-up: the peak throughout, half a cosine, or the peak and then a straight line down."""
    warmup_steps: int
    """Steps of the straight line from `initial` to the peak; 0 or more; 0 starts at the peak."""
    initial: float
    """Learning rate of step 0 if there is a warm-up, share of the peak; 0..1."""
    minimum: float
    """Where cosine and linear end, share of the peak; 0..1; constant does not read it."""
    decay_share: float
    """Last part of all steps in which linear goes down, 0..1; the other two do not read it."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; expected 0 or more")
        for field in ("initial", "minimum", "decay_share"):
            if not 0.0 <= getattr(self, field) <= 1.0:
                raise ValueError(f"{field} is {getattr(self, field)}; expected 0..1")


def factor(step: int, total: int, settings: ScheduleSettings) -> float:
    """Return the learning rate of a step as a share of the peak.

    `step` counts from 0, `total` is the number of steps. The warm-up starts at `initial` in step 0 and is at the peak
    in step `warmup_steps`; with no warm-up step 0 has the peak, and a warm-up of `total` steps or more is cut off on
    its way up, never reaching the peak. Cosine and linear reach `minimum` in step `total`, one after the last, and
    stay there. Linear begins its way down at `total - decay_share * total`, though never within the warm-up.

    >>> settings = ScheduleSettings("cosine", warmup_steps=10, initial=0.0, minimum=0.1, decay_share=0.0)
    >>> [factor(step, 110, settings) for step in (0, 5, 10, 60, 110)]
    [0.0, 0.5, 1.0, 0.55, 0.1]

    Source: cosine as in Loshchilov and Hutter 2017, SGDR, eq. 5, with one cycle, after the warm-up of the book's
    appendix D; constant then linear as in Haegele et al. 2024, Scaling Laws and Compute-Optimal Training.
    """
    if step < settings.warmup_steps:
        return settings.initial + (1.0 - settings.initial) * step / settings.warmup_steps
    if settings.name == "constant":
        return 1.0
    if settings.name == "cosine":
        height = 0.5 * (1.0 + math.cos(math.pi * _progress(step, settings.warmup_steps, total)))
    else:
        start = max(settings.warmup_steps, total - settings.decay_share * total)
        height = 1.0 - _progress(step, start, total)
    return settings.minimum + (1.0 - settings.minimum) * height


def _progress(step: int, start: float, end: float) -> float:
    """Return the share of the way from `start` to `end`: 0 before it, 1 from `end` on, even if the way is empty."""
    if step < start:
        return 0.0
    return 1.0 if step >= end else (step - start) / (end - start)
