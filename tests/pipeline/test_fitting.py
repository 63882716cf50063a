"""What the training stages share: the loop with its evaluations and its states, the curve."""

import logging
import math
import os
import signal
import threading

import pytest
import torch
from mlflow import MlflowClient
from torch import nn

from components.training.loop import TrainingSettings
from components.training.optimizer import OptimizerSettings
from components.training.schedule import ScheduleSettings
from pipeline import fitting, machine, tracking
from pipeline.selection import LAST, Selection


@pytest.fixture
def folder(project, monkeypatch):
    monkeypatch.setenv("PIPELINE_DEVICE", "cpu")
    return project / "work"


def how(**changes):
    optimizer = OptimizerSettings("adamw", 0.5, None, 0.0, "all", 0.0, 0.0, 0.0)
    schedule = ScheduleSettings("constant", 0, 0.0, 0.0, 0.0)
    given = {"max_steps": 3, "batch_size": 1, "accumulate": 1, "clip_norm": None, "precision": "float32"}
    given |= {"compile": False, "evaluate_every": 2, "evaluate_batches": None, "seed": 1}
    return TrainingSettings(**(given | {"optimizer": optimizer, "schedule": schedule} | changes))


class Guess(nn.Module):
    """A number that wants to be another: the loss is half the square of what is missing."""

    def __init__(self):
        super().__init__()
        self.number = nn.Parameter(torch.zeros(1))


class Same:
    """The same batch again and again; of batch k row 10 k is its only row."""

    def __init__(self, values=(2.0,)):
        self.values = values

    def __call__(self, index):
        return (torch.tensor([self.values[min(index, len(self.values) - 1)]]),)

    def chosen(self, index):
        return [10 * index]


def half_square(model, batch):
    return ((model.number - batch[0]) ** 2 / 2).sum(), torch.tensor(1)


def fit(model, folder, batches=None, evaluation=lambda: [(torch.tensor([0.0]),)], selection=LAST, **changes):
    return fitting.fit(model, batches or Same(), half_square, how(**changes), evaluation, folder, selection)


def states(folder):
    return sorted(path.name for path in folder.glob("step-*"))


def test_the_curve_has_a_row_per_step_and_the_validation_loss_where_it_was_evaluated(folder, caplog):
    caplog.set_level(logging.INFO, logger="pipeline")
    model = Guess()
    curve = fit(model, folder)
    # AdamW without memory moves by its rate times the gradient's sign: 0, 0.5, 1, 1.5.
    assert model.number.item() == pytest.approx(1.5)
    assert [row["step"] for row in curve] == [0, 1, 2]
    assert [row["training_loss"] for row in curve] == pytest.approx([2.0, 1.125, 0.5])
    assert [row["gradient_norm"] for row in curve] == pytest.approx([2.0, 1.5, 1.0])
    assert [row["learning_rate"] for row in curve] == [0.5] * 3
    assert [row.get("validation_loss") for row in curve] == [pytest.approx(0.125), None, pytest.approx(1.125)]
    assert [record.getMessage() for record in caplog.records] == [
        "step 1 of 3: training loss 2.000, validation loss 0.125 nats",
        "step 3 of 3: training loss 0.500, validation loss 1.125 nats",
    ]


def test_no_steps_leave_the_model_as_it_is(folder):
    model = Guess()
    assert (fit(model, folder, max_steps=0), model.number.item()) == ([], 0.0)


def test_facts_are_the_last_losses_the_hash_of_the_weights_and_the_machine(folder):
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    rows = [{"step": 0, "training_loss": 2.0, "validation_loss": 1.0}, {"step": 1, "training_loss": 0.5}]
    facts = fitting.facts(rows, folder)
    assert {name: facts.pop(name) for name in machine.description()} == machine.description()
    # sha256sum's word for the seven bytes
    sha256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert facts == {"steps": 2, "training_loss": 0.5, "validation_loss": 1.0, "weights_sha256": sha256}


def test_a_state_is_kept_before_each_evaluation(folder):
    kept = []

    def evaluation():
        kept.append(states(folder)[-1])
        return [(torch.tensor([0.0]),)]

    fit(Guess(), folder, evaluation=evaluation, max_steps=4)
    assert kept == ["step-000000001", "step-000000003", "step-000000004"]


