"""Scores by text metrics, and by a judge behind a real server."""

import json
import re
from dataclasses import replace

import pytest

from components.scoring.response import CONSTANT, COPY, SHOWN, TUNED, UNTUNED, Response
from components.tasks.files import read_json_lines, write_records
from pipeline import paths, settings
from pipeline.settings import SettingsError
from pipeline.stages.score import ScoreSettings, know_nothing

RECORDS = [
    {"instruction": "Add.", "input": "1 and 1", "output": "It is 2.", "first": "It is 2.", "second": "3"},
    {"instruction": "Name a fish.", "input": "", "output": "Trout.", "first": "Carp.", "second": ""},
]
CALIBRATION = {
    "records": "judged/records.json",
    "ratings": [
        {"rater": "GPT-4", "answers": "first", "file": "judged/gpt4.json"},
        {"rater": "GPT-4", "answers": "second", "file": "judged/gpt4.json"},
        {"rater": "Llama", "answers": "first", "file": "judged/llama.json"},
    ],
}
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

    def judge(text="", status=200, headers=None):
        body = json.dumps({"message": {"role": "assistant", "content": text}})
        httpserver.clear_all_handlers()
        httpserver.expect_request("/api/chat").respond_with_data(body, status=status, headers=headers)

    return judge


@pytest.fixture
def rated(asked):
    """Scores that two others gave two answers to each of two records; one could not be read."""
    folder = paths.RAW_TASKS / "judged"
    folder.mkdir(parents=True)
    for name, values in {"records": RECORDS, "gpt4": [100, 20], "llama": [90, None]}.items():
        (folder / f"{name}.json").write_text(json.dumps(values))


def test_every_answer_is_scored_by_every_metric_and_so_are_two_that_know_nothing(project):
    models, answering = {TUNED, UNTUNED, SHOWN, CONSTANT, COPY}, {TUNED, UNTUNED, SHOWN}
    found = scores()
    assert len(found) == 8 * len(models) * 2 + 8 * len(answering)
    assert {each["model"] for each in found} == models
    assert {each["model"] for each in found if each["judge"] == "likelihood"} == answering
    assert {each["judge"]: each["unit"] for each in found} == {
        "exact_match": "share",
        "chrf": "chrF",
        "likelihood": "nats per token",
    }
    assert set(numbers()) == {
        *(named(model, metric) for model in models for metric in ("exact_match", "chrf")),
        *(named(model, name) for model in answering for name in ("likelihood", "likelihood_coverage")),
    }


def test_likelihoods_are_those_that_respond_has_measured(project):
    measured = read_json_lines(paths.RESPONSES / "likelihoods.jsonl")
    assert [each for each in scores() if each["judge"] == "likelihood"] == measured
    assert numbers()["tuned_likelihood"] == pytest.approx(
        sum(each["value"] for each in measured if each["model"] == TUNED) / 8
    )


def named(model, judge):
    return f"{re.sub('[, ]+', '_', model)}_{judge}"


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
    said = failure("score", {"judge": JUDGE})
    assert said.endswith(
        "PIPELINE_JUDGE_ADDRESS is not set; expected its server, which has not judged 3 of 3 answers yet"
    )


def test_a_build_without_any_judge_is_refused(failure):
    assert "metrics are empty and judge is null" in failure("score", {"metrics": [], "judge": None})


@pytest.mark.parametrize(
    ("judge", "rater", "said"),
    [
        (JUDGE | {"model": "chrf"}, "GPT-4", "score.judge.model is 'chrf', the name of a metric; expected another"),
        (
            None,
            "likelihood",
            "score.calibration.ratings has a rater named 'likelihood', as a metric is; expected another",
        ),
        (JUDGE, "llama3", "score.calibration.ratings has a rater named 'llama3', as score.judge.model is; expected"),
    ],
)
def test_two_judges_of_one_name_are_refused(judge, rater, said):
    ratings = [{"rater": rater, "answers": "first", "file": "given.json"}]
    values = {"metrics": ["exact_match"], "judge": judge, "calibration": {"records": "r.json", "ratings": ratings}}
    with pytest.raises(SettingsError, match=re.escape(said)):
        settings.parse("score", values, ScoreSettings)


def questions(httpserver):
    return [request.get_json()["messages"][0]["content"] for request, _ in httpserver.log]


def test_a_rebuild_asks_nobody_and_gives_the_same_bytes(asked, run, judge, httpserver, monkeypatch):
    judge("85")
    run("score", {"metrics": [], "judge": JUDGE})
    before = [(path / file).read_bytes() for path, file in FILES]
    assert len(httpserver.log) == 3
    (paths.JUDGE_JOURNAL).unlink()  # another machine, with what DVC has kept
    monkeypatch.delenv("PIPELINE_JUDGE_ADDRESS")
    run("score", {"metrics": [], "judge": JUDGE | {"timeout_s": 9.0, "attempts": 3}})
    assert [(path / file).read_bytes() for path, file in FILES] == before
    assert len(httpserver.log) == 3


