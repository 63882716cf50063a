"""Scores by text metrics, and by a judge behind a real server."""

import json
import re

import pytest

from components.scoring.response import Response
from components.tasks.files import read_json_lines, write_records
from pipeline import paths
from pipeline.stages.respond import SHOWN, TUNED, UNTUNED
from pipeline.stages.score import CONSTANT, COPY, know_nothing

JUDGE = {"kind": "ollama", "model": "llama3", "timeout_s": 2.0, "attempts": 1, "seed": 1}
ASKED = [
    Response(TUNED, "a", "count", "os", "How many?", "def f(x)", "1", "1"),
    Response(TUNED, "b", "count", "os", "How many?", "def g(x)", "1", "2"),
    Response(TUNED, "c", "name", "os", "Its name?", "def h(x)", "h", "h"),
]


def scores():
    return read_json_lines(paths.SCORES / "scores.jsonl")


def numbers():
    return json.loads(paths.metrics("score").read_text())


@pytest.fixture
def asked(project):
    """Three responses of the tuned model, all there are."""
    write_records(ASKED, paths.RESPONSES / "responses.jsonl")


@pytest.fixture
def judge(httpserver, monkeypatch):
    """Have a server with Ollama's API answer with a given text, or a status."""
    monkeypatch.setenv("PIPELINE_JUDGE_ADDRESS", httpserver.url_for("/"))

    def judge(text="", status=200):
        body = {"message": {"role": "assistant", "content": text}}
        httpserver.expect_request("/api/chat").respond_with_json(body, status=status)

    return judge


def test_every_answer_is_scored_by_every_metric_and_so_are_two_that_know_nothing(project):
    models = {TUNED, UNTUNED, SHOWN, CONSTANT, COPY}
    found = scores()
    assert len(found) == 8 * len(models) * 2
    assert {each["model"] for each in found} == models
    assert {each["judge"]: each["unit"] for each in found} == {"exact_match": "share", "chrf": "chrF"}
    assert set(numbers()) == {
        f"{re.sub('[, ]+', '_', model)}_{metric}" for model in models for metric in ("exact_match", "chrf")
    }


def test_the_constant_is_the_best_of_each_kind_and_the_copy_is_the_input(asked):
    answers = {(each.model, each.id): each.answer for each in know_nothing(ASKED)}
    assert [answers[CONSTANT, id] for id in "abc"] == ["1", "1", "h"]
    assert [answers[COPY, id] for id in "abc"] == ["def f(x)", "def g(x)", "def h(x)"]


def test_the_mean_of_exact_matches_is_the_share_of_right_answers(asked, run):
    run("score", {"metrics": ["exact_match"]})
    assert numbers() == {
        "tuned_exact_match": pytest.approx(2 / 3),
        "best_constant_exact_match": 1.0,
        "copied_input_exact_match": 0.0,
    }


def test_a_judges_verdicts_stand_beside_the_metrics(asked, run, judge):
    judge("85")
    run("score", {"metrics": ["exact_match"], "judge": JUDGE})
    verdicts = [each for each in scores() if each["judge"] == "llama3"]
    assert [(each["id"], each["value"], each["unit"]) for each in verdicts] == [(id, 85.0, "points") for id in "abc"]
    assert (numbers()["tuned_llama3"], numbers()["tuned_llama3_coverage"]) == (85.0, 1.0)


def test_a_judge_that_answers_prose_is_counted_never_dropped(asked, run, judge):
    judge("I would give it 85 of 100.")
    run("score", {"metrics": [], "judge": JUDGE | {"model": "a judge@home"}})
    assert [each["value"] for each in scores()] == [None] * 3
    assert all("not answer a whole number" in each["reason"] for each in scores())
    assert numbers() == {"tuned_a_judge_home_coverage": 0.0}


def test_a_judge_that_fails_is_one_line(asked, failure, judge):
    judge(status=500)
    said = failure("score", {"judge": JUDGE})
    assert "answered 500 for model llama3" in said
    assert not paths.SCORES.exists()


def test_a_judge_that_is_down_is_one_line(asked, failure, monkeypatch):
    monkeypatch.setenv("PIPELINE_JUDGE_ADDRESS", "http://127.0.0.1:9")
    assert "the judge at http://127.0.0.1:9/api/chat cannot be reached" in failure("score", {"judge": JUDGE})
    assert not paths.SCORES.exists()


def test_a_judge_without_an_address_is_one_line(asked, failure):
    assert "PIPELINE_JUDGE_ADDRESS is not set; expected its server" in failure("score", {"judge": JUDGE})


def test_a_build_without_any_judge_is_refused(failure):
    assert "metrics are empty and judge is null" in failure("score", {"metrics": [], "judge": None})
