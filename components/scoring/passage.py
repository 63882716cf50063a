"""How hard a passage of held-out text is for a model."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Passage:
    """One passage of a document, and the loss on it."""

    id: str
    """Which passage."""
    group: str
    """The source of its document, or the passage itself where there is one source; a group is resampled together."""
    sha256: str
    """Of its text in UTF-8."""
    tokens: int
    """Tokens that were scored: those that begin in it, and behind the last of its document the end of that."""
    size_bytes: int
    """UTF-8 bytes of these; above 0."""
    nats: float
    """Sum of their losses, the cross entropies."""

    @property
    def bits_per_byte(self) -> float:
        """The loss on a byte; models of different vocabularies compare in it."""
        return self.nats / math.log(2) / self.size_bytes
