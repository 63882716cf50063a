"""A graph of two stages that takes no time, and commands that run until they are stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TWO_STAGES = """\
stages:
  double:
    cmd: python -c "print(2 * int(open('one').read()), file=open('two', 'w'))"
    deps: [one]
    outs: [two]
  start:
    cmd: python -c "print(int(open('zero').read()) + 1, file=open('one', 'w'))"
    deps: [zero]
    outs: [one]
"""


@pytest.fixture
def graph(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project whose `start` writes 1 and whose `double`, named first, makes 2 of it."""
    (project / "dvc.yaml").write_text(TWO_STAGES, encoding="utf-8")
    (project / "params.yaml").write_text("{}\n", encoding="utf-8")
    (project / "zero").write_text("0", encoding="utf-8")
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n", encoding="utf-8")
    (project / ".dvcignore").write_text(".prefect\n", encoding="utf-8")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return project


class Started:
    """A command that runs until it is stopped."""

    def __init__(self, project: Path, words: tuple[str, ...], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", *words],
            cwd=project,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def hear(self, words: str) -> str:
        """Return the next line that has some words in it."""
        assert self.process.stdout is not None
        said = [self.process.stdout.readline()]
        while words not in said[-1]:
            assert said[-1], f"never said {words}: {said}"
            said.append(self.process.stdout.readline())
        return said[-1]

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal to this one process and return its status and its last words."""
        self.process.send_signal(number)
        last_words, _ = self.process.communicate(timeout=60)
        return self.process.returncode, last_words


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., Started]]:
    """Return what starts `python -m pipeline` with some words; what still runs after the test is killed."""
    started: list[Started] = []

    def run(*words: str, **environment: str) -> Started:
        started.append(Started(project, words, environment))
        return started[-1]

    yield run
    for each in started:
        each.process.kill()
        each.process.communicate()


@pytest.fixture
def until() -> Callable[..., None]:
    """Return what waits until a question is answered with yes."""

    def wait(is_so: Callable[[], bool], limit_s: float = 60) -> None:
        end = time.monotonic() + limit_s
        while not is_so():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)

    return wait


@pytest.fixture
def left_running(project: Path) -> Callable[[], list[str]]:
    """Return what tells the commands of all processes in the project's folder, but for this one."""

    def find() -> list[str]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                is_here = (folder / "cwd").resolve() == project.resolve()
            except OSError:  # it has ended
                continue
            if command and is_here and int(folder.name) != os.getpid():
                found.append(command)
        return found

    return find
