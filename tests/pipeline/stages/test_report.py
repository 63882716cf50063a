import json
import re

import pytest
from mlflow import MlflowClient

from pipeline import paths, settings, tracking
from pipeline.findings.resampling import Resampling
from pipeline.stages import report

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")  # MLflow's own

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def runs(build, monkeypatch):
    """Record the build in a real store, inside the stage's run, and return its runs by name."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    address = f"sqlite:///{build / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    found = report.gather.fn(HOW)
    report.write.fn(found)
    with tracking.run("report", {}, {}):
        report.record.fn(found)
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    return {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def test_the_headline_numbers_are_the_same_in_the_file_and_in_both_runs(runs, build):
    recorded = json.loads((build / "data/metrics/report.json").read_text())
    assert (recorded["bits_per_byte"], recorded["tuned_exact_match_low"]) == (1.5, 0.25)
    assert runs["build"].data.metrics == recorded
    assert runs["report"].data.metrics == recorded
    assert runs["build"].data.params == {
        "pretrain.seed": "123",
        "report.resamples": "4000",
        "report.confidence": "0.95",
        "report.seed": "1",
    }
    assert runs["build"].info.status == "FINISHED"


def test_the_builds_run_keeps_what_a_comparison_reads(runs, build):
    id = runs["build"].info.run_id
    kept = {
        each.relative_to(folder).as_posix() for folder in build.glob(f"**/{id}/artifacts") for each in folder.rglob("*")
    }
    assert {
        "report.html",
        "build/params.yaml",
        "build/data/scores/scores.jsonl",
        "build/data/metrics/report.json",
    } <= kept


def test_the_page_needs_nothing_else_and_is_the_same_twice(build):
    report.write.fn(report.gather.fn(HOW))
    first = paths.REPORT.read_bytes()
    report.write.fn(report.gather.fn(HOW))
    assert paths.REPORT.read_bytes() == first
    page = first.decode()
    assert not re.search(r'<script|(src|href)="(?!#|data:)', page)
    assert "From text to an assistant" in page


def test_durations_are_on_a_page_of_their_own(build):
    (build / ".work/timings").mkdir(parents=True)
    (build / ".work/timings/download.json").write_text('{"stage": "download", "elapsed_s": 12.34}')
    report.write_timings.fn()
    report.write.fn(report.gather.fn(HOW))
    assert "12.3" in paths.TIMINGS_PAGE.read_text()
    assert "12.3" not in paths.REPORT.read_text()


def test_its_params_are_how_intervals_are_drawn(build):
    sections = settings.read() | {"report": {"resamples": 10, "confidence": 95, "seed": 1}}
    with pytest.raises(settings.SettingsError, match=r"confidence is 95\.0; expected a share between 0 and 1"):
        settings.arguments(report.report, sections)
