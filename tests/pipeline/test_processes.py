import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import processes

# A program that starts another, as DVC starts a stage: both note which signal they got.
PARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as DVC does while a stage runs
sys.exit(child.wait())
"""
CHILD = """
import time
from pathlib import Path
try:
    Path("ready").touch()
    time.sleep(60)
except KeyboardInterrupt:
    with Path("stopped").open("a") as file:
        file.write("once ")
    raise SystemExit(7)
"""
OURS = "import sys; from pipeline import processes; processes.run(sys.argv[1:])"


def await_file(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_program_runs_to_its_end_and_its_status_comes_back(project, capfd):
    assert processes.run([sys.executable, "-c", "print('words'); raise SystemExit(3)"]) == 3
    assert capfd.readouterr().out == "words\n"


def test_interrupted_the_whole_group_is_asked_once_and_awaited(project):
    command = [sys.executable, "-c", OURS, sys.executable, "-c", PARENT, CHILD]
    ours = subprocess.Popen(command, stderr=subprocess.PIPE, process_group=0)
    await_file(project / "ready")
    os.killpg(ours.pid, signal.SIGINT)
    assert b"KeyboardInterrupt" in ours.communicate(timeout=20)[1]
    assert (project / "stopped").read_text() == "once "


def test_a_child_runs_for_a_block_and_no_longer(project):
    with (project / "words").open("w") as words:
        with processes.child(
            [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"], output=words
        ):
            pass
        with processes.child([sys.executable, "-c", "import time; time.sleep(60)"], output=words) as process:
            assert process.poll() is None
    assert process.returncode == -signal.SIGTERM


def test_after_an_error_in_the_block_the_child_ends_too(project):
    with pytest.raises(ValueError, match="stop"), processes.child(["sleep", "60"]) as process:
        raise ValueError("stop")
    assert process.returncode == -signal.SIGTERM


def test_what_does_not_stop_when_asked_is_killed(project, monkeypatch):
    monkeypatch.setattr(processes, "PATIENCE_S", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('ready', 'w'); time.sleep(60)"
    with processes.child([sys.executable, "-c", deaf]) as process:
        await_file(project / "ready")
    assert process.returncode == -signal.SIGKILL
