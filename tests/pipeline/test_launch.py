import json
import os

import pytest
import torch

from pipeline import launch, messages


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def test_one_process_is_this_one(monkeypatch):
    monkeypatch.delenv("PIPELINE_PROCESSES", raising=False)
    assert launch.run(os.getpid) == os.getpid()
    launch.leave_to_the_first()


def test_two_processes_share_the_threads_of_this_one(monkeypatch, four_threads):
    monkeypatch.setenv("PIPELINE_PROCESSES", "2")
    monkeypatch.setenv("PIPELINE_DEVICE", "cpu")
    assert launch.run(torch.get_num_threads) == 2


def test_one_of_several_has_the_curve_logged_by_the_launcher_and_asks_it_whether_to_stop(monkeypatch):
    assert not launch.is_asked_to_stop()
    sent: list[bytes] = []
    monkeypatch.setattr(messages, "launcher", messages.Launcher(sent.append, lambda: True, is_first=True))
    launch.points([{"step": 0, "training_loss": 2.5}])
    assert json.loads(sent[0]) == ["points", [{"step": 0, "training_loss": 2.5}]]
    assert launch.is_asked_to_stop()
