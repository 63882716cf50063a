"""Compare two builds: what each was made from, and whether their numbers differ by more than chance."""

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from components.scoring.comparison import Paired, Spread
from components.scoring.statistics import Interval
from pipeline import paths, settings, tracking
from pipeline.comparison import builds, changes, seeds
from pipeline.comparison.builds import REPORT, WORKSPACE, Build
from pipeline.comparison.changes import KINDS, Change
from pipeline.comparison.comparison import Compared, Number, Scatter, compare
from pipeline.findings.resampling import Resampling

WIDTHS = (46, 8, 8, 9, 21, 8)  # characters of a row's cells, 100 in all
VALUE_CHARACTERS = 30
MARK = " *"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the two builds."""
    named = "a revision of git, an experiment of DVC, a build run of MLflow, or 'workspace'"
    parser.add_argument("a", metavar="A", help=named)
    parser.add_argument("b", metavar="B", nargs="?", default=WORKSPACE, help="the same; what lies here unless told")
    parser.add_argument("--seeds", type=int, default=0, metavar="N", help="also run each N times with other seeds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that is found there too")


def run(arguments: argparse.Namespace) -> int:
    """Print what changed from A to B, then the numbers that differ.

    Raises ValueError for a name that means no finished build, and for less than no seeds.
    """
    if arguments.seeds < 0:
        raise ValueError(f"--seeds is {arguments.seeds}; expected 0 or more")
    how = settings.parse(REPORT, settings.read().get(REPORT), Resampling)
    with ExitStack() as stack:
        a, b = (stack.enter_context(builds.opened(name)) for name in (arguments.a, arguments.b))
        if arguments.seeds:
            _run_seeds([a, b], arguments.seeds)
        found = compare(a, b, how, arguments.seeds)
        for line in lines(a, b, found, how.confidence):
            print(line)
    if arguments.json:
        with paths.whole(arguments.json) as temporary:
            temporary.write_text(json.dumps(asdict(found), indent=1) + "\n", encoding="utf-8")
    return 0


def _run_seeds(those: Sequence[Build], count: int) -> None:
    """Run the builds with other seeds that there are not yet, with one Prefect server up for all of them."""
    waiting = [build for build in those if seeds.missing(build, count)]  # all may refuse before one runs
    if not waiting:
        return
    from pipeline.orchestration import server  # late: two seconds

    with server(), tracking.shared():
        for build in waiting:
            seeds.run(build, count)


def lines(a: Build, b: Build, found: Compared, confidence: float) -> Iterator[str]:
    """Yield what is printed; nothing is wider than 100 characters but names of one's own."""
    for letter, build in (("A", a), ("B", b)):
        yield f"{letter}  {build.name}: {build.origin}"
        if drifted := build.drifted():
            yield f"   edited since it was built, so not what would run now: {', '.join(drifted)}"
    yield ""
    yield from _changed(a, b, found.changed)
    yield ""
    yield from _measured(found, confidence)
    if found.over_seeds:
        yield ""
        yield from _scattered(found.over_seeds, confidence)
    if found.without_runs:
        yield f"In no run with other seeds: {', '.join(found.without_runs)}."


def _changed(a: Build, b: Build, changed: Sequence[Change]) -> Iterator[str]:
    by_kind = {kind: list(those) for kind, those in groupby(changed, lambda change: change.kind)}
    for kind in KINDS:
        if kind not in by_kind:
            yield f"{kind:10}the same"
        for place, each in enumerate(by_kind.get(kind, [])):
            head = kind if place == 0 else ""
            if kind == "code":
                yield f"{head:10}{each.name} ({', '.join(changes.readers(a, b, each.name))})"
            else:
                yield f"{head:10}{each.name}: {_short(each.a)} -> {_short(each.b)}"


def _short(text: str) -> str:
    return text if len(text) <= VALUE_CHARACTERS else f"{text[: VALUE_CHARACTERS - 3]}..."