def test_a_state_is_kept_every_so_many_steps(folder, monkeypatch):
    monkeypatch.setenv("PIPELINE_SAVE_STEPS", "4")
    with pytest.raises(RuntimeError):
        fit(Guess(), folder, Broken(at=9), max_steps=20, evaluate_every=100)
    assert states(folder) == ["step-000000004", "step-000000008"]


def test_steps_go_on_while_a_state_is_written(folder, monkeypatch):
    monkeypatch.setenv("PIPELINE_SAVE_STEPS", "2")
    is_held, went_on, waited, sync = threading.Event(), threading.Event(), [], os.fsync

    class Watched(Same):
        def __call__(self, index):
            if index == 2:  # the state of the first step, which its evaluation waits for, is written by now
                is_held.set()
            if index == 4:  # asked for in step 3; the state of steps 0 and 1 was to be written before
                went_on.set()
            return super().__call__(index)

    def held(handle):
        if is_held.is_set():
            waited.append(went_on.wait(30))
        sync(handle)

    monkeypatch.setattr(os, "fsync", held)
    fit(Guess(), folder, Watched(), max_steps=6, evaluate_every=100)
    assert waited
    assert all(waited)
    assert states(folder) == ["step-000000004", "step-000000006"]


def test_a_state_that_cannot_be_written_ends_the_training_and_leaves_those_before_it(folder, monkeypatch):
    monkeypatch.setenv("PIPELINE_SAVE_STEPS", "4")
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Filling(Same):
        def __call__(self, index):
            if index == 4:  # asked for in step 3, after the evaluation of step 2, which has waited for its state
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))  # as much as a file may hold
            return super().__call__(index)

    try:
        with pytest.raises(OSError):
            fit(Guess(), folder, Filling(), max_steps=7, evaluate_every=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert states(folder)[-1] == "step-000000003"


def test_a_state_is_kept_every_so_many_minutes(folder, monkeypatch):
    monkeypatch.setenv("PIPELINE_SAVE_MINUTES", "1e-9")  # always too long ago
    with pytest.raises(RuntimeError):
        fit(Guess(), folder, Broken(at=9), max_steps=20, evaluate_every=100)
    assert states(folder)[-1] in ("step-000000008", "step-000000009")  # the next batch is fetched ahead


class Broken(Same):
    """Batches of which one cannot be had."""

    def __init__(self, at):
        super().__init__()
        self.at = at

    def __call__(self, index):
        if index == self.at:
            raise RuntimeError("cut")
        return super().__call__(index)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_run_that_was_broken_off_ends_as_one_that_was_not(folder, monkeypatch, caplog, at):
    caplog.set_level(logging.INFO, logger="pipeline")
    monkeypatch.setenv("PIPELINE_SAVE_STEPS", "2")
    through, broken = Guess(), Guess()
    whole = fit(through, folder / "through", max_steps=6, evaluate_every=4)
    with pytest.raises(RuntimeError):
        fit(broken, folder / "broken", Broken(at), max_steps=6, evaluate_every=4)
    taken_up = Guess()
    assert fit(taken_up, folder / "broken", max_steps=6, evaluate_every=4) == whole
    assert torch.equal(taken_up.number, through.number)
    assert any(record.getMessage().startswith("going on after step ") for record in caplog.records)


def test_a_run_broken_off_in_an_evaluation_makes_it_up(folder):
    def broken():
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError):
        fit(Guess(), folder, evaluation=broken)
    curve = fit(Guess(), folder)
    assert [row.get("validation_loss") for row in curve] == [pytest.approx(0.125), None, pytest.approx(1.125)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_keeps_its_state_first(folder, number):
    class Interrupting(Same):
        def __call__(self, index):
            if index == 3:
                os.kill(os.getpid(), number)
            return super().__call__(index)

    def leave(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(number, leave)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(Guess(), folder, Interrupting(), max_steps=100, evaluate_every=1000)
    finally:
        signal.signal(number, before)
    assert states(folder)[-1] in ("step-000000003", "step-000000004")
    assert len(fit(Guess(), folder, max_steps=5)) == 5


def test_a_damaged_state_is_named_and_the_training_goes_on_from_the_one_before(folder, caplog):
    with pytest.raises(RuntimeError):
        fit(Guess(), folder, Broken(at=5), max_steps=9)
    newest = folder / states(folder)[-1]
    (newest / "model.safetensors").write_bytes(b"")
    through = Guess()
    whole = fit(through, folder / "other", max_steps=9)
    assert fit(Guess(), folder, max_steps=9) == whole
    assert f"skipped {newest}: model.safetensors is not what was written" in caplog.text


def steps_of(store):
    """Return the steps of each MLflow run, the oldest first."""
    client = MlflowClient(tracking_uri=store)
    runs = client.search_runs(["1"], order_by=["attributes.start_time"])
    return [[point.step for point in client.get_metric_history(run.info.run_id, "training_loss")] for run in runs]


def test_a_loss_that_is_not_finite_names_step_and_rows_and_leaves_curve_and_state_before_it(folder, store):
    model = Guess()
    said = r"step 3: the loss is inf .*; the rows of its batches, from 0: 30$"
    with pytest.raises(ValueError, match=said), tracking.run("pretrain", {}, {}):
        fit(model, folder, Same((2.0, 2.0, 2.0, math.inf)), max_steps=9)
    assert model.number.item() == pytest.approx(1.5)
    assert steps_of(store) == [[0, 1, 2]]
    assert states(folder)[-1] == "step-000000003"


def test_the_run_that_goes_on_has_every_step_once(folder, store):
    with pytest.raises(RuntimeError), tracking.run("pretrain", {}, {}):
        fit(Guess(), folder, Broken(at=7), max_steps=9)
    with tracking.run("pretrain", {}, {}):
        fit(Guess(), folder, max_steps=9)
    assert steps_of(store)[1] == [0, 1, 2, 3, 4, 5, 6, 7, 8]


BEST = Selection("best", None)


def turning():
    """Return validation batches whose loss is lowest at 1, which the weights pass on their way to 2."""
    return [(torch.tensor([1.0]),)]


def test_the_weights_of_the_lowest_validation_loss_are_kept(folder, caplog):
    caplog.set_level(logging.INFO, logger="pipeline")
    model = Guess()
    curve = fit(model, folder, evaluation=turning, selection=BEST, max_steps=4, evaluate_every=1)
    # 0.5 at a step: 0.5, 1.0, 1.5, 2.0.
    assert [row["validation_loss"] for row in curve] == pytest.approx([0.125, 0.0, 0.125, 0.5])
    assert model.number.item() == pytest.approx(1.0)
    assert caplog.messages[-1] == "kept are the weights after step 2, of the lowest validation loss"


def test_it_ends_when_the_validation_loss_has_not_fallen_for_so_long(folder, caplog):
    caplog.set_level(logging.INFO, logger="pipeline")
    for keep, number in (("last", 2.0), ("best", 1.0)):
        model = Guess()
        how = {"selection": Selection(keep, 2), "max_steps": 50, "evaluate_every": 1}
        assert len(fit(model, folder / keep, evaluation=turning, **how)) == 4
        assert model.number.item() == pytest.approx(number)
    assert "stopped early: no lower validation loss in 2 evaluations" in caplog.messages


@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_run_with_the_best_weights_that_was_broken_off_ends_as_one_that_was_not(folder, monkeypatch, at, patience):
    monkeypatch.setenv("PIPELINE_SAVE_STEPS", "1")
    through, broken, taken_up = Guess(), Guess(), Guess()
    how = {"selection": Selection("best", patience), "max_steps": 6, "evaluate_every": 1}
    whole = fit(through, folder / "through", evaluation=turning, **how)
    with pytest.raises(RuntimeError):
        fit(broken, folder / "broken", Broken(at), evaluation=turning, **how)
        raise RuntimeError("it ended before the batch that cannot be had")
    assert fit(taken_up, folder / "broken", evaluation=turning, **how) == whole
    assert torch.equal(taken_up.number, through.number)


def test_a_run_broken_off_after_its_last_evaluation_makes_no_further_step(folder):
    model = Guess()
    how = {"selection": Selection("best", 1), "max_steps": 50, "evaluate_every": 1}
    whole = fit(model, folder, evaluation=turning, **how)
    again = Guess()
    assert fit(again, folder, evaluation=turning, **how) == whole
    assert again.number.item() == model.number.item()


def test_what_is_wrong_with_a_setting_names_its_section():
    with pytest.raises(ValueError, match=r"^prefer\.batch_size is 8; expected 1\.\.5$"), fitting.in_section("prefer"):
        raise ValueError("batch_size is 8; expected 1..5")
