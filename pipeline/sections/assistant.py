"""The assistant beside every other model: scores, differences and answers, with what they come to in words."""

from collections.abc import Iterable, Sequence

from components.page.facts import Block, Column, Dot, Intervals, Section, Table, Text, Value
from components.scoring.response import TUNED, UNTUNED, Response
from components.scoring.score import NATS, POINTS, Score
from components.scoring.statistics import Interval
from components.tasks.files import read_records
from pipeline import paths
from pipeline.findings.assistant import Comparison, Standing
from pipeline.findings.findings import Findings
from pipeline.sections import training
from pipeline.sections.wording import SHOWN_ANSWERS, cut, digits, estimate, listed, percent, readable, scale, spoken


def section(found: Findings) -> Section:
    """Return the curve, every model's scores, the differences to the tuned one, and answers."""
    curve = training.curves("finetune_instructions", "Training of the assistant")
    of_answers = [each.judge for each in found.standings if each.unit != NATS]
    return Section("The assistant", (curve, *scores(found), *(answers(of_answers[0]) if of_answers else [])))


def scores(found: Findings) -> list[Block]:
    """Return for each judge every model's score and its difference to the tuned one, by kind of question too."""
    blocks: list[Block] = []
    for judge in found.judges:
        blocks.append(_standings([each for each in found.standings if each.judge == judge], found.confidence))
        pairs = [each for each in found.comparisons if each.judge == judge]
        if pairs:
            blocks.append(_differences([each for each in pairs if each.kind is None], found.confidence))
        if by_kind := [each for each in pairs if each.kind is not None]:
            blocks.append(_differences_by_kind(by_kind, found.confidence))
    return blocks


def conclusion(found: Findings, judge: str) -> str:
    """Return in a sentence what the differences over all questions come to."""
    pairs = [each for each in found.comparisons if each.judge == judge and each.kind is None]
    if not pairs:
        return f"By {spoken(judge)} the tuned model could not be compared."
    count = min(each.difference.count for each in pairs)
    clauses = []
    for is_so, words, why in (
        (_is_better, "better than", "the interval of the difference excludes zero"),
        (_is_worse, "worse than", "the interval of the difference excludes zero"),
        (_is_open, "not told apart from", "the interval of the difference does not exclude zero"),
    ):
        if others := [readable(each.other) for each in pairs if is_so(each.difference)]:
            clauses.append(f"{words} {listed(others)} ({why})")
    return f"By {spoken(judge)}, on {count:,} held-out questions, the tuned model is {'. It is '.join(clauses)}."


def answers(judge: str) -> list[Block]:
    """Return some of the tuned model's good answers and some of its bad ones, beside those of the untuned model."""
    by_id: dict[str, dict[str, Response]] = {}
    for each in read_records(paths.RESPONSE_LINES, Response):
        by_id.setdefault(each.id, {})[each.model] = each
    own = [each for each in read_records(paths.SCORE_LINES, Score) if (each.judge, each.model) == (judge, TUNED)]
    values = {each.id: each.value / scale(each.unit)[2] for each in own if each.value is not None}
    good = sorted((id for id, value in values.items() if value > 0.5), key=lambda id: -values[id])
    bad = sorted((id for id, value in values.items() if value <= 0.5), key=lambda id: values[id])
    titles = ("Right answers", "Wrong answers") if judge == "exact_match" else ("Best answers", "Worst answers")
    kind_of = {id: by_id[id][TUNED].kind for id in values}
    return [
        _answer_table(title, [by_id[id] for id in _some_of_each(ids, kind_of)])
        for title, ids in zip(titles, (good, bad), strict=True)
        if ids
    ]


def _standings(standings: Sequence[Standing], confidence: float) -> Block:
    judge, unit = standings[0].judge, standings[0].unit
    factor, shown, _ = scale(unit)
    coverage = ", ".join(f"{readable(each.model)} {each.read:,} of {each.answers:,}" for each in standings)
    dots = tuple(Dot(readable(each.model), estimate(each.mean, factor)) for each in standings if each.mean)
    if not dots:
        return Text(f"No verdict of {judge} could be read: {coverage}.")
    count = standings[0].answers
    note = f"{percent(confidence)} bootstrap intervals over {count:,} questions, those of one group drawn together."
    if unit == POINTS:
        note += f" Verdicts that could be read: {coverage}."
    if unit == NATS:
        note += f" Of the expected answer's tokens; the nearer to 0, the likelier. Scored: {coverage}."
    return Intervals(f"Scores by {spoken(judge)}", shown, dots, digits(unit), note=note)


