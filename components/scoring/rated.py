"""Answers that others have scored already, read from files: what a judge's own scores of them are held against."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.scoring.response import Response
from components.scoring.score import POINTS, Score


@dataclass(frozen=True)
class Rating:
    """One rater's scores of one answer to each record."""

    rater: str
    """Who gave the scores."""
    answers: str
    """Field of the records that holds the answers scored."""
    file: str
    """JSON list of numbers 0..100, below data/raw/tasks; null where one could not be read. One for each record."""


@dataclass(frozen=True)
class CalibrationSettings:
    """Which scores every judge's own are compared with."""

    records: str
    """JSON list of objects with instruction, input, output and answers, below data/raw/tasks."""
    ratings: tuple[Rating, ...]
    """Scores given; the first rater's are those that the others' and each judge's are compared with."""

    def __post_init__(self) -> None:
        """Refuse no rating, and two of a rater for the same answers."""
        if not self.ratings:
            raise ValueError("ratings are empty; expected at least one, or calibration: null")
        pairs = [(each.rater, each.answers) for each in self.ratings]
        if twice := next((pair for number, pair in enumerate(pairs) if pair in pairs[:number]), None):
            raise ValueError(f"ratings has {twice[0]}'s scores of {twice[1]!r} twice; expected them once")


def read_rated(settings: CalibrationSettings, folder: Path) -> tuple[list[Response], list[Score]]:
    """Return the answers that any rater scored, and all scores given; `folder` holds the files.

    An answer's model is the name of its field, its id and group are the record's number, from 1.

    Raises ValueError that names the file for what is no such list, and for scores that are not as many as the records:
    one that could not be read and was dropped shifts all that follow.
    """
    path = folder / settings.records
    records = _list(path)
    fields = dict.fromkeys(each.answers for each in settings.ratings)
    responses = [
        _response(record, field, number, path) for field in fields for number, record in enumerate(records, start=1)
    ]
    return responses, [score for each in settings.ratings for score in _scores(each, folder / each.file, len(records))]


def _response(record: Any, field: str, number: int, path: Path) -> Response:
    names = ("instruction", "input", "output", field)
    missing = [name for name in names if not isinstance(record, dict) or not isinstance(record.get(name), str)]
    if missing:
        raise ValueError(f"{path}, record {number}: the field {missing[0]!r} is missing or no text")
    asked = record["instruction"], record["input"], record["output"]
    return Response(field, str(number), "rated", str(number), *asked, record[field].strip())


def _scores(rating: Rating, path: Path, count: int) -> list[Score]:
    values = _list(path)
    if len(values) != count:
        raise ValueError(f"{path}: {len(values)} scores for {count} records; expected one each, or null")
    scores = []
    for number, value in enumerate(values, start=1):
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if value is not None and not (is_number and 0 <= value <= 100):
            raise ValueError(f"{path}, score {number} is {value!r}; expected a number 0..100, or null")
        points = None if value is None else float(value)
        reason = "" if value is not None else "no score was given"
        scores.append(Score(rating.answers, str(number), rating.rater, points, POINTS, reason))
    return scores


def _list(path: Path) -> list[Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is not here; name it among download.sources, with role: tasks") from None
    except ValueError as error:
        raise ValueError(f"{path}: not JSON in UTF-8 ({error}); expected a list") from None
    if not isinstance(values, list) or not values:
        raise ValueError(f"{path}: expected a JSON list that is not empty")
    return values