def _measured(found: Compared, confidence: float) -> Iterator[str]:
    """Yield the numbers that differ; the difference is that of the records in both where these are known."""
    differing = [each for each in found.numbers if each.a != each.b or _moves(each)]
    yield _row("", "A", "B", "B - A", f"{100 * confidence:g} % interval", "records")
    for each in differing:
        difference = each.pairs.difference if each.pairs else None
        mean = difference.mean if difference else each.b - each.a
        yield _row(each.name, f"{each.a:.4g}", f"{each.b:.4g}", f"{mean:+.3g}", *_paired(each.pairs))
    yield f"{len(found.numbers) - len(differing)} of {len(found.numbers)} numbers are the same in both."
    yield from _notes(found, confidence)


def _moves(number: Number) -> bool:
    """Tell whether records differ even though their means do not."""
    difference = number.pairs.difference if number.pairs else None
    return difference is not None and difference.low < difference.high


def _paired(pairs: Paired | None) -> tuple[str, str]:
    """Return the interval, and of how many records it is."""
    if pairs is None:
        return "one number", ""
    if pairs.difference is None:
        return "no record in both", f"0/{pairs.left_out}"
    count = pairs.difference.count
    return _ends(pairs.difference), f"{count}/{count + pairs.left_out}" if pairs.left_out else f"{count}"


def _ends(interval: Interval) -> str:
    return f"{interval.low:+.3g} .. {interval.high:+.3g}{MARK if interval.excludes_zero else ''}"


def _notes(found: Compared, confidence: float) -> Iterator[str]:
    """Yield what the reader of the intervals has to know."""
    paired = [each.pairs for each in found.numbers if each.pairs]
    if paired:
        yield "Intervals: these two models on other records, a group's (a module's) drawn together."
        if not found.over_seeds:
            yield "What other seeds would make of it they do not say: --seeds N does."
    if any(pairs.difference and pairs.difference.excludes_zero for pairs in paired):
        chance = 100 * (1 - confidence)
        yield f"*  leaves out zero; of {len(paired)} such intervals about {chance:.2g} % would by chance alone."
    if any(pairs.left_out for pairs in paired):
        yield "n/m  of m records n are in both and asked the same; the others are left out of B - A and its interval."
    if found.only_in_one:
        yield f"In one build only: {', '.join(found.only_in_one)}."


def _scattered(over_seeds: Sequence[Scatter], confidence: float) -> Iterator[str]:
    """Yield the numbers that differ or scatter, each with its standard deviations below it.

    A number that not every run has shows how many have.
    """
    all_runs = max(each.a.count for each in over_seeds), max(each.b.count for each in over_seeds)
    yield f"Over seeds: mean and standard deviation of {all_runs[0]} runs of A and {all_runs[1]} of B"
    yield _row("", "A", "B", "B - A", f"{100 * confidence:g} % interval", "")
    has_fewer = False
    for each in over_seeds:
        if each.difference.low or each.difference.high:
            means = f"{each.a.mean:.4g}", f"{each.b.mean:.4g}", f"{each.difference.mean:+.3g}"
            runs = each.a.count, each.b.count
            has_fewer = has_fewer or runs != all_runs
            yield _row(each.name, *means, _ends(each.difference), "" if runs == all_runs else f"{runs[0]}+{runs[1]}")
            yield _row("", _deviation(each.a), _deviation(each.b), "", "", "")
    yield "*  more than the spread: Student's interval of the difference of the means leaves out zero."
    if has_fewer:
        yield "n+m  only n runs of A and m of B have this number."


def _deviation(spread: Spread) -> str:
    return "one run" if spread.deviation is None else f"+-{spread.deviation:.2g}"


def _row(name: str, *cells: str) -> str:
    first, *others = WIDTHS
    cut = "".join(f"{cell:>{width}}" for cell, width in zip(cells, others, strict=True))
    return f"{name:<{first}}{cut}".rstrip()
