import signal
import socket

import httpx

from pipeline import tracking


def answers(address):
    try:
        return httpx.get(address, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_both_servers_show_their_pages_until_stopped(project, store, prefect_home, start, until, left_running):
    (project / "page.html").write_text("a page", encoding="utf-8")
    with tracking.run("report", {}, {}) as kept:
        tracking.keep(project / "page.html")
    shown = start("ui", "--port", str(free_port()))
    prefect = shown.hear("Prefect").split()[1]
    mlflow = shown.hear("MLflow").split()[1]
    shown.hear("Ctrl-C")
    until(lambda: answers(mlflow))
    assert answers(f"{prefect}/api/health")
    assert httpx.get(f"{prefect}/ui-settings").json()["api_url"] == f"{prefect}/api"  # where its pages ask
    artifact = httpx.get(f"{mlflow}/get-artifact", params={"path": "page.html", "run_uuid": kept.run_id})
    assert artifact.text == "a page"
    status, last_words = shown.stop(signal.SIGTERM)
    assert (status, last_words) == (143, "")
    assert left_running() == []
    assert not answers(mlflow)
    assert not answers(f"{prefect}/api/health")


def test_runs_that_a_server_keeps_are_shown_by_that_server(project, prefect_server, start, left_running):
    shown = start("ui", PREFECT_API_URL=prefect_server, MLFLOW_TRACKING_URI="http://runs.example:5000")
    assert shown.hear("Prefect").split()[1] == prefect_server.removesuffix("/api")
    assert shown.hear("MLflow").split()[1] == "http://runs.example:5000"
    shown.hear("Ctrl-C")
    assert shown.stop(signal.SIGINT) == (130, "stopped\n")
    assert left_running() == []


def test_a_taken_port_is_told_in_one_line(project, store, prefect_server, start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        shown = start("ui", "--port", str(taken.getsockname()[1]), PREFECT_API_URL=prefect_server)
        line = shown.hear("error: ")
        assert line.startswith("error: MLflow's server ended with status ")
        assert line.endswith("mlflow.log; --port names another port\n")
        assert shown.process.wait(timeout=20) == 1
