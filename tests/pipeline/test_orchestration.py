import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from prefect import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterFlowRunId
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings
from prefect.states import Running
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from pipeline import machine, orchestration
from pipeline.orchestration import ServerError, gpu, io, stage


@pytest.fixture
def connected(prefect_server, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    with orchestration.connected():
        yield


@gpu
def compute(seen: list[int]) -> int:
    with get_client(sync_client=True) as client:
        seen.append(len(client.read_concurrency_limit_by_tag("gpu").active_slots))
    return 2


@io
def write(number: int, path: Path) -> None:
    path.write_text(str(number), encoding="utf-8")


@stage
def double(seen: list[int], path: Path) -> None:
    """Write what was computed."""
    write(compute(seen), path)


def test_a_stage_is_a_flow_on_the_server_and_its_steps_are_tasks(connected, tmp_path):
    double([], tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "2"
    with get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs(limit=1, sort="START_TIME_DESC")
        flow = client.read_flow(run.flow_id)
        of_run = TaskRunFilter(flow_run_id=TaskRunFilterFlowRunId(any_=[run.id]))
        asked = Retrying(  # the server writes them down once a second
            stop=stop_after_delay(60), wait=wait_fixed(0.1), retry=retry_if_result(lambda found: len(found) < 2)
        )
        tasks = asked(lambda: client.read_task_runs(task_run_filter=of_run))
    assert flow.name == "double"
    assert run.state.is_completed()
    marks = {each.task_key.split("-")[0]: set(each.tags) - {f"process:{machine.owner()}"} for each in tasks}
    assert marks == {"compute": {"gpu"}, "write": set()}


def test_flows_send_no_heartbeats_unless_the_user_has_set_how_often(prefect_server, monkeypatch):
    def every_s() -> int | None:
        with orchestration.connected():
            return get_current_settings().flows.heartbeat_frequency

    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    assert every_s() is None
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 60}):
        assert every_s() == 60


def test_a_server_writes_what_tasks_tell_once_a_second():
    recorder = get_current_settings().server.services.task_run_recorder
    assert (recorder.batch_size, recorder.flush_interval) == (1000, 1)


def test_a_gpu_task_takes_the_one_slot_and_gives_it_back(connected, tmp_path):
    seen = []
    double(seen, tmp_path / "out")
    with get_client(sync_client=True) as client:
        limit = client.read_concurrency_limit_by_tag("gpu")
    assert (limit.concurrency_limit, seen, limit.active_slots) == (1, [1], [])


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (ConnectionResetError("cut"), 3),
        (ValueError("a user's"), 1),
        (OSError(errno.ENOSPC, "no space left on device"), 1),
    ],
    ids=["connection", "value", "disk"],
)
def test_an_io_task_is_tried_again_where_the_failure_may_pass(connected, error, attempts):
    tried = []

    @io
    def fetch() -> None:
        tried.append(1)
        raise error

    @stage
    def download() -> None:
        fetch()

    with pytest.raises(type(error)):
        download()
    assert len(tried) == attempts


def test_a_gpu_task_is_not_tried_again(connected):
    tried = []

    @gpu
    def train() -> None:
        tried.append(1)
        raise ConnectionResetError("cut")

    @stage
    def pretrain() -> None:
        train()

    with pytest.raises(ConnectionResetError):
        pretrain()
    assert len(tried) == 1


@pytest.mark.parametrize("use", [orchestration.connected, orchestration.server])
def test_a_dead_address_is_told_within_seconds(project, monkeypatch, use):
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    started = time.monotonic()
    expected = "Prefect at http://127.0.0.1:9/api does not answer; start it, or unset PREFECT_API_URL"
    with pytest.raises(ServerError, match=expected), use():
        pass
    assert time.monotonic() - started < 10


def test_an_address_of_something_else_is_told(project, monkeypatch, httpserver):
    monkeypatch.setenv("PREFECT_API_URL", httpserver.url_for("/other"))
    told = r"Prefect at http://localhost:\d+/other (failed|does not answer)"
    with pytest.raises(ServerError, match=told), orchestration.connected():
        pass


def test_a_server_is_up_for_a_block_and_leaves_nothing_running(prefect_home, project, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with orchestration.server() as address:
        assert httpx.get(f"{address}/health").status_code == 200
        assert address.startswith("http://127.0.0.1:")
        assert machine.prefect_address() == address
        pid = json.loads((prefect_home / "server.json").read_text(encoding="utf-8"))["pid"]
        os.kill(pid, 0)
        with monkeypatch.context() as another_process:
            another_process.delenv("PREFECT_API_URL")
            with orchestration.server() as second:
                assert second == orchestration.running() == address
        with get_client(sync_client=True) as client:
            owners = {"alive": os.getpid(), "dead": 2**22 + 1}  # above the largest process id of Linux and macOS
            runs = {
                name: client.create_flow_run(double, state=Running(), tags=[f"process:{machine.owner(owner)}"])
                for name, owner in owners.items()
            }
            orchestration._bury()
            states = {name: client.read_flow_run(run.id).state for name, run in runs.items()}
            assert (states["alive"].is_running(), states["dead"].is_crashed()) == (True, True)
    assert machine.prefect_address() is None
    assert orchestration.running() is None
    assert not (prefect_home / "server.json").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


KILLED = """
import os, signal
from pipeline import machine
machine.prepare()
from pipeline.orchestration import connected, gpu, stage

@gpu
def train():
    os.kill(os.getpid(), signal.SIGKILL)

@stage
def pretrain():
    train()

with connected():
    pretrain()
"""


def test_a_slot_that_a_killed_process_held_is_free_at_the_next_start(prefect_home, project, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with orchestration.server():
        assert subprocess.run([sys.executable, "-c", KILLED], check=False).returncode == -signal.SIGKILL
        with get_client(sync_client=True) as client:
            assert client.read_global_concurrency_limit_by_name("tag:gpu").active_slots == 1
    with orchestration.server(), get_client(sync_client=True) as client:
        assert client.read_global_concurrency_limit_by_name("tag:gpu").active_slots == 0
        assert "Crashed" in [run.state.name for run in client.read_flow_runs()]


def test_a_server_that_does_not_come_up_is_told(prefect_home, project, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////dev/null/none.db")
    told = r"the Prefect server ended before it answered; its words are in .*server\.log"
    with pytest.raises(ServerError, match=told), orchestration.server():
        pass


CONNECTS = """
from pipeline import machine
machine.prepare()
from pipeline.orchestration import connected
with connected():
    print("connected to", machine.prefect_address())
"""


def test_flows_of_children_wait_for_a_server_that_is_not_awaited(prefect_home, project, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with orchestration.server(is_awaited=False) as address:
        assert not orchestration._answers(address)
        done = subprocess.run([sys.executable, "-c", CONNECTS], check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, f"connected to {address}\n")


def test_flows_of_children_are_told_that_a_server_does_not_come_up(prefect_home, project, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////dev/null/none.db")
    with orchestration.server(is_awaited=False):
        done = subprocess.run([sys.executable, "-c", CONNECTS], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "ServerError: the Prefect server ended before it answered; its words are in" in done.stderr


def test_a_note_of_a_server_that_was_killed_is_not_believed(project):
    note = project / ".prefect" / "server.json"
    note.parent.mkdir()
    note.write_text('{"address": "http://127.0.0.1:9/api", "pid": 1}', encoding="utf-8")
    assert orchestration.running() is None
