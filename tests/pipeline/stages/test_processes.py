"""Trainings that two processes share, started as a build starts them."""

import json

import pytest
from mlflow import MlflowClient

from components.gpt import checkpoint
from pipeline import machine, paths, stages, tracking


@pytest.mark.parametrize(("stage", "sharded"), [("pretrain", "0"), ("finetune_instructions", "1")])
def test_two_processes_train_what_one_does_and_each_step_is_tracked_once(project, monkeypatch, stage, sharded):
    assert checkpoint.load(paths.BASE).config.drop_rate == 0.0
    alone = tracking.read_curve(stage)
    monkeypatch.setenv("PIPELINE_PROCESSES", "2")
    monkeypatch.setenv("PIPELINE_SHARDED", sharded)
    stages.run(stage)
    curve = tracking.read_curve(stage)
    assert [row.keys() for row in curve] == [row.keys() for row in alone]
    for row, expected in zip(curve, alone, strict=True):
        assert row == pytest.approx(expected, abs=1e-5)
    numbers = json.loads(paths.metrics(stage).read_text())
    assert (numbers["processes"], numbers["sharded"], numbers["steps"]) == ("2", sharded, 3)
    client = MlflowClient(tracking_uri=machine.tracking_address())
    (newest,) = client.search_runs(["1"], order_by=["attributes.start_time DESC"], max_results=1)
    assert newest.data.params[f"{stage}.max_steps"] == "3"
    assert [point.step for point in client.get_metric_history(newest.info.run_id, "training_loss")] == [0, 1, 2]


def test_more_processes_than_rows_are_one_line(failure, monkeypatch):
    monkeypatch.setenv("PIPELINE_PROCESSES", "2")
    assert failure("pretrain", {"batch_size": 1}) == (
        "batch_size is 1, fewer rows than the 2 processes; expected one or more for each"
    )
    assert not paths.BASE.exists()
