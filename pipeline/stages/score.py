"""Score every answer, and beside the models' those of two that know nothing: the best constant and the copied input."""

import re
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Literal

import pandas as pd

from components.scoring import metrics
from components.scoring.baselines import best_constants
from components.scoring.chat import ChatServer, JudgeSettings
from components.scoring.judge import Judge
from components.scoring.rated import CalibrationSettings, read_rated
from components.scoring.replies import Replies
from components.scoring.response import CONSTANT, COPY, Response
from components.scoring.score import LIKELIHOOD, Score
from components.tasks.files import read_records, write_records
from pipeline import checks, machine, paths, tracking
from pipeline.orchestration import io, stage

UNITS = {"exact_match": "share", "chrf": "chrF", "rouge_l": "share"}  # of the text metrics


@dataclass(frozen=True)
class ScoreSettings:
    """Who judges."""

    metrics: tuple[Literal["exact_match", "chrf", "rouge_l", "likelihood"], ...]
    """Scores that need no server; likelihood is that of the expected answer under the model, nats per token."""
    judge: JudgeSettings | None
    """A model that judges over HTTP, at `PIPELINE_JUDGE_ADDRESS`; null for none."""
    calibration: CalibrationSettings | None
    """Scores that others gave other answers, which every judge's own are compared with; null for none."""

    def __post_init__(self) -> None:
        """Refuse a build without any judge, and two judges of one name: their scores are told apart by it alone."""
        if not self.metrics and self.judge is None:
            raise ValueError("metrics are empty and judge is null; expected at least one of them")
        taken = dict.fromkeys((*UNITS, LIKELIHOOD), "a metric")
        if self.judge is not None:
            if self.judge.model in taken:
                raise ValueError(f"judge.model is {self.judge.model!r}, the name of a metric; expected another")
            taken[self.judge.model] = "score.judge.model"
        for each in self.calibration.ratings if self.calibration else ():
            if each.rater in taken:
                raise ValueError(
                    f"calibration.ratings has a rater named {each.rater!r}, as {taken[each.rater]} is; expected another"
                )

    @property
    def of_text(self) -> list[str]:
        """The metrics that compare texts."""
        return [name for name in self.metrics if name in UNITS]


@stage
def score(score: ScoreSettings) -> None:
    """Write `data/scores`, and to `data/judged` what the judging model was asked and replied."""
    judge(score)
    check(score)
    record()


@io
def judge(settings: ScoreSettings) -> None:
    """Score each response by each metric, and by the judging model if there is one; the same for those of others."""
    responses = read_records(paths.RESPONSE_LINES, Response)
    calibration = settings.calibration
    others, given = read_rated(calibration, paths.RAW_TASKS) if calibration else ([], [])
    replies = Replies(machine.root() / paths.JUDGE_JOURNAL, paths.REPLY_LINES)
    scores = [by_metric(name, each) for each in [*responses, *know_nothing(responses)] for name in settings.of_text]
    if LIKELIHOOD in settings.metrics:
        scores += read_records(paths.LIKELIHOOD_LINES, Score)
    rated = [*given, *(by_metric(name, each) for each in others for name in settings.of_text)]
    if settings.judge is not None:
        verdicts = by_model(settings.judge, [*responses, *others], replies)
        scores += verdicts[: len(responses)]
        rated += verdicts[len(responses) :]
    with paths.whole(paths.SCORES) as folder:
        write_records(scores, folder / paths.SCORE_LINES.name)
        write_records(rated, folder / paths.CALIBRATION_LINES.name)
    with paths.whole(paths.JUDGED) as folder:
        replies.write(folder / paths.REPLY_LINES.name)


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


def by_model(settings: JudgeSettings, responses: list[Response], replies: Replies) -> list[Score]:
    """Return the judging model's verdict on each response; its server is asked for what is not among the replies.

    Raises ValueError where no address is given and something is to be asked, JudgeError where the server fails.
    """
    address, key = machine.judge()
    with ExitStack() as stack:
        server = stack.enter_context(ChatServer(settings, address, api_key=key)) if address else None
        asks = Judge(settings, replies, server)
        asked = [(each.instruction, each.input, each.expected, each.answer) for each in responses]
        if server is None and (count := sum(not asks.knows(*texts) for texts in asked)):
            raise ValueError(
                f"score.judge names a model, but PIPELINE_JUDGE_ADDRESS is not set; expected its server, which has not "
                f"judged {count:,} of {len(asked):,} answers yet"
            )
        return [asks.judge(*texts, model=each.model, id=each.id) for texts, each in zip(asked, responses, strict=True)]


@io
def check(settings: ScoreSettings) -> None:
    """Check that each answer has each score, in range."""
    n_responses = len(read_records(paths.RESPONSE_LINES, Response))
    scores = read_records(paths.SCORE_LINES, Score)
    frame = pd.DataFrame([asdict(each) for each in scores]).astype({"value": float})
    frame["log_likelihood"] = frame["value"].where(frame["judge"] == LIKELIHOOD)
    frame["value"] = frame["value"].where(frame["judge"] != LIKELIHOOD)
    n_records = len({each.id for each in scores})
    n_models = (settings.judge is not None) + (LIKELIHOOD in settings.metrics)  # judge the models' answers alone
    n_scores = (n_responses + 2 * n_records) * len(settings.of_text) + n_responses * n_models
    judges = [*settings.metrics, *([settings.judge.model] if settings.judge else [])]
    columns = ["id", "model", "judge", "value", "log_likelihood"]
    checks.check("scores", frame[columns], checks.scores(judges, n_scores))


@io
def record() -> None:
    """Record the mean of each model by each judge, and the share of verdicts that could be read."""
    values: defaultdict[tuple[str, str], list[float | None]] = defaultdict(list)
    for each in read_records(paths.SCORE_LINES, Score):
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
