"""Put the whole build on one page that needs no network, and its headline numbers into one MLflow run."""

from components.page.page import render
from pipeline import paths, settings, tracking
from pipeline.comparison import builds
from pipeline.findings import findings, headline
from pipeline.findings.findings import Findings
from pipeline.findings.resampling import Resampling
from pipeline.orchestration import io, stage
from pipeline.sections import page

RUN = "build"


@stage
def report(report: Resampling) -> None:
    """Write `data/report.html`, and beside it, as no out, `data/timings.html`."""
    found = gather(report)
    write(found)
    write_timings()
    record(found)


@io
def gather(how: Resampling) -> Findings:
    """Return every interval of the build."""
    return findings.gather(how)


@io
def write(found: Findings) -> None:
    """Write the page: the same build gives the same bytes."""
    paths.REPORT.parent.mkdir(parents=True, exist_ok=True)
    render(page.facts(found), paths.REPORT)
    tracking.keep(paths.REPORT)


@io
def write_timings() -> None:
    """Write how long each stage took, on a page of its own, for it differs from run to run."""
    paths.TIMINGS_PAGE.parent.mkdir(parents=True, exist_ok=True)
    render(page.timings(), paths.TIMINGS_PAGE)


@io
def record(found: Findings) -> None:
    """Record the headline numbers, once more with all params in a run of the whole build's own, to compare builds.

    That run keeps what `python -m pipeline compare` reads of a build, record by record.
    """
    numbers = headline.numbers(found)
    tracking.record("report", numbers)
    with tracking.run(RUN, settings.read(), {}) as build:
        build.metrics([numbers])
        build.artifact(paths.REPORT)
        builds.keep(build)
