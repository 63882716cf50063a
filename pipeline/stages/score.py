"""Score every answer, and beside the models' those of two that know nothing: the best constant and the copied input."""

import re
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, Literal

import pandas as pd

from components.scoring import metrics
from components.scoring.baselines import best_constants
from components.scoring.judge import Judge, JudgeSettings
from components.scoring.response import Response
from components.scoring.score import Score
from components.tasks.files import read_json_lines, read_records, write_records
from pipeline import checks, machine, paths, tracking
from pipeline.orchestration import io, stage

CONSTANT, COPY = "best constant", "copied input"
UNITS = {"exact_match": "share", "chrf": "chrF"}
SCORES = "scores.jsonl"


@dataclass(frozen=True)
class ScoreSettings:
    """Who judges."""

    metrics: tuple[Literal["exact_match", "chrf"], ...]
    """Text metrics, which need no server."""
    judge: JudgeSettings | None
    """A model that judges over HTTP, at `PIPELINE_JUDGE_ADDRESS`; null for none."""

    def __post_init__(self) -> None:
        """Refuse a build without any judge."""
        if not self.metrics and self.judge is None:
            raise ValueError("metrics are empty and judge is null; expected at least one of them")


@stage
def score(score: ScoreSettings) -> None:
    """Write `data/scores/scores.jsonl`."""
    judge(score)
    check(score)
    record()


@io
def judge(settings: ScoreSettings) -> None:
    """Score each response by each metric, and by the judging model if there is one."""
    responses = read_records(paths.RESPONSES / "responses.jsonl", Response)
    scores = [by_metric(name, each) for each in [*responses, *know_nothing(responses)] for name in settings.metrics]
    if settings.judge is not None:
        scores += by_model(settings.judge, responses)
    with paths.whole(paths.SCORES) as folder:
        write_records(scores, folder / SCORES)


def know_nothing(responses: list[Response]) -> list[Response]:
    """Return the answers of the best constant of each kind, chosen on these very records, and of copying the input."""
    records = list({each.id: each for each in responses}.values())
    constants = best_constants([each.kind for each in records], [each.expected for each in records])
    fixed = [replace(each, model=CONSTANT, answer=constants[each.kind]) for each in records]
    return fixed + [replace(each, model=COPY, answer=each.input or each.instruction) for each in records]


def by_metric(name: str, response: Response) -> Score:
    """Return the score of a response by a text metric."""
    value = getattr(metrics, name)(response.answer, response.expected)
    return Score(response.model, response.id, name, value, UNITS[name], "")


def by_model(settings: JudgeSettings, responses: list[Response]) -> list[Score]:
    """Return the judging model's verdict on each response.

    Raises ValueError where no address is given, JudgeError where the server fails.
    """
    address, key = machine.judge()
    if address is None:
        raise ValueError("score.judge names a model, but PIPELINE_JUDGE_ADDRESS is not set; expected its server")
    with Judge(settings, address, api_key=key) as asked:
        return [
            asked.judge(each.instruction, each.input, each.expected, each.answer, model=each.model, id=each.id)
            for each in responses
        ]


@io
def check(settings: ScoreSettings) -> None:
    """Check that each answer has each score, in range."""
    n_responses = len(read_records(paths.RESPONSES / "responses.jsonl", Response))
    scores = read_scores()
    frame = pd.DataFrame([asdict(each) for each in scores]).astype({"value": float})
    n_records = len({each.id for each in scores})
    n_scores = (n_responses + 2 * n_records) * len(settings.metrics) + (n_responses if settings.judge else 0)
    judges = [*settings.metrics, *([settings.judge.model] if settings.judge else [])]
    columns = ["id", "model", "judge", "value"]
    checks.check("scores", frame[columns], checks.scores(judges, n_scores))


def read_scores() -> list[Score]:
    """Return the scores written, in their order."""
    rows: Any = read_json_lines(paths.SCORES / SCORES)
    return [Score(**row) for row in rows]


@io
def record() -> None:
    """Record the mean of each model by each judge, and the share of verdicts that could be read."""
    values: defaultdict[tuple[str, str], list[float | None]] = defaultdict(list)
    for each in read_scores():
        values[each.model, each.judge].append(each.value)
    numbers: dict[str, float | int] = {}
    for (model, by), found in values.items():
        name = re.sub(r"[^A-Za-z0-9_./:-]+", "_", f"{model} {by}")  # what MLflow takes
        read = [value for value in found if value is not None]
        if read:
            numbers[name] = fmean(read)
        if by not in UNITS:
            numbers[f"{name}_coverage"] = len(read) / len(found)
    tracking.record("score", numbers)
    tracking.keep(paths.SCORES)
