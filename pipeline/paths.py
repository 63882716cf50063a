"""Every path of the build, relative to the project's root, and the way a file or folder appears whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARAMS = Path("params.yaml")
PRESETS = Path("presets")
GRAPH = Path("dvc.yaml")
CONSTRAINTS = Path("constraints.txt")
INTERPRETER = Path("data/interpreter.txt")

SOURCES = Path("data/raw/sources.json")
RAW_CORPUS = Path("data/raw/corpus")
RAW_TASKS = Path("data/raw/tasks")
RAW_TOKENIZER = Path("data/raw/tokenizer")
RAW_WEIGHTS = Path("data/raw/weights")
TOKENIZER = Path("data/tokenizer")
TOKENS = Path("data/tokens")
QUARANTINE = Path("data/quarantine/documents.parquet")
SHARDS = Path("data/shards")
CLASSIFICATION = Path("data/tasks/classification")
INSTRUCTIONS = Path("data/tasks/instructions")
BASE = Path("models/base")
CLASSIFIER = Path("models/classifier")
ASSISTANT = Path("models/assistant")
SAMPLES = Path("data/samples.json")
PREDICTIONS = Path("data/predictions")
RESPONSES = Path("data/responses")
SCORES = Path("data/scores")
CHECKS = Path("data/checks")
METRICS = Path("data/metrics")
REPORT = Path("data/report.html")

TIMINGS_PAGE = Path("data/timings.html")
WORK = Path(".work")
TIMINGS = WORK / "timings"
PREFECT_HOME = Path(".prefect")
SERVER = PREFECT_HOME / "server.json"
MLFLOW_DATABASE = Path("mlflow.db")
MLFLOW_ARTIFACTS = Path("mlartifacts")
MLFLOW_LOG = WORK / "mlflow.log"


def checks(border: str) -> Path:
    """Return where the result of a border's checks is kept."""
    return CHECKS / f"{border}.json"


def metrics(stage: str) -> Path:
    """Return where a stage's numbers are kept, in git."""
    return METRICS / f"{stage}.json"


def curve(stage: str) -> Path:
    """Return where a stage's numbers by step are kept, for `dvc plots`."""
    return METRICS / f"{stage}.csv"


def timings(stage: str) -> Path:
    """Return where the duration of a stage's last run is kept; no stage depends on it."""
    return TIMINGS / f"{stage}.json"


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that takes its name when the block ends well, and vanishes otherwise.

    The block makes the file or the folder. What stood at `target` is replaced then; after an error it still stands.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.partial")
    remove(temporary)
    try:
        yield temporary
        publish(temporary, target)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def publish(made: Path, target: Path) -> None:
    """Give a finished file or folder its final name; what stood there is replaced.

    One move where both are on one disk, else a copy beside the target first: it appears whole all the same.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if made.stat().st_dev != target.parent.stat().st_dev:
        with whole(target) as copy:
            _copy(made, copy)
        return
    if made.is_dir() or target.is_dir():  # a folder with files in it cannot be replaced in one move
        remove(target)
    made.replace(target)


def _copy(made: Path, target: Path) -> None:
    """Copy a file, or a folder file by file, so that the first error is the one told (shutil.copytree lists them)."""
    if made.is_dir():
        target.mkdir()
        for each in sorted(made.iterdir()):
            _copy(each, target / each.name)
    else:
        shutil.copyfile(made, target)
