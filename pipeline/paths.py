"""Every path of the build, relative to the project's root, and the way a file or folder appears whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARAMS = Path("params.yaml")
PRESETS = Path("presets")
GRAPH = Path("dvc.yaml")
LOCK = Path("dvc.lock")
CONSTRAINTS = Path("constraints.txt")
INTERPRETER = Path("data/interpreter.txt")
OUTSIDE = Path("data/outside.txt")

SOURCES = Path("data/raw/sources.json")
RAW_CORPUS = Path("data/raw/corpus")
RAW_TASKS = Path("data/raw/tasks")
RAW_TOKENIZER = Path("data/raw/tokenizer")
RAW_WEIGHTS = Path("data/raw/weights")
TOKENIZER = Path("data/tokenizer")
TOKENS = Path("data/tokens")
QUARANTINE = Path("data/quarantine/documents.parquet")
TASKS_QUARANTINE = Path("data/quarantine/tasks.parquet")
SHARDS = Path("data/shards")
CLASSIFICATION = Path("data/tasks/classification")
INSTRUCTIONS = Path("data/tasks/instructions")
PREFERENCES = Path("data/tasks/preferences")
OVERLAPS = Path("data/overlap/overlaps.jsonl")
OVERLAP_COUNTS = Path("data/overlap/counts.json")
PASSED = Path("data/overlap/passed")
BASE = Path("models/base")
CLASSIFIER = Path("models/classifier")
ASSISTANT = Path("models/assistant")
PREFERRED = Path("models/preferred")
SAMPLES = Path("data/samples.json")
LOSSES = Path("data/losses.jsonl")
CHOICES = Path("data/choices.jsonl")
PREDICTIONS = Path("data/predictions")
MARGINS = Path("data/margins.jsonl")
RESPONSES = Path("data/responses")
RESPONSE_LINES = RESPONSES / "responses.jsonl"
LIKELIHOOD_LINES = RESPONSES / "likelihoods.jsonl"
SCORES = Path("data/scores")
SCORE_LINES = SCORES / "scores.jsonl"
CALIBRATION_LINES = SCORES / "calibration.jsonl"
JUDGED = Path("data/judged")
REPLY_LINES = JUDGED / "replies.jsonl"
CHECKS = Path("data/checks")
METRICS = Path("data/metrics")
REPORT = Path("data/report.html")

TIMINGS_PAGE = Path("data/timings.html")
WORK = Path(".work")
TIMINGS = WORK / "timings"
JUDGE_JOURNAL = WORK / "judged" / "replies.jsonl"
OTHER_SEEDS = WORK / "compare"
PREFECT_HOME = Path(".prefect")
SERVER = PREFECT_HOME / "server.json"
MLFLOW_DATABASE = Path("mlflow.db")
MLFLOW_ARTIFACTS = Path("mlartifacts")
MLFLOW_LOG = WORK / "mlflow.log"


def checks(border: str) -> Path:
    """Return where the result of a border's checks is kept."""
    return CHECKS / f"{border}.json"


def data_docs(border: str) -> Path:
    """Return where Great Expectations' page of a border's checks is kept."""
    return CHECKS / f"{border}.html"


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

    The block makes the file or the folder; nothing is there when it begins, whatever a killed run has left. What stood
    at `target` is replaced at the end; after an error it still stands.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.partial")
    remove(temporary)
    try:
        yield temporary
        if temporary.is_dir() or (temporary.exists() and target.is_dir()):
            remove(target)  # a folder with files in it cannot be replaced in one move
        temporary.replace(target)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
