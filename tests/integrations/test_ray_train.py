"""Trainings on a real Ray cluster, of this machine alone: two processors, loopback, and a token that it asks for.

Run as a program, this file is the launcher: it writes what came of each case, and the tests read it. A training takes
Ray Train about ten seconds to start, so one case shows many things.
"""

import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import torch

from components.gpt.model import GPT, GPTConfig
from components.training import distributed
from components.training.loop import TrainingSettings
from components.training.losses import next_token
from components.training.optimizer import OptimizerSettings
from components.training.schedule import ScheduleSettings
from integrations import ray_train
from pipeline import children, fitting, launch, tracking

ROOT = Path(__file__).parents[2]
STEPS = 8
FOREVER = 10**9
log = logging.getLogger("pipeline.case")


class Batches:
    """Four rows of random ids; before batch `at` the second process sends a signal, to itself or to `whom`."""

    def __init__(self, at: int | None = None, number: int = signal.SIGKILL, whom: int | None = None) -> None:
        self.at, self.number, self.whom = at, number, whom

    def __call__(self, index):
        if index == self.at and distributed.rank() == 1:
            os.kill(self.whom or os.getpid(), self.number)
        ids = torch.randint(50, (4, 9), generator=torch.Generator().manual_seed(index))
        return ids[:, :-1], ids[:, 1:]

    def chosen(self, index):
        return [0, 1, 2, 3]


def training(folder: Path, steps: int = STEPS, batches: Batches | None = None) -> dict[str, object]:
    """Train a tiny GPT; return its curve, a hash of its weights, and what it ran on."""
    on = {"backend": torch.distributed.get_backend(), "threads": torch.get_num_threads(), "cwd": str(Path.cwd())}
    (folder / f"pid-{os.getpid()}").touch()
    optimizer = OptimizerSettings("adamw", 0.01, None, 0.1, "matrices", 0.9, 0.95, 0.0)
    schedule = ScheduleSettings("constant", 0, 0.0, 0.0, 0.0)
    how = TrainingSettings(steps, 4, 1, 1.0, "float32", False, 100, None, optimizer, schedule, 1)
    torch.manual_seed(1)
    model = GPT(GPTConfig(50, 8, 16, 2, 1, 0.0, False, True, "gpt2"))
    curve = fitting.fit(model, batches or Batches(), next_token, how, lambda: [Batches()(99)], folder / "work")
    weights = b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())
    return {"curve": curve, "weights": hashlib.sha256(weights).hexdigest(), **on}


def refusing() -> None:
    log.info("this far")
    distributed.any_of(True)
    if distributed.rank() == 1:
        raise ValueError("batch_size is 0")
    distributed.any_of(True)  # waits for the other in vain


def nothing(_rank, _send, _is_asked_to_stop):
    pass


def without_the_folder() -> None:
    """Take away the folder of the launcher before the processes have it."""
    gone = Path(tempfile.mkdtemp())
    home = Path.cwd()
    os.chdir(gone)

    def is_asked_to_stop() -> bool:
        shutil.rmtree(gone, ignore_errors=True)
        return False

    ours = {"PYTHONPATH": str(ROOT)}
    words = ray_train.run(
        nothing,
        os.environ["RAY_ADDRESS"],
        count=1,
        threads=1,
        on_gpus=False,
        environment=ours,
        is_asked_to_stop=is_asked_to_stop,
    )
    try:
        with closing(words):
            list(words)
    finally:
        os.chdir(home)


def tracked(folder: Path) -> object:
    with tracking.run("case", {}, {}) as run:
        return {**launch.run(training, folder), "run": run.run_id}


def leave(_number, _frame):
    raise SystemExit(143)


def program(folder: Path, names: list[str]) -> None:
    torch.set_num_threads(2)
    signal.signal(signal.SIGTERM, leave)
    children.START_METHOD = "fork"  # while this has one thread
    said: list[str] = []
    words = logging.StreamHandler()
    words.emit = lambda record: said.append(f"{record.levelname} {record.getMessage()}")  # type: ignore[method-assign]
    logging.getLogger("pipeline").addHandler(words)
    logging.getLogger("pipeline").setLevel(logging.INFO)
    here = os.getpid()
    cases = {
        "here": lambda: launch.run(training, folder / "here"),
        "launcher killed": lambda: launch.run(training, folder / "there", FOREVER, Batches(3, signal.SIGKILL, here)),
        "worker killed": lambda: launch.run(training, folder / "there", FOREVER, Batches(6)),
        "there": lambda: tracked(folder / "there"),
        "stopped": lambda: launch.run(training, folder / "stopped", FOREVER, Batches(3, signal.SIGTERM, here)),
        "refusing": lambda: launch.run(refusing),
        "without the folder": without_the_folder,
        "without room": lambda: launch.run(refusing),
    }
    address = os.environ["RAY_ADDRESS"]
    for name in names:
        os.environ["RAY_ADDRESS"] = "" if name == "here" else address
        os.environ["PIPELINE_PROCESSES"] = "3" if name == "without room" else "2"
        os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = "1" if name == "without room" else "60"
        try:
            came = cases[name]()
        except (Exception, SystemExit) as error:
            came = f"{type(error).__name__}: {error}"
        (folder / f"{name}.json").write_text(json.dumps({"came": came, "said": said}))
        said.clear()


