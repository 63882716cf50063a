"""What the tests share: an environment of their own, a folder to build in, one Prefect server, commands by hand."""

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline import machine

# Before any tool is imported: its home is the tests' own, and no address of the user's is asked.
for name in list(os.environ):
    if name.startswith(("PIPELINE_", "PREFECT_", "MLFLOW_", "DVC_", "RAY_")):
        del os.environ[name]
HOME = tempfile.TemporaryDirectory(prefix="pipeline-tests-")
os.environ["PREFECT_HOME"] = str(Path(HOME.name) / ".prefect")
os.environ["OMP_NUM_THREADS"] = "1"
machine.prepare()
# A shell that starts these tests in the background has them ignore Ctrl-C, and what they start inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).parents[1]
LONGEST = (
    "test_end_to_end.py",
    "test_presets.py",
    "test_killed.py",  # it needs the tiny build as well, for which others would wait
    "test_preset_gates.py",
    "test_tokenize_bad_input.py",
)
Command = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: the last of them would else keep one process while the others are done."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name no test after bytes: gzip's hold the time, and each test process has its own."""
    return "bytes" if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[str]:
    """Return the address of a real Prefect server, up from here to the end of the tests."""
    from pipeline import orchestration

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(HOME.name)
        with orchestration.server() as address:
            patch.undo()
            patch.delenv("PREFECT_API_URL")  # a test that uses it says so
            yield address
            patch.undo()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in which to build: the current one, with runs in an MLflow store of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def _empty_store() -> Path:
    """Return an MLflow store without a run; making its tables takes four seconds."""
    from mlflow import MlflowClient

    path = Path(HOME.name) / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(project: Path, _empty_store: Path) -> str:
    """Return the address of a real MLflow store in the project, where runs are kept by default."""
    shutil.copy(_empty_store, project / "mlflow.db")
    return f"sqlite:///{project.resolve()}/mlflow.db"


@pytest.fixture
def prefect_home(project: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have servers started in the project keep their files in it; the tables are there already (6 s)."""
    home = project / ".prefect"
    home.mkdir()
    source = sqlite3.connect(Path(HOME.name) / ".prefect" / "prefect.db")
    with closing(source), closing(sqlite3.connect(home / "prefect.db")) as copy:
        source.backup(copy)
    monkeypatch.setenv("PREFECT_HOME", str(home))
    return home


@pytest.fixture
def by_hand(project: Path) -> Command:
    """Return what runs `python -m pipeline` with some words, and waits for it."""

    def run(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            cwd=project,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def main() -> Iterator[Callable[[list[str]], int]]:
    """Return what `python -m pipeline` calls, for commands that need no process of their own."""
    from pipeline.__main__ import main

    log, at_sigterm = logging.getLogger("pipeline"), signal.getsignal(signal.SIGTERM)
    handlers = list(log.handlers)
    yield main
    log.handlers = handlers
    signal.signal(signal.SIGTERM, at_sigterm)
