"""What the assistant was taught to prefer: its margins on held-out pairs, and whether it answers better for it."""

from components.page.facts import Block, Column, Section, Table, Text, Value
from components.scoring.response import PREFERRED, TUNED, Response
from components.tasks.files import read_records
from pipeline import paths
from pipeline.findings.assistant import Comparison
from pipeline.findings.findings import Findings
from pipeline.sections import training
from pipeline.sections.wording import SHOWN_ANSWERS, cut, estimate, percent, scale, spoken


def sections(found: Findings) -> tuple[Section, ...]:
    """Return the section, or none where nothing was taught."""
    if not found.preferences:
        return ()
    said = Text("\n\n".join(conclusion(each) for each in found.comparisons if _is_of_preferred(each)) or NOT_COMPARED)
    curve = training.curves("prefer", "Training on preferences")
    return (Section("Preferences", (said, curve, margins(found), *answers())),)


NOT_COMPARED = "The preferred model has the tuned model's weights, or no answer of both could be judged."


def conclusion(pair: Comparison) -> str:
    """Return in a sentence whether the preferred model answers the test instructions better than the tuned one."""
    factor, unit, _ = scale(pair.unit)
    low, high = 0.0 - factor * pair.difference.high, 0.0 - factor * pair.difference.low  # preferred minus tuned
    if not pair.difference.excludes_zero:
        words = "is not told apart from"
    else:
        words = "is better than" if pair.difference.mean < 0 else "is worse than"
    return (
        f"By {spoken(pair.judge)}, on {pair.difference.count:,} held-out questions, the preferred model {words} the "
        f"tuned one: {factor * pair.theirs:.1f} against {factor * pair.tuned:.1f} {unit}, interval of the difference "
        f"{low:.1f} to {high:.1f}."
    )


def margins(found: Findings) -> Table:
    """Return what the pairs of each held-out split say before and after."""
    rows: list[tuple[Value, ...]] = [
        (
            each.split,
            each.margin.count,
            estimate(each.likelier_before, 100),
            estimate(each.likelier, 100),
            estimate(each.margin, 1),
            estimate(each.accuracy, 100),
        )
        for each in found.preferences
    ]
    columns = (
        Column("split"),
        Column("pairs"),
        Column("chosen answer likelier, before", "%", 1),
        Column("after", "%", 1),
        Column("margin", "nats per token", 3),
        Column("pairs with a margin above zero", "%", 1),
    )
    note = (
        "An answer's log-probability is the mean over its tokens. Margin: by how much the chosen answer's lead over "
        f"the rejected one has grown; zero before. {percent(found.confidence)} bootstrap intervals."
    )
    return Table("Held-out pairs of answers", columns, tuple(rows), note)


def answers() -> list[Block]:
    """Return the first test answers that have changed, before and after."""
    given = read_records(paths.RESPONSE_LINES, Response)
    tuned = {each.id: each for each in given if each.model == TUNED}
    changed = [each for each in given if each.model == PREFERRED and each.answer != tuned[each.id].answer]
    if not changed:
        return []
    rows: list[tuple[Value, ...]] = [
        ("\n".join(filter(None, (each.instruction, each.input))), cut(tuned[each.id].answer), cut(each.answer))
        for each in changed[:SHOWN_ANSWERS]
    ]
    note = f"The first of {len(changed):,} that differ, of {len(tuned):,}; not chosen by hand."
    return [
        Table(
            "Answers that have changed", (Column("question"), Column("tuned"), Column("preferred")), tuple(rows), note
        )
    ]


def _is_of_preferred(pair: Comparison) -> bool:
    return pair.other == PREFERRED and pair.kind is None