def test_replies_that_came_with_a_pull_outlive_a_build_without_a_judge(asked, run, judge, httpserver):
    judge("85")
    run("score", {"metrics": ["exact_match"], "judge": JUDGE})
    paths.JUDGE_JOURNAL.unlink()  # another machine, with what DVC has kept
    run("score", {"metrics": ["exact_match"], "judge": None})
    run("score", {"metrics": ["exact_match"], "judge": JUDGE})
    assert len(httpserver.log) == 3


FILES = [(paths.SCORES, "scores.jsonl"), (paths.JUDGED, "replies.jsonl")]


def test_a_scoring_that_broke_off_goes_on_where_it_was(asked, run, failure, judge, httpserver):
    judge("85")
    write_records(ASKED[:2], paths.RESPONSES / "responses.jsonl")
    run("score", {"metrics": [], "judge": JUDGE})
    write_records(ASKED, paths.RESPONSES / "responses.jsonl")
    judge("busy", status=429, headers={"Retry-After": "3600"})
    said = failure("score", {"metrics": [], "judge": JUDGE})  # removes the outs: the journal has it all
    assert "asks for 3,600 s of rest; run again then, what is judged is kept" in said
    assert not paths.SCORES.exists()
    judge("90")
    run("score", {"metrics": [], "judge": JUDGE})
    assert [each["value"] for each in scores()] == [85.0, 85.0, 90.0]
    assert len(httpserver.log) == 4
    assert len(set(questions(httpserver))) == 3


def test_what_is_kept_has_every_request_and_reply_and_no_secret(asked, run, judge, httpserver, monkeypatch):
    monkeypatch.setenv("PIPELINE_JUDGE_KEY", "sk-very-secret-key")
    judge("I would give it 85.")
    run("score", {"metrics": [], "judge": JUDGE})
    text = (paths.JUDGED / "replies.jsonl").read_text()
    kept = [json.loads(line) for line in text.splitlines()]
    assert sorted(each["request"]["body"]["messages"][0]["content"] for each in kept) == sorted(questions(httpserver))
    assert {each["message"]["content"] for each in kept} == {"I would give it 85."}
    assert "secret" not in text
    assert str(httpserver.port) not in text


def test_without_a_judge_what_is_kept_is_empty(project):
    assert (paths.JUDGED / "replies.jsonl").read_bytes() == b""


def test_another_judge_is_asked_and_only_its_own_replies_are_kept(asked, run, judge, httpserver):
    judge("85")
    run("score", {"metrics": [], "judge": JUDGE})
    first = (paths.JUDGED / "replies.jsonl").read_bytes()
    run("score", {"metrics": [], "judge": JUDGE | {"model": "other"}})
    assert {each["judge"] for each in scores()} == {"other"}
    assert len((paths.JUDGED / "replies.jsonl").read_text().splitlines()) == 3
    run("score", {"metrics": [], "judge": JUDGE})  # and back: this machine still knows
    assert (paths.JUDGED / "replies.jsonl").read_bytes() == first
    assert len(httpserver.log) == 6


def test_answers_that_others_have_scored_are_scored_by_every_judge(rated, run, judge):
    judge("50")
    run("score", {"metrics": ["exact_match", "rouge_l"], "judge": JUDGE, "calibration": CALIBRATION})
    found = read_json_lines(paths.SCORES / "calibration.jsonl")
    by_judge = {}
    for each in found:
        by_judge.setdefault(each["judge"], []).append((each["model"], each["id"], each["value"]))
    answers = [("first", "1"), ("first", "2"), ("second", "1"), ("second", "2")]
    assert list(by_judge) == ["GPT-4", "Llama", "exact_match", "rouge_l", "llama3"]
    assert by_judge["GPT-4"] == [(*each, value) for each, value in zip(answers, [100, 20, 100, 20], strict=True)]
    assert by_judge["Llama"] == [("first", "1", 90), ("first", "2", None)]
    assert by_judge["exact_match"] == [(*each, value) for each, value in zip(answers, [1, 0, 0, 0], strict=True)]
    assert by_judge["rouge_l"] == by_judge["exact_match"]
    assert by_judge["llama3"] == [(*each, 50) for each in answers]
    assert {each["model"] for each in scores()} == {TUNED, CONSTANT, COPY}


def test_scores_that_are_not_as_many_as_the_answers_are_one_line(rated, failure):
    (paths.RAW_TASKS / "judged/llama.json").write_text("[90]")
    said = failure("score", {"metrics": ["exact_match"], "calibration": CALIBRATION})
    assert said.endswith("data/raw/tasks/judged/llama.json: 1 scores for 2 records; expected one each, or null")


def test_an_empty_answer_scores_nothing_and_the_judge_is_asked_all_the_same(asked, run, judge, httpserver):
    judge("0")
    write_records([replace(ASKED[0], answer="")], paths.RESPONSES / "responses.jsonl")
    run("score", {"metrics": ["exact_match", "chrf", "rouge_l"], "judge": JUDGE})
    assert [each["value"] for each in scores() if each["model"] == TUNED] == [0.0, 0.0, 0.0, 0.0]
    assert questions(httpserver)[0].endswith("which you score:\n```\n\n```\n\nRespond with the integer number only.")
