"""Every judge's scores beside those that a known rater gave the same answers."""

from components.page.facts import Column, Estimate, Section, Table, Value
from components.scoring.statistics import Interval
from pipeline.findings.findings import Findings
from pipeline.sections.wording import percent, spoken


def sections(found: Findings) -> tuple[Section, ...]:
    """Return how each judge goes together with the reference, or nothing where there is none."""
    if not found.calibration:
        return ()
    reference = found.calibration[0].reference
    rows: list[tuple[Value, ...]] = []
    for each in found.calibration:
        its = each.agreement
        correlations = (its.pearson, its.spearman, its.kendall) if its else (None, None, None)
        rows.append((spoken(each.judge), each.answers, each.read, *map(_estimate, correlations)))
    columns = (
        Column("judge"),
        Column(f"answers that {reference} scored"),
        Column("scored too"),
        Column("Pearson", "", 2),
        Column("Spearman", "", 2),
        Column("Kendall", "", 2),
    )
    note = (
        f"Correlations with {reference}'s scores, -1 to 1, of the answers that both have scored, with "
        f"{percent(found.confidence)} bootstrap intervals; the answers to one question are drawn together. "
        "A dash: one of the two gives all answers the same."
    )
    table = Table(f"Each judge beside {reference}", columns, tuple(rows), note)
    return (Section("The judges judged", (table,)),)


def _estimate(correlation: Interval | None) -> Estimate | None:
    return Estimate(correlation.mean, correlation.low, correlation.high) if correlation else None
