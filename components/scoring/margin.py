"""How likely a model finds the two answers of a pair, before and after it was taught which is preferred."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Margin:
    """One pair; log-probabilities are means over an answer's tokens, nats per token."""

    id: str
    """Which pair."""
    group: str
    """What it was taken from; pairs of one group are resampled together."""
    split: str
    """ "validation" or "test"."""
    chosen_before: float
    """Log-probability of the preferred answer before."""
    rejected_before: float
    """That of the other."""
    chosen: float
    """Log-probability of the preferred answer after."""
    rejected: float
    """That of the other."""

    @property
    def lead_before(self) -> float:
        """By how much the preferred answer was likelier."""
        return self.chosen_before - self.rejected_before

    @property
    def lead(self) -> float:
        """By how much it is likelier now."""
        return self.chosen - self.rejected

    @property
    def margin(self) -> float:
        """By how much its lead has grown: what the book prints as reward margin; the paper's is beta times as much."""
        return self.lead - self.lead_before
