"""Choices among endings, beside what knows nothing."""

from components.page.facts import Column, Section, Table, Text, Value
from pipeline.findings.findings import Findings
from pipeline.sections.wording import estimate, percent


def sections(found: Findings) -> tuple[Section, ...]:
    """Return one section, or none where there was nothing to choose."""
    if not found.multiple_choice:
        return ()
    first = found.multiple_choice[0]
    columns = (
        Column("worked examples"),
        *(Column(f"right, {way}", "%", 1) for way in ("likeliest", "by character", "by token")),
        *(Column(name, "%", 1) for name in ("chance", "longest", "shortest")),
        Column("cut"),
    )
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            str(each.shots),
            *(estimate(way, 100) for way in (each.accuracy, each.accuracy_norm, each.accuracy_by_token)),
            *(100 * share for share in (each.chance, each.longest, each.shortest)),
            each.cut,
        )
        for each in found.multiple_choice
    )
    note = (
        "Chosen is the ending with the greatest log-likelihood: of the whole (what others call acc), per character "
        "(acc_norm), or per token. Longest and shortest always take the ending with most or fewest characters. Cut: "
        "items too long for the model, which lost their beginning. "
        f"Brackets are {percent(found.confidence)} intervals, items of one source drawn together."
    )
    said = (
        f"Of {first.accuracy_norm.count:,} items the base model completes {100 * first.accuracy_norm.mean:.1f} % "
        f"rightly, by character and behind {first.shots} worked examples. "
        f"Chance is right on {100 * first.chance:.1f} %."
    )
    return (Section("Choosing an ending", (Text(said), Table("Right endings", columns, rows, note))),)
