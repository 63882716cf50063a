"""Processes that begin, work and end together; the stages' own tests start them as a build does.

Run as a program, this file is the launcher: it writes what came of each case, and the tests read it. It forks, for it
has one thread, and imports are seconds.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

from components.training import distributed
from components.training.loop import TrainingSettings
from components.training.optimizer import OptimizerSettings
from components.training.schedule import ScheduleSettings
from pipeline import children, fitting, launch

ROOT = Path(__file__).parents[2]
log = logging.getLogger("pipeline.case")


def returning(word: str, *, twice: bool) -> dict[str, object]:
    log.info("process %d says %s", distributed.rank(), word)
    sockets = psutil.Process(os.getppid()).net_connections("tcp")
    heard_at = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
    launch.leave_to_the_first()
    return {"said": word * (2 if twice else 1), "threads": torch.get_num_threads(), "heard at": list(heard_at)}


def refusing() -> None:
    if distributed.rank() == 1:
        raise ValueError("batch_size is 0")
    distributed.any_of(True)  # waits for the other in vain


def dying() -> None:
    if distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.any_of(True)


def leaving() -> None:
    launch.leave_to_the_first()
    os._exit(3)


class Guess(nn.Module):
    """A number that wants to be 2; the loss is half the square of what is missing."""

    def __init__(self) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.zeros(1))


def half_square(model, batch):
    return ((model.number - batch[0]) ** 2 / 2).sum(), torch.tensor(len(batch[0]))


class Batches:
    """Two rows that are 2; before batch `at` a process is asked to stop: the launcher, or one of its own."""

    def __init__(self, at: int | None, whom: str) -> None:
        self.at, self.whom = at, whom

    def __call__(self, index):
        if index == self.at and distributed.rank() == 1:
            os.kill(os.getppid() if self.whom == "launcher" else os.getpid(), signal.SIGTERM)
        return (torch.full((2,), 2.0),)

    def chosen(self, index):
        return [0, 1]


def training(folder: Path, at: int | None = None, whom: str = "launcher", steps: int = 6) -> list[dict[str, float]]:
    optimizer = OptimizerSettings("adamw", 0.5, None, 0.0, "all", 0.0, 0.0, 0.0)
    schedule = ScheduleSettings("constant", 0, 0.0, 0.0, 0.0)
    how = TrainingSettings(steps, 2, 1, None, "float32", False, 100, None, optimizer, schedule, 1)
    held_out = [(torch.zeros(1),)]  # one row: nothing for the second process
    return fitting.fit(Guess(), Batches(at, whom), half_square, how, lambda: held_out, folder)


def waiting(folder: Path) -> None:
    (folder / f"pid-{os.getpid()}").touch()
    if distributed.any_of(False) == [False] and distributed.rank() == 0:
        print("ready", flush=True)
    while True:
        signal.pause()


def leave(_number, _frame):
    raise SystemExit(143)


def program(folder: Path) -> None:
    children.START_METHOD = "fork"
    torch.set_num_threads(2)
    signal.signal(signal.SIGTERM, leave)
    if folder.name == "waiting":
        children.run(partial(waiting, folder), count=2, threads=1)
    said: list[str] = []
    words = logging.StreamHandler()
    words.emit = lambda record: said.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
    logging.getLogger("pipeline").addHandler(words)
    logging.getLogger("pipeline").setLevel(logging.INFO)

    def run(body, *arguments, **named):
        return children.run(partial(body, *arguments, **named), count=2, threads=1)

    cases = {
        "returning": lambda: run(returning, "ha", twice=True),
        "refusing": lambda: run(refusing),
        "dying": lambda: run(dying),
        "leaving": lambda: run(leaving),
        "through": lambda: run(training, folder / "through"),
        "launcher stopped": lambda: run(training, folder / "launcher", 3, steps=10**9),
        "one stopped": lambda: run(training, folder / "one", 3, "one", steps=10**9),
        "launcher goes on": lambda: run(training, folder / "launcher"),
        "one goes on": lambda: run(training, folder / "one"),
    }
    found = {}
    for name, case in cases.items():
        try:
            found[name] = case()
        except (Exception, SystemExit) as error:
            found[name] = f"{type(error).__name__}: {error}"
        found[f"{name}, left"] = len(psutil.Process().children(recursive=True))
        found[f"{name}, said"] = said.copy()
        said.clear()
    (folder / "found.json").write_text(json.dumps(found))


def started(folder: Path, **more) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PIPELINE_DEVICE": "cpu"}
    return subprocess.Popen([sys.executable, str(Path(__file__)), str(folder)], env=environment, **more)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launched")
    assert started(folder, cwd=folder).wait(180) == 0
    return json.loads((folder / "found.json").read_text())


def test_what_the_first_returns_comes_back_and_what_it_logs_is_logged_here(found):
    assert {"said": "haha", "threads": 1}.items() <= found["returning"].items()
    assert found["returning, said"] == ["INFO process 0 says ha"]


def test_the_processes_meet_where_this_machine_alone_can_reach_them(found):
    assert found["returning"]["heard at"] == ["127.0.0.1"]


def test_an_error_that_the_user_can_mend_is_raised_here(found):
    assert found["refusing"] == "ValueError: batch_size is 0"


def test_a_process_that_is_killed_ends_all_and_is_named(found):
    said = "ChildProcessError: process 2 of 2 was ended by SIGKILL; start again to go on from the last state"
    assert found["dying"] == said


def test_a_process_that_ends_without_a_word_is_named_with_its_status(found):
    assert found["leaving"] == "ChildProcessError: process 1 of 2 ended with status 3"


def test_all_stop_where_the_launcher_is_asked_to_and_go_on_as_if_never_stopped(found):
    assert found["launcher stopped"] == "SystemExit: 143"
    assert found["launcher goes on, said"][0].startswith("INFO going on after step ")
    assert found["launcher goes on"] == found["through"]


def test_all_stop_where_one_is_asked_to_and_go_on_as_if_never_stopped(found):
    said = "ChildProcessError: process 2 of 2 was ended by SIGTERM; start again to go on from the last state"
    assert found["one stopped"] == said
    assert found["one goes on, said"][0].startswith("INFO going on after step ")
    assert found["one goes on"] == found["through"]


def test_two_processes_train_as_one(found, tmp_path, monkeypatch):
    monkeypatch.setenv("PIPELINE_DEVICE", "cpu")
    assert found["through"] == training(tmp_path)


def test_nothing_is_left_behind(found):
    assert [left for name, left in found.items() if name.endswith(", left")] == [0] * 9


def test_those_that_wait_in_vain_are_ended_soon_and_one_that_keeps_the_state_is_not():
    assert children._patience_s([None, 0]) is None
    assert children._patience_s([None, -signal.SIGTERM, 143]) == 600
    assert children._patience_s([None, -signal.SIGTERM, -signal.SIGKILL]) == children._patience_s([1, None]) == 5


def test_the_processes_end_with_a_launcher_that_is_killed(tmp_path):
    folder = tmp_path / "waiting"
    folder.mkdir()
    with started(folder, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        workers = [psutil.Process(int(path.name.removeprefix("pid-"))) for path in folder.iterdir()]
        process.kill()
        assert len(workers) == 2
        assert psutil.wait_procs(workers, timeout=30)[1] == []


if __name__ == "__main__":
    program(Path(sys.argv[1]))