@pytest.fixture(scope="module")
def cluster(environment, head):
    """Start a cluster; return the environment of who uses it."""
    environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # off, it has everything on loopback
    environment["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.2"
    environment["PIPELINE_SAVE_STEPS"] = "2"
    with head(2):
        yield environment


def launched(folder: Path, environment, *names: str) -> int:
    command = [sys.executable, str(Path(__file__)), str(folder), *names]
    return subprocess.run(command, cwd=folder, env=environment, timeout=400, check=False).returncode


@pytest.fixture(scope="module")
def found(cluster, tmp_path_factory, _empty_store):
    """Return what came of each case, and how the launcher ended that was killed in the first."""
    folder = tmp_path_factory.mktemp("launched")
    for name in ("here", "there", "stopped"):
        (folder / name).mkdir()
    shutil.copy(_empty_store, folder / "mlflow.db")
    cluster = cluster | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    killed = launched(folder, cluster, "launcher killed")
    workers = [int(path.name.removeprefix("pid-")) for path in (folder / "there").glob("pid-*")]
    left = psutil.wait_procs([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=30)[1]
    cases = ["here", "worker killed", "there", "stopped", "refusing", "without the folder", "without room"]
    assert launched(folder, cluster, *cases) == 0
    results = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    return {**results, "killed": [killed, len(workers), len(left)], "folder": folder}


def test_the_processes_end_with_a_launcher_that_is_killed(found):
    assert found["killed"] == [-signal.SIGKILL, 2, 0]


def test_a_process_that_is_killed_ends_all_and_is_named(found):
    said = "ChildProcessError: process 2 of 2 was killed, or its machine; start again to go on from the last state"
    assert found["worker killed"]["came"] == said
    assert found["worker killed"]["said"][1].startswith("INFO going on after step ")


def test_the_weights_and_the_curve_are_those_of_as_many_processes_of_this_machine_after_any_kill(found):
    here, there = found["here"]["came"], found["there"]["came"]
    assert found["there"]["said"][1].startswith("INFO going on after step ")
    assert len(there["curve"]) == STEPS
    assert {name: there[name] for name in here} == here | {"backend": "gloo", "threads": 1}


def test_the_curve_reaches_the_launchers_run(found):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{found['folder']}/mlflow.db")
    points = client.get_metric_history(found["there"]["came"]["run"], "training_loss")
    assert [point.value for point in points] == [row["training_loss"] for row in found["there"]["came"]["curve"]]


def test_all_stop_where_the_launcher_is_asked_to_and_keep_their_state(found):
    assert found["stopped"]["came"] == "SystemExit: 143"
    words = found["stopped"]["said"][-1]
    assert words.startswith("INFO stopped after step ")
    assert words.endswith("; its state is kept")
    steps = int(words.split()[4].rstrip(";"))
    assert (found["folder"] / "stopped" / "work" / f"step-{steps:09}").is_dir()


def test_an_error_that_the_user_can_mend_is_raised_here(found):
    assert found["refusing"]["came"] == "ValueError: batch_size is 0"
    assert found["refusing"]["said"][1:] == ["INFO this far"]


def test_a_folder_that_a_machine_does_not_have_is_named(found):
    came = found["without the folder"]["came"]
    assert came.startswith(f"OSError: {socket.gethostname()}, a machine of the Ray cluster: [Errno 2] No such file")
    assert came.endswith("on a disk that all machines share, and one Python environment")


def test_a_cluster_without_room_is_named_with_what_it_has(found):
    came = found["without room"]["came"]
    assert "has {'CPU': 2.0} and did not start 3 process(es) of {'CPU': 1}; ask for less (PIPELINE_PROCESSES" in came
    assert came.endswith("Ray says: The worker group startup timed out after 1.0 seconds waiting for 3 workers")


if __name__ == "__main__":
    program(Path(sys.argv[1]), sys.argv[2:])
