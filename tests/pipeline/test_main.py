import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from pipeline import orchestration

ROOT = Path(__file__).parents[2]
TEXT = "Once upon a time there was a text.\n"
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()
PARAMS = """
download:
  sources:
    - name: A tale
      file: tale.txt
      role: corpus
      addresses: [{folder}/given.txt]
      sha256: {sha256}
      licence: CC0
      member: null
"""


@pytest.fixture
def corpus(project):
    """Make `download` fetch one short text from a file."""
    shutil.copy(ROOT / "dvc.yaml", project)
    (project / "given.txt").write_text(TEXT, encoding="utf-8")
    (project / "params.yaml").write_text(PARAMS.format(folder=project, sha256=SHA256), encoding="utf-8")
    return project / "params.yaml"


def status_of_only_run(store):
    (run,) = MlflowClient(tracking_uri=store).search_runs(["1"])
    return run.info.status


def test_a_stage_by_hand_runs_with_its_settings_and_is_remembered(
    project, corpus, store, prefect_server, by_hand, monkeypatch
):
    done = by_hand("download", PREFECT_API_URL=prefect_server)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"A tale: {len(TEXT)} bytes from {project}/given.txt\n"
    assert (project / "data/raw/corpus/tale.txt").read_text(encoding="utf-8") == TEXT
    (run,) = MlflowClient(tracking_uri=store).search_runs(["1"])
    assert (run.info.run_name, run.info.status) == ("download", "FINISHED")
    assert run.data.params["download.sources.0.sha256"] == SHA256
    assert run.data.metrics["size_bytes"] == len(TEXT)
    timing = json.loads((project / ".work/timings/download.json").read_text(encoding="utf-8"))
    assert timing == {"stage": "download", "elapsed_s": run.data.metrics["elapsed_s"]}
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with orchestration.connected(), get_client(sync_client=True) as client:
        flow_run = client.read_flow_runs(limit=1, sort="START_TIME_DESC")[0]
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run.id])))
    assert [each.message for each in logs if each.name.startswith("pipeline.")] == [done.stderr.strip()]


def test_a_stage_that_fails_says_one_line_and_leaves_nothing_half_written(
    project, corpus, store, prefect_server, by_hand
):
    corpus.write_text(corpus.read_text(encoding="utf-8").replace(SHA256, "a" * 64), encoding="utf-8")
    done = by_hand("download", PREFECT_API_URL=prefect_server)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "A tale" in line
    assert "sha256" in line
    assert not (project / "data" / "raw").exists()
    assert status_of_only_run(store) == "FAILED"


def test_without_a_server_a_stage_runs_on_one_of_its_own_without_a_word_of_it(
    project, corpus, store, prefect_home, by_hand
):
    done = by_hand("download")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"A tale: {len(TEXT)} bytes from {project}/given.txt\n"


def test_wrong_settings_are_told_before_anything_is_started(project, corpus, main, capsys):
    text = corpus.read_text(encoding="utf-8").replace("licence: CC0", "license: CC0").replace("name: A tale", "name: 7")
    corpus.write_text(text, encoding="utf-8")
    assert main(["download"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.removeprefix("error: ").split("; ") == [
        "download.sources.0.name is 7",
        "expected string",
        "download.sources.0.license is no setting",
    ]
    assert sorted(path.name for path in project.iterdir()) == ["dvc.yaml", "given.txt", "params.yaml"]


@pytest.mark.parametrize(
    ("variable", "address", "told"),
    [
        ("PREFECT_API_URL", "http://127.0.0.1:9/api", "error: Prefect at http://127.0.0.1:9/api does not answer"),
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "error: MLflow at http://127.0.0.1:9 failed; start it, or"),
    ],
)
def test_a_dead_address_is_told_in_one_line_within_seconds(corpus, prefect_server, by_hand, variable, address, told):
    started = time.monotonic()
    done = by_hand("download", **{"PREFECT_API_URL": prefect_server, variable: address})
    assert time.monotonic() - started < 20
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith(told)


def test_a_file_that_is_not_there_is_told_in_one_line(project, main, capsys):
    assert main(["download"]) == 1
    assert capsys.readouterr().err == "error: params.yaml is not here; run from the project's root\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["nonsense"]])
def test_stages_and_commands_are_listed(by_hand, words):
    done = by_hand(*words)
    told = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == (0 if words == ["--help"] else 2)
    assert "python -m pipeline" in told
    if words == ["--help"]:
        assert "stages: download, evaluate, finetune_classifier" in told
        assert "commands: build, classify, compare, export, generate, lm_eval, repro, serve, ui, use, where" in told


def test_a_stage_takes_no_options(by_hand):
    done = by_hand("download", "--fast")
    assert done.returncode == 2
    assert "unrecognized arguments: --fast" in done.stderr


@pytest.mark.parametrize(("number", "status", "told"), [(signal.SIGINT, 130, "stopped\n"), (signal.SIGTERM, 143, "")])
def test_a_signal_ends_a_stage_in_order(project, corpus, store, prefect_server, httpserver, number, status, told):
    asked, stopped = threading.Event(), threading.Event()

    def never_answer(_request):
        asked.set()
        stopped.wait(60)

    httpserver.expect_request("/given.txt").respond_with_handler(never_answer)
    address = corpus.read_text(encoding="utf-8").replace(f"{project}/given.txt", httpserver.url_for("/given.txt"))
    corpus.write_text(address, encoding="utf-8")
    stage = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "download"],
        env=os.environ | {"PREFECT_API_URL": prefect_server},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.wait(60)
    stage.send_signal(number)
    said = stage.communicate(timeout=60)
    stopped.set()
    assert (stage.returncode, *said) == (status, "", told)
    assert status_of_only_run(store) == "KILLED"
    assert not (project / "data" / "raw").exists()


def test_what_the_pipeline_logs_is_said_once(project, main, capsys):
    for _ in range(2):
        assert main(["download"]) == 1
    logging.getLogger("pipeline.stages.download").info("3 bytes")
    assert capsys.readouterr().err.count("3 bytes") == 1
