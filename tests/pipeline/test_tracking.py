import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from pipeline import machine, paths, processes, tracking
from pipeline.tracking import TrackingError


def only_run(address):
    client = MlflowClient(tracking_uri=address)
    (experiment,) = [each for each in client.search_experiments() if each.name == "build"]
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def history(client, run, name):
    return [(each.step, each.value) for each in client.get_metric_history(run.info.run_id, name)]


def test_a_run_holds_params_numbers_inputs_and_artifacts(project, store):
    (project / "report.html").write_text("page", encoding="utf-8")
    (project / "scores").mkdir()
    (project / "scores" / "scores.jsonl").write_text("{}\n", encoding="utf-8")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    params = {"score": {"metrics": ("chrf",), "judge": None}}
    with tracking.run("score", params, {"data/responses": digest}) as opened:
        opened.metrics([{"elapsed_s": 1.5}])
        tracking.keep(Path("report.html"))
        tracking.keep(Path("scores"))
    client, run = only_run(store)
    assert (run.info.run_name, run.info.status) == ("score", "FINISHED")
    assert run.data.params == {"score.metrics.0": "chrf", "score.judge": "None"}
    assert run.data.metrics == {"elapsed_s": 1.5}
    assert run.data.tags["input.data/responses"] == digest
    assert run.data.tags["stage"] == "score"
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("data/responses", digest[:36])
    kept = [each.path for each in client.list_artifacts(run.info.run_id)]
    assert kept == ["report.html", "scores"]
    assert (project / "mlartifacts" / run.info.run_id / "artifacts" / "scores" / "scores.jsonl").exists()


