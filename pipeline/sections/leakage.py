"""What is held out and overlaps what is trained on, laid out, with the scores on the part that does not."""

from components.page.facts import Block, Column, KeyValues, Section, Table, Text, Value
from pipeline import paths
from pipeline.findings.findings import Findings
from pipeline.findings.leakage import overlap_counts
from pipeline.sections.wording import digits, estimate, known, percent, readable, scale, spoken

KINDS = {"exact": "exact", "near": "near", "13_gram": "13-gram"}


def section(found: Findings) -> Section:
    """Return the table of overlaps, and the scores on the clean part beside the whole."""
    return Section("Held out and trained on", (overlaps(), base_model(found), *classifier(found), *assistant(found)))


def overlaps() -> Table:
    """Return how much of each held-out side overlaps each other, by kind."""
    rows: list[tuple[Value, ...]] = [
        (
            each.held_out,
            each.seen,
            KINDS[each.kind],
            each.items,
            each.touched,
            100 * each.touched / each.items if each.items else None,
            100 * each.most,
        )
        for each in overlap_counts()
    ]
    columns = (
        Column("held out"),
        Column("looked for in"),
        Column("kind"),
        Column("texts"),
        Column("that overlap"),
        Column("share", "%", 1),
        Column("at most", "%", 1),
    )
    note = (
        "Exact: the same text to the letter. Near: MinHash of word n-grams of documents, of letters of records. "
        "13-gram: 13 words in a row, without case and punctuation; a text of fewer words counts where a whole text has "
        f"the same ones. Above the most the build stops. Each is listed in {paths.OVERLAPS}."
    )
    return Table("What is held out and stands elsewhere", columns, tuple(rows), note)


def base_model(found: Findings) -> Block:
    """Return the loss on the passages of the validation text that overlap nothing beside that on all."""
    clean, whole = found.clean, found.bits_per_byte
    if not clean.passages:
        return Text(f"None of the {whole.count:,} passages of the validation text is touched.")
    if not clean.bits_per_byte:
        return Text(f"Each of the {whole.count:,} passages of the validation text is touched: none is left to score.")
    return KeyValues(
        "The base model without the passages that overlap",
        (
            ("bits per byte on clean passages", estimate(clean.bits_per_byte, 1)),
            ("bits per byte on all", estimate(whole, 1)),
        ),
        f"Of the {whole.count:,} passages of the validation text {clean.passages:,} are touched, by any measure. "
        f"{percent(found.confidence)} intervals.",
    )


def classifier(found: Findings) -> list[Block]:
    """Return the scores on the test texts that overlap nothing beside those on all."""
    clean, whole = found.clean, found.classifier
    count = whole.scores[0].accuracy.count
    if not clean.texts:
        return [Text(f"None of the {count:,} test texts of the classifier is touched.")]
    if not clean.classifier:
        return [Text(f"Each of the {count:,} test texts of the classifier is touched: none is left to score.")]
    left = clean.classifier.scores[0].accuracy.count
    columns = (
        Column("labelled by"),
        *(Column(f"{name} on {which}", "%", 1) for name in ("accuracy", "F1") for which in ("clean", "all")),
    )
    rows = tuple(
        (its.who, *(known(each) for each in (its.accuracy, theirs.accuracy, its.f1, theirs.f1)))
        for its, theirs in zip(clean.classifier.scores, whole.scores, strict=True)
    )
    note = (
        f"Of the classifier's {count:,} test texts {clean.texts:,} are touched, by any measure; {left:,} are clean. "
        f"{percent(found.confidence)} intervals."
    )
    return [Table("Without the test texts that overlap", columns, rows, note)]


def assistant(found: Findings) -> list[Block]:
    """Return every model's scores on the questions that overlap nothing beside those on all, by each judge."""
    clean = found.clean
    if not clean.questions:
        return [Text("None of the assistant's test questions is touched.")]
    if not clean.standings:
        return [Text(f"Each of the {clean.questions:,} test questions is touched: none is left to score.")]
    return [_beside(found, judge) for judge in found.judges]


def _beside(found: Findings, judge: str) -> Table:
    rows: list[tuple[Value, ...]] = []
    unit = ""
    for each in (each for each in found.clean.standings if each.judge == judge):
        factor, unit, _ = scale(each.unit)
        whole = found.standing(judge, each.model)
        both = [estimate(its.mean, factor) if its.mean else None for its in (each, whole)]
        rows.append((readable(each.model), each.read, both[0], whole.read, both[1]))
    columns = (
        Column("model"),
        Column("clean questions"),
        Column("score on them", unit, digits(unit)),
        Column("all questions"),
        Column("score on all", unit, digits(unit)),
    )
    note = f"{found.clean.questions:,} questions are touched, by any measure. {percent(found.confidence)} intervals."
    return Table(f"Without the questions that overlap, by {spoken(judge)}", columns, tuple(rows), note)
