"""Two builds compared: what changed, each headline number of both, and how it scatters over seeds."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from components.scoring import comparison
from components.scoring.comparison import Paired, Spread
from components.scoring.statistics import Interval
from pipeline.comparison import changes, records, seeds
from pipeline.comparison.builds import Build
from pipeline.comparison.changes import Change
from pipeline.findings.resampling import Resampling

ENDS = ("_low", "_high")  # what the report calls the ends of an interval: no numbers of their own


@dataclass(frozen=True)
class Number:
    """One headline number of both builds."""

    name: str
    a: float
    b: float
    pairs: Paired | None
    """Record by record; None for a number that is no mean over records, or whose records are not kept."""


@dataclass(frozen=True)
class Scatter:
    """One headline number over runs that differ in their seeds alone, the build's own run among them."""

    name: str
    a: Spread
    b: Spread
    difference: Interval
    """Mean of the runs of B minus that of A."""


@dataclass(frozen=True)
class Compared:
    """All that is found."""

    changed: tuple[Change, ...]
    numbers: tuple[Number, ...]
    """That both have, as B's report has them."""
    only_in_one: tuple[str, ...]
    """Names of numbers that the other has not."""
    over_seeds: tuple[Scatter, ...]
    """Empty without `--seeds`."""
    without_runs: tuple[str, ...]
    """Names of numbers that no run with other seeds has, so that nothing is known of their spread; empty as well."""


def compare(a: Build, b: Build, how: Resampling, count: int) -> Compared:
    """Return how two builds differ; over seeds from the first `count` runs of each with other ones."""
    numbers = tuple(_numbers(a, b, how))
    both = a.numbers.keys() & b.numbers.keys()
    alone = [name for name in [*a.numbers, *b.numbers] if name not in both and not name.endswith(ENDS)]
    over_seeds = tuple(_over_seeds(a, b, [each.name for each in numbers], how, count)) if count else ()
    known = {each.name for each in over_seeds}
    without_runs = tuple(each.name for each in numbers if count and each.name not in known)
    return Compared(tuple(changes.between(a, b)), numbers, tuple(alone), over_seeds, without_runs)


def _numbers(a: Build, b: Build, how: Resampling) -> Iterator[Number]:
    ours, theirs = records.values(a.folder), records.values(b.folder)
    for name in b.numbers:
        if name in a.numbers and not name.endswith(ENDS):
            values = (ours.get(name), theirs.get(name))
            pairs = comparison.paired(values[0], values[1], **asdict(how)) if values[0] and values[1] else None
            yield Number(name, a.numbers[name], b.numbers[name], pairs)


def _over_seeds(a: Build, b: Build, names: Sequence[str], how: Resampling, count: int) -> Iterator[Scatter]:
    """Yield the numbers that at least one run with other seeds has too."""
    runs_a, runs_b = ([build.numbers, *seeds.known(build, count)] for build in (a, b))
    for name in names:
        of_a, of_b = ([run[name] for run in runs if name in run] for runs in (runs_a, runs_b))
        if len(of_a) + len(of_b) > 2:  # the builds' own are two
            difference = comparison.difference_of_means(of_a, of_b, confidence=how.confidence)
            yield Scatter(name, comparison.spread(of_a), comparison.spread(of_b), difference)
