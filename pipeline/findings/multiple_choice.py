"""How often the likeliest ending of an item was the right one, with intervals, beside what knows nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.scoring.statistics import Interval, Mean
from components.tasks.files import read_records
from components.tasks.multiple_choice import Choice
from pipeline import paths


@dataclass(frozen=True)
class Chosen:
    """How often the right ending of an item was chosen, behind so many worked examples."""

    shots: int
    accuracy: Interval
    """By the log-likelihood of an ending."""
    accuracy_norm: Interval
    """By its log-likelihood per character."""
    accuracy_by_token: Interval
    """By its log-likelihood per token."""
    chance: float
    """Share that is right by chance."""
    longest: float
    """Share that is right where the ending with most characters is taken."""
    shortest: float
    """The same for the one with fewest."""
    cut: int
    """Items that were too long for the model and lost their beginning."""


def gather(mean: Mean) -> tuple[Chosen, ...]:
    """Return how often the right ending was chosen, by number of shots, in the order of the choices."""
    found = []
    choices = read_records(paths.CHOICES, Choice)
    for shots in dict.fromkeys(each.shots for each in choices):
        own = [each for each in choices if each.shots == shots]
        groups = [each.group for each in own]

        def share(chosen: str, own: Sequence[Choice] = own) -> list[float]:
            return [float(getattr(each, chosen) == each.answer) for each in own]

        found.append(
            Chosen(
                shots,
                accuracy=mean(share("likeliest"), groups),
                accuracy_norm=mean(share("likeliest_by_character"), groups),
                accuracy_by_token=mean(share("likeliest_by_token"), groups),
                chance=sum(1 / len(each.nats) for each in own) / len(own),
                longest=sum(share("longest")) / len(own),
                shortest=sum(share("shortest")) / len(own),
                cut=sum(each.is_cut for each in own),
            )
        )
    return tuple(found)
