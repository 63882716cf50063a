"""When a training ends and which weights it leaves, by its curve alone, so that a resumed run decides the same."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from components.training.state import Row


@dataclass(frozen=True)
class Selection:
    """Which weights a training leaves, and whether it ends early, both by the validation loss."""

    keep: Literal["last", "best"]
    """The weights after the last step, or those after the evaluation with the lowest loss, of equal ones the first."""
    patience: int | None
    """Evaluations in a row without a lower loss after which the training ends; 1 or more; None never does."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience is {self.patience}; expected 1 or more, or null")

    def kept(self, curve: Sequence[Row]) -> int:
        """Return the step after which the weights are kept; -1 of a curve without a step."""
        evaluated = _evaluated(curve)
        return int(_lowest(evaluated)["step"]) if self.keep == "best" and evaluated else len(curve) - 1

    def is_over(self, curve: Sequence[Row]) -> bool:
        """Tell whether the loss has not fallen for too long."""
        evaluated = _evaluated(curve)
        if self.patience is None or not evaluated:
            return False
        return len(evaluated) - 1 - evaluated.index(_lowest(evaluated)) >= self.patience


LAST = Selection(keep="last", patience=None)
"""All steps, and the weights after the last."""


def _evaluated(curve: Sequence[Row]) -> list[Row]:
    return [row for row in curve if "validation_loss" in row]


def _lowest(evaluated: Sequence[Row]) -> Row:
    def loss(row: Row) -> float:  # nan is below nothing, and nothing below it
        return math.inf if math.isnan(row["validation_loss"]) else row["validation_loss"]

    return min(evaluated, key=loss)
