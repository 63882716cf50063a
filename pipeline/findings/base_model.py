"""How many bits the base model needs for a byte of held-out text, with its interval."""

from collections.abc import Sequence

from components.scoring.passage import Passage
from components.scoring.statistics import Interval
from components.tasks.files import read_records
from pipeline import paths
from pipeline.findings.resampling import Resampling


def passages() -> list[Passage]:
    """Return the loss on each passage of the validation text."""
    return read_records(paths.LOSSES, Passage)


def bits_per_byte(how: Resampling, passages: Sequence[Passage]) -> Interval:
    """Return the bits per byte of all bytes of some passages."""
    values = [each.bits_per_byte for each in passages]
    return how.mean(values, [each.group for each in passages], [each.size_bytes for each in passages])
