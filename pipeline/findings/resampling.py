"""How intervals are drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.scoring.agreement import Agreement, agreement
from components.scoring.statistics import Interval, Statistic, bootstrap, bootstrap_statistics, paired_difference


@dataclass(frozen=True)
class Resampling:
    """How intervals are drawn."""

    resamples: int
    """Bootstrap resamples behind each interval; 1 or more."""
    confidence: float
    """Share of the resamples inside an interval; 0.95 for a 95 % interval."""
    seed: int
    """Seed of the resampling."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if self.resamples < 1:
            raise ValueError(f"resamples is {self.resamples}; expected 1 or more")
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence is {self.confidence}; expected a share between 0 and 1")
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; expected 0 or more")

    def mean(self, values: Sequence[float], groups: Sequence[str], weights: Sequence[float] | None = None) -> Interval:
        """Return the mean of some values with its interval."""
        return bootstrap(
            values,
            resamples=self.resamples,
            confidence=self.confidence,
            seed=self.seed,
            groups=groups,
            weights=weights,
        )

    def difference(self, a: Sequence[float], b: Sequence[float], groups: Sequence[str]) -> Interval:
        """Return the mean of a - b, record by record, with its interval."""
        return paired_difference(
            a, b, resamples=self.resamples, confidence=self.confidence, seed=self.seed, groups=groups
        )

    def agreement(self, a: Sequence[float], b: Sequence[float], groups: Sequence[str]) -> Agreement:
        """Return how far two judges' scores of the same answers agree."""
        return agreement(a, b, resamples=self.resamples, confidence=self.confidence, seed=self.seed, groups=groups)

    def statistics(self, statistic: Statistic, groups: Sequence[str]) -> list[Interval]:
        """Return the values of a statistic of records with their intervals."""
        return bootstrap_statistics(
            statistic, groups, resamples=self.resamples, confidence=self.confidence, seed=self.seed
        )
