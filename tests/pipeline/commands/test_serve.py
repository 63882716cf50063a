import os
import signal
import subprocess
import sys

from prefect import get_client
from prefect.exceptions import ObjectNotFound

from pipeline import orchestration


def test_prefect_deployment_run_builds_everything(graph, start, until, left_running, prefect_server, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    served = start("serve", PREFECT_RUNNER_POLL_FREQUENCY="1")
    trigger = served.hear("trigger with: ").split("trigger with: ")[1]
    assert trigger == f"PREFECT_API_URL={prefect_server} prefect deployment run build/build\n"
    with orchestration.connected(), get_client(sync_client=True) as client:

        def is_offered():
            try:
                return client.read_deployment_by_name("build/build") is not None
            except ObjectNotFound:
                return False

        until(is_offered)
        command = [sys.executable, "-m", "prefect", "deployment", "run", "build/build"]
        subprocess.run(command, env=os.environ, check=True, capture_output=True)
        until(lambda: latest(client).state.is_final(), 90)
        assert latest(client).state.is_completed()
    assert (graph / "two").read_text(encoding="utf-8") == "2\n"
    status, last_words = served.stop(signal.SIGTERM)
    assert "Traceback" not in last_words
    assert status in (0, 143)
    assert left_running() == []


def latest(client):
    return client.read_flow_runs(limit=1, sort="EXPECTED_START_TIME_DESC")[0]
