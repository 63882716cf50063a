"""Scores that others gave, read from files: each beside the answer it belongs to, or refused."""

import json
from pathlib import Path

import pytest

from components.scoring.rated import CalibrationSettings, Rating, read_rated
from components.scoring.response import Response
from components.scoring.score import Score

REAL = Path(__file__).parents[4] / "shared/data/judge"
RECORDS = [
    {"instruction": "Add.", "input": "1 and 1", "output": "2", "a": "\n2", "b": "3"},
    {"instruction": "Name one.", "input": "", "output": "x", "a": "", "b": "x"},
]
RATING = Rating("gpt-4", "a", "scores.json")


def read(folder, records=RECORDS, scores=(90, None), ratings=(RATING,)):
    (folder / "records.json").write_text(json.dumps(records))
    (folder / "scores.json").write_text(json.dumps(scores))
    return read_rated(CalibrationSettings("records.json", tuple(ratings)), folder)


def test_each_score_stands_beside_its_answer_and_a_null_is_kept(tmp_path):
    responses, scores = read(tmp_path)
    assert responses == [
        Response("a", "1", "rated", "1", "Add.", "1 and 1", "2", "2"),
        Response("a", "2", "rated", "2", "Name one.", "", "x", ""),
    ]
    assert scores == [
        Score("a", "1", "gpt-4", 90.0, "points", ""),
        Score("a", "2", "gpt-4", None, "points", "no score was given"),
    ]


def test_an_answer_scored_by_two_is_there_once(tmp_path):
    ratings = [RATING, Rating("llama", "a", "scores.json"), Rating("gpt-4", "b", "scores.json")]
    responses, scores = read(tmp_path, ratings=ratings)
    assert [(each.model, each.id) for each in responses] == [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]
    assert [(each.judge, each.model, each.id) for each in scores[2:]] == [
        ("llama", "a", "1"),
        ("llama", "a", "2"),
        ("gpt-4", "b", "1"),
        ("gpt-4", "b", "2"),
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scores": [90]}, r"scores\.json: 1 scores for 2 records; expected one each, or null"),
        ({"scores": [90, 101]}, r"scores\.json, score 2 is 101; expected a number 0\.\.100, or null"),
        ({"scores": [90, "85"]}, "score 2 is '85'"),
        ({"scores": [True, 1]}, "score 1 is True"),
        ({"scores": [float("nan"), 1]}, "score 1 is nan"),
        ({"scores": {}}, r"scores\.json: expected a JSON list that is not empty"),
        ({"records": []}, r"records\.json: expected a JSON list that is not empty"),
        ({"records": [RECORDS[0], {"instruction": "?"}]}, r"records\.json, record 2: the field 'input' is missing"),
        ({"records": [RECORDS[0], 7]}, r"record 2: the field 'instruction' is missing or no text"),
        ({"ratings": [Rating("gpt-4", "c", "scores.json")]}, r"record 1: the field 'c' is missing or no text"),
        ({"ratings": [Rating("gpt-4", "a", "no.json")]}, r"no\.json is not here; name it among download\.sources"),
        ({"ratings": []}, "ratings are empty"),
        ({"ratings": [RATING, RATING]}, "ratings has gpt-4's scores of 'a' twice; expected them once"),
    ],
    ids=str,
)
def test_what_cannot_be_compared_is_refused(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, **changed)


def test_a_file_that_is_no_json_is_named(tmp_path):
    read(tmp_path)
    (tmp_path / "scores.json").write_bytes(b"\xff[")
    with pytest.raises(ValueError, match=r"scores\.json: not JSON in UTF-8"):
        read_rated(CalibrationSettings("records.json", (RATING,)), tmp_path)


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data, the real files, is not here")
def test_99_of_the_100_scores_of_a_file_of_the_books_are_refused():
    ratings = (Rating("Llama 3 8B", "model 2 response", "llama3-8b-model-2-response.json"),)
    with pytest.raises(ValueError, match="99 scores for 100 records"):
        read_rated(CalibrationSettings("eval-example-data.json", ratings), REAL)