def _differences(pairs: Sequence[Comparison], confidence: float) -> Table:
    factor, unit, _ = scale(pairs[0].unit)
    rows: list[tuple[Value, ...]] = []
    for each in pairs:
        means = factor * each.tuned, factor * each.theirs
        rows.append((readable(each.other), *means, estimate(each.difference, factor), _verdict(each.difference)))
    columns = (
        Column("compared with"),
        Column("tuned", unit, digits(unit)),
        Column("other", unit, digits(unit)),
        Column("difference", _of_differences(unit), digits(unit)),
        Column("its interval"),
    )
    count = min(each.difference.count for each in pairs)
    note = f"Question by question, on {count:,} questions, with {percent(confidence)} bootstrap intervals."
    return Table(f"The tuned model minus each other by {spoken(pairs[0].judge)}", columns, tuple(rows), note)


def _differences_by_kind(pairs: Sequence[Comparison], confidence: float) -> Intervals:
    factor, unit, _ = scale(pairs[0].unit)
    counts = {str(each.kind): each.difference.count for each in pairs}
    dots = tuple(
        Dot(readable(each.other), estimate(each.difference, factor), kind)
        for kind in counts
        for each in pairs
        if each.kind == kind
    )
    sizes = ", ".join(f"{kind} {count:,}" for kind, count in counts.items())
    note = f"{percent(confidence)} bootstrap intervals; questions: {sizes}. {_exceptions(pairs)}"
    title = f"The tuned model minus each other by {spoken(pairs[0].judge)}, by kind of question"
    return Intervals(title, _of_differences(unit), dots, digits(unit), 0.0, note)


def _exceptions(pairs: Sequence[Comparison]) -> str:
    """Return which intervals lie elsewhere than above zero."""
    said = []
    for is_so, words in ((_is_open, "These do not exclude zero"), (_is_worse, "These lie below zero")):
        if names := [f"{each.kind} against {readable(each.other)}" for each in pairs if is_so(each.difference)]:
            said.append(f"{words}: {listed(names)}.")
    others = "The others" if said else "All"
    return " ".join([*said, f"{others} exclude zero and lie above it."])


def _verdict(difference: Interval) -> str:
    """Say where an interval lies."""
    if _is_open(difference):
        return "does not exclude zero"
    return f"excludes zero, {'better' if _is_better(difference) else 'worse'}"


def _is_better(difference: Interval) -> bool:
    return difference.excludes_zero and difference.mean > 0


def _is_worse(difference: Interval) -> bool:
    return difference.excludes_zero and difference.mean < 0


def _is_open(difference: Interval) -> bool:
    return not difference.excludes_zero


def _of_differences(unit: str) -> str:
    return "points" if unit == "%" else unit


def _some_of_each(ids: Iterable[str], kind_of: dict[str, str]) -> list[str]:
    """Return the first ids of each kind, kinds together, at least one of each."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in dict.fromkeys(kind_of.values())}
    for id in ids:
        by_kind[kind_of[id]].append(id)
    most = max(1, SHOWN_ANSWERS // len(by_kind))
    return [id for its in by_kind.values() for id in its[:most]]


def _answer_table(title: str, answered: Sequence[dict[str, Response]]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for each in answered:
        tuned = each[TUNED]
        question = "\n".join(part for part in (tuned.instruction, tuned.input) if part)
        untuned = cut(each[UNTUNED].answer) if UNTUNED in each else None
        rows.append((question, tuned.expected, cut(tuned.answer), untuned))
    columns = (Column("question"), Column("expected"), Column("tuned"), Column("untuned"))
    return Table(title, columns, tuple(rows), "The first of each kind, not chosen by hand.")
