"""The report, and the page of durations beside it."""

import json

from components.page.facts import Column, Facts, Section, Table, Value
from pipeline import dag, paths
from pipeline.findings.findings import Findings
from pipeline.sections import (
    assistant,
    base_model,
    calibration,
    classifier,
    corpus,
    headline,
    leakage,
    multiple_choice,
    preferences,
    provenance,
)


def facts(found: Findings) -> Facts:
    """Return the whole page."""
    return Facts(
        title="From text to an assistant",
        subtitle="What one build read, trained and found",
        sections=(
            headline.section(found),
            provenance.graph(),
            corpus.section(),
            base_model.section(found),
            *multiple_choice.sections(found),
            classifier.section(found),
            assistant.section(found),
            *preferences.sections(found),
            *calibration.sections(found),
            leakage.section(found),
            provenance.checks(),
            provenance.origin(),
        ),
        footer="The same inputs on the same machine give this page byte for byte. "
        "How long each stage took stands in timings.html beside it.",
    )


def timings() -> Facts:
    """Return the page of durations: seconds of each stage's last run on this machine."""
    rows: list[tuple[Value, ...]] = []
    for stage in dag.stages():
        file = paths.timings(stage.name)
        if stage.name != "report":  # still running
            seconds = json.loads(file.read_text(encoding="utf-8"))["elapsed_s"] if file.exists() else None
            rows.append((stage.name, seconds))
    total = sum(seconds for _, seconds in rows if isinstance(seconds, float))
    columns = (Column("stage"), Column("time", "s", 1))
    note = "A dash: not run on this machine, its products came from the cache. The report is still being written."
    table = Table("Seconds per stage", columns, (*rows, ("together", total)), note)
    return Facts("How long it took", "The last run of each stage on this machine", (Section("Stages", (table,)),))
