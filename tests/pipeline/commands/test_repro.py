import shutil
import signal
from pathlib import Path

import httpx
import pytest

from pipeline import stages
from pipeline.settings import SettingsError

ROOT = Path(__file__).parents[3]
# Says where its server is, then waits to be stopped.
WAITS = """\
stages:
  wait:
    cmd: python wait.py
    outs: [never]
"""
WAIT_PY = """
import os, time
from pathlib import Path
Path("address").write_text(os.environ["PREFECT_API_URL"])
Path("ready").touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    Path("in order").touch()
    raise SystemExit(130)
"""


def answers(address):
    try:
        return httpx.get(f"{address}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_what_is_stale_is_rebuilt_and_what_is_not_starts_no_server(graph, by_hand, prefect_server, prefect_home):
    done = by_hand("repro", PREFECT_API_URL=prefect_server)
    assert (done.returncode, (graph / "two").read_text(encoding="utf-8")) == (0, "2\n")
    again = by_hand("repro")
    assert again.returncode == 0
    assert "up to date" in again.stdout
    assert not (prefect_home / "server.log").exists()


def test_one_stage_can_be_forced(graph, by_hand, prefect_server):
    done = by_hand("repro", "--force", "start", PREFECT_API_URL=prefect_server)
    assert done.returncode == 0, done.stderr
    assert (graph / "one").exists()
    assert not (graph / "two").exists()


def test_stopped_while_a_stage_runs_it_ends_in_order_and_leaves_no_server(
    graph, start, until, left_running, prefect_home
):
    (graph / "dvc.yaml").write_text(WAITS, encoding="utf-8")
    (graph / "wait.py").write_text(WAIT_PY, encoding="utf-8")
    repro = start("repro")
    until((graph / "ready").exists)
    address = (graph / "address").read_text(encoding="utf-8")
    until(lambda: answers(address))
    status, last_words = repro.stop(signal.SIGINT)
    assert status == 130
    assert last_words.splitlines()[-1] == "stopped"
    assert "Traceback" not in last_words
    assert (graph / "in order").exists()
    assert not answers(address)
    assert left_running() == []


def test_a_section_of_no_stage_is_told(graph, by_hand):
    (graph / "params.yaml").write_text("pretrian: {}\n", encoding="utf-8")
    done = by_hand("repro")
    assert (done.returncode, done.stderr) == (1, "error: pretrian is the section of no stage\n")


def test_what_dvc_cannot_read_is_told_in_its_words(graph, by_hand):
    (graph / "dvc.yaml").write_text("stages:\n  start:\n    cmd: true\n    nonsense: 1\n", encoding="utf-8")
    done = by_hand("repro")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: dvc status failed: ")
    assert "dvc.yaml" in line


def test_the_settings_of_all_stale_stages_are_told_together(project):
    shutil.copy(ROOT / "dvc.yaml", project)
    text = (ROOT / "presets" / "default.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text, encoding="utf-8")
    stages.check_settings(["download", "score"])
    wrong = text.replace("  metrics: [", "  metric: [").replace("licence:", "license:", 1)
    (project / "params.yaml").write_text(wrong, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        stages.check_settings(["score", "download"])
    assert str(refused.value).split("; ") == [
        "download.sources.0.license is no setting",
        "score.metrics is missing",
        "score.metric is no setting",
    ]