def test_a_run_names_the_commit_and_what_dvc_says(project, store, monkeypatch):
    for words in (
        ["init", "-q"],
        ["-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "--allow-empty", "-m", "m"],
    ):
        subprocess.run(["git", *words], check=True)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setenv("DVC_STAGE", "score")
    monkeypatch.setenv("DVC_EXP_NAME", "warm-hill")
    with tracking.run("score", {}, {}):
        pass
    tags = only_run(store)[1].data.tags
    assert tags["mlflow.source.git.commit"] == commit
    assert (tags["dvc.stage"], tags["dvc.experiment"]) == ("score", "warm-hill")


def test_outside_git_a_run_names_no_commit(project, store):
    with tracking.run("score", {}, {}):
        pass
    assert "mlflow.source.git.commit" not in only_run(store)[1].data.tags


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_a_run_that_was_cut_short_says_so(project, store, error, status):
    with pytest.raises(error), tracking.run("score", {}, {}):
        raise error
    assert only_run(store)[1].info.status == status


def test_numbers_go_to_the_file_and_to_the_run(project, store):
    curve = [
        {"step": 0, "training_loss": 3.5},
        {"step": 1, "training_loss": 2.5, "validation_loss": 2.25},
    ]
    numbers = {"steps": 2, "weights_sha256": "aa", "training_loss": 2.5, "accuracy": 1 / 3}
    with tracking.run("pretrain", {}, {}):
        tracking.points(curve[:1])
        tracking.points(curve[1:])
        tracking.write_curve("pretrain", curve)
        tracking.record("pretrain", numbers)
    assert json.loads(Path("data/metrics/pretrain.json").read_text(encoding="utf-8")) == numbers
    expected = "step,training_loss,validation_loss\n0,3.5,\n1,2.5,2.25\n"
    assert Path("data/metrics/pretrain.csv").read_text(encoding="utf-8") == expected
    assert tracking.read_curve("pretrain") == curve
    client, run = only_run(store)
    assert history(client, run, "training_loss") == [(0, 3.5), (1, 2.5)]
    assert history(client, run, "validation_loss") == [(1, 2.25)]
    assert run.data.metrics == {"steps": 2, "accuracy": 1 / 3, "training_loss": 2.5, "validation_loss": 2.25}
    assert run.data.tags["weights_sha256"] == "aa"


def test_a_curve_without_steps_makes_its_file_too(project):
    tracking.write_curve("pretrain", [])
    assert Path("data/metrics/pretrain.csv").read_text(encoding="utf-8") == "step,training_loss,validation_loss\n"
    assert tracking.read_curve("pretrain") == []


@pytest.mark.parametrize("text", [None, "", "step,training_loss\n"])
def test_no_file_and_no_rows_are_an_empty_curve(project, text):
    if text is not None:
        paths.METRICS.mkdir(parents=True)
        paths.curve("pretrain").write_text(text)
    assert tracking.read_curve("pretrain") == []


def test_the_run_of_a_dead_process_is_ended_and_no_other(project, store):
    client = MlflowClient(tracking_uri=store)
    with tracking.run("score", {}, {}) as opened:
        process = subprocess.Popen(["true"])
        process.wait()
        owners = {"dead": machine.owner(process.pid), "other machine": "elsewhere:1", "unknown": ""}
        experiment = client.get_run(opened.run_id).info.experiment_id
        for name, owner in owners.items():
            client.create_run(experiment, run_name=name, tags={"process": owner})
        with tracking.run("report", {}, {}):
            found = {run.info.run_name: run.info.status for run in client.search_runs([experiment])}
    assert found == {
        "score": "RUNNING",
        "dead": "KILLED",
        "other machine": "RUNNING",
        "unknown": "RUNNING",
        "report": "RUNNING",
    }


def test_a_stage_without_a_curve_makes_no_file_of_it(project):
    tracking.record("score", {"exact_match": 0.5})
    assert [path.name for path in Path("data/metrics").iterdir()] == ["score.json"]


def test_thousands_of_numbers_and_hundreds_of_params_arrive(project, store):
    with tracking.run("pretrain", {"sources": [{"n": k} for k in range(150)]}, {}) as opened:
        opened.metrics([{"step": step, "training_loss": step / 2} for step in range(2500)])
    client, run = only_run(store)
    assert len(run.data.params) == 150
    assert history(client, run, "training_loss") == [(step, step / 2) for step in range(2500)]


def test_a_run_within_a_run_leaves_the_outer_one_open(project, store):
    with tracking.run("report", {}, {}):
        with tracking.run("build", {}, {}):
            tracking.record("inner", {"n": 1})
        tracking.record("outer", {"n": 2})
    client = MlflowClient(tracking_uri=store)
    found = {run.info.run_name: run.data.metrics for run in client.search_runs(["1"])}
    assert found == {"report": {"n": 2}, "build": {"n": 1}}


def test_the_first_run_makes_the_store(project):
    with tracking.run("score", {}, {}):
        pass
    assert only_run(f"sqlite:///{project}/mlflow.db")[1].info.status == "FINISHED"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nonsense://x", "file:///nowhere"])
def test_a_store_that_cannot_be_used_is_told_within_seconds(project, monkeypatch, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    started = time.monotonic()
    with pytest.raises(TrackingError) as failed, tracking.run("score", {}, {}):
        pass
    assert time.monotonic() - started < 10
    told = str(failed.value)
    assert told.startswith(
        f"MLflow at {address} failed; start it, or unset MLFLOW_TRACKING_URI to keep the runs here ("
    )
    assert "\n" not in told


def test_an_mlflow_server_keeps_the_runs_as_well(project, store, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(project / "kept")]
    address = f"http://127.0.0.1:{port}"
    with (project / "log").open("w") as log, processes.child(command, output=log) as server:
        while not answers(address):
            assert server.poll() is None, (project / "log").read_text()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        (project / "page.html").write_text("page", encoding="utf-8")
        with tracking.run("report", {"report": {"seed": 1}}, {"data/scores": "aa"}) as opened:
            opened.metrics([{"step": 3, "loss": 0.5}])
            tracking.keep(Path("page.html"))
        client, run = only_run(address)
        assert (run.data.params, run.data.metrics) == ({"report.seed": "1"}, {"loss": 0.5})
        assert run.info.status == "FINISHED"
        assert len(run.inputs.dataset_inputs) == 1
        assert [each.path for each in client.list_artifacts(run.info.run_id)] == ["page.html"]
    assert [path.name for path in (project / "kept").rglob("*.html")] == ["page.html"]


def answers(address):
    try:
        return httpx.get(f"{address}/health", timeout=1).status_code == 200
    except httpx.TransportError:
        time.sleep(0.1)
        return False


def test_builds_in_other_folders_keep_their_runs_with_the_projects(project, store, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    other = project / "other"
    other.mkdir()
    (other / "page").write_text("page", encoding="utf-8")
    with tracking.shared():
        monkeypatch.chdir(other)
        with tracking.run("build", {}, {}) as opened:
            opened.artifact(Path("page"), "kept")
    run_id, folder = only_run(store)[1].info.run_id, project / "mlartifacts"
    assert (folder / run_id / "artifacts" / "kept" / "page").read_text(encoding="utf-8") == "page"
    monkeypatch.chdir(project)
    assert tracking.fetch("build", "kept", other) == run_id
    assert (other / "kept" / "page").read_text(encoding="utf-8") == "page"
    assert tracking.fetch("another", "kept", other) is None
