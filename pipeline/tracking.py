"""MLflow: one run per stage with its params, numbers, files and inputs; the same numbers go to `data/metrics`."""

import csv
import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME

from pipeline import machine, paths
from pipeline.settings import flatten

EXPERIMENT = "build"
LOCAL = "sqlite:///"
OWNER = "process"  # the tag that names a run's process
METRICS_A_CALL = 1000  # what MLflow's servers take at most
PARAMS_A_CALL = 100
NO_STEPS = ("step", "training_loss", "validation_loss")  # the columns of a curve without rows
REASON_CHARACTERS = 200  # MLflow's own words may go on for a page
SHOWN_RUNS = 3  # of those that bear one name
DIGEST_CHARACTERS = 36  # MLflow's limit for a data set's digest; the tag keeps the whole hash


class TrackingError(ValueError):
    """A tracking server that cannot be used."""


class Run:
    """One MLflow run: a stage's, or the whole build's."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def params(self, values: Mapping[str, object]) -> None:
        """Log params under their dotted names."""
        flat = [Param(name, str(value)) for name, value in flatten(values).items()]
        for start in range(0, len(flat), PARAMS_A_CALL):
            self._client.log_batch(self.run_id, params=flat[start : start + PARAMS_A_CALL])

    def tags(self, values: Mapping[str, str]) -> None:
        """Set tags."""
        self._client.log_batch(self.run_id, tags=[RunTag(name, value) for name, value in values.items()])

    def metrics(self, rows: Iterable[Mapping[str, float]]) -> None:
        """Log numbers, a thousand a call; a row may have its `step`, else it stands at step 0."""
        now_ms = time.time_ns() // 1_000_000
        metrics = [
            Metric(name, float(value), now_ms, int(row.get("step", 0)))
            for row in rows
            for name, value in row.items()
            if name != "step"
        ]
        for start in range(0, len(metrics), METRICS_A_CALL):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + METRICS_A_CALL])

    def inputs(self, hashes: Mapping[str, str]) -> None:
        """Log the files that the run reads as its data inputs, and their hashes as tags `input.<path>`."""
        data = [
            Dataset(path, digest[:DIGEST_CHARACTERS], "local", json.dumps({"uri": path}))
            for path, digest in hashes.items()
        ]
        if data:
            self._client.log_inputs(self.run_id, [DatasetInput(each) for each in data])
        self.tags({f"input.{path}": digest for path, digest in hashes.items()})

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file, or a folder's files, with the run; in a folder of its artifacts, or beside them."""
        if path.is_dir():
            self._client.log_artifacts(self.run_id, str(path), "/".join(filter(None, [folder, path.name])))
        else:
            self._client.log_artifact(self.run_id, str(path), folder)

    def end(self, status: str) -> None:
        """Close the run: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(self.run_id, status)


_open_run: ContextVar[Run | None] = ContextVar("open_run", default=None)


@contextmanager
def run(name: str, params: Mapping[str, object], inputs: Mapping[str, str]) -> Iterator[Run]:
    """Keep an MLflow run open for a stage; it ends FINISHED, FAILED when the block raises, KILLED when it is stopped.

    Raises TrackingError where MLflow does not answer, or refuses what it is given.
    """
    address = machine.tracking_address()
    with _answering(address):
        client = MlflowClient(tracking_uri=address)
        experiment = _experiment(client)
        _bury(client, experiment)
        created = client.create_run(experiment, run_name=name, tags=_tags(name))
        opened = Run(client, created.info.run_id)
        with _open(opened):
            opened.params(params)
            opened.inputs(inputs)
            yield opened


@contextmanager
def _answering(address: str) -> Iterator[None]:
    """Have what MLflow raises in the block say where it is, and what to do."""
    try:
        yield
    except MlflowException as error:
        at = machine.shown(address)
        reason = " ".join(str(error).replace(address, at).split())[:REASON_CHARACTERS]
        raise TrackingError(
            f"MLflow at {at} failed; start it, or unset MLFLOW_TRACKING_URI to keep the runs here ({reason})"
        ) from error


@contextmanager
def _open(opened: Run) -> Iterator[None]:
    token = _open_run.set(opened)
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        _open_run.reset(token)
        opened.end(status)


def points(rows: Sequence[Mapping[str, float]]) -> None:
    """Log rows of a curve, each with its `step`, to the open run."""
    if opened := _open_run.get():
        opened.metrics(rows)


def write_curve(stage: str, rows: Sequence[Mapping[str, float]]) -> None:
    """Write a stage's numbers by step to `data/metrics/<stage>.csv`; without rows too, for DVC expects it.

    Floats keep all their digits.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row)) or list(NO_STEPS)
    with paths.whole(paths.curve(stage)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_curve(stage: str) -> list[dict[str, float]]:
    """Return a stage's rows by step, each with the numbers it has; none for no steps."""
    path = paths.curve(stage)
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def record(stage: str, numbers: Mapping[str, float | int | str]) -> None:
    """Write a stage's numbers to `data/metrics/<stage>.json` and to the open run.

    A text among the numbers (a hash) becomes a tag of the run. What the curve ends with is in the run already: logged
    once more it would be another point of it, at step 0. Floats keep all their digits.
    """
    with paths.whole(paths.metrics(stage)) as temporary:
        temporary.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    if opened := _open_run.get():
        texts = {name: value for name, value in numbers.items() if isinstance(value, str)}
        opened.tags(texts)
        known = texts.keys() | {name for row in read_curve(stage) for name in row}
        opened.metrics([{name: float(value) for name, value in numbers.items() if name not in known}])


def recorded(stage: str) -> dict[str, Any]:
    """Return what a stage recorded."""
    found: dict[str, Any] = json.loads(paths.metrics(stage).read_text(encoding="utf-8"))
    return found


def keep(path: Path) -> None:
    """Keep a file or folder as an artifact of the open run, if there is one."""
    if opened := _open_run.get():
        opened.artifact(path)


@contextmanager
def shared() -> Iterator[None]:
    """Have builds that are started in the block, in whatever folder, keep their runs where this project's are."""
    address = machine.tracking_address()
    with _answering(address):
        _experiment(MlflowClient(tracking_uri=address))  # it says where artifacts go, so it is made here, not there
    with machine.tracking_at(address):
        yield


def fetch(name: str, folder: str, target: Path) -> str | None:
    """Return the id of a run, found by id or by name, with a folder of its artifacts then in `target`; None for no run.

    Raises ValueError for a name that several runs have, and for a run without that folder; TrackingError where MLflow
    does not answer.
    """
    address = machine.tracking_address()
    if "'" in name or (address.startswith(LOCAL) and not Path(address.removeprefix(LOCAL)).exists()):
        return None  # a quote cannot be asked for; and asking for a database makes it
    with _answering(address):
        client = MlflowClient(tracking_uri=address)
        found = client.get_experiment_by_name(EXPERIMENT)
        where = [f"attributes.{field} = '{name}'" for field in ("run_id", "run_name")]
        runs = [run for each in where for run in client.search_runs([found.experiment_id], each)] if found else []
        if not runs:
            return None
        if len(runs) > 1:
            ids = ", ".join(run.info.run_id for run in runs[:SHOWN_RUNS])
            raise ValueError(f"MLflow has {len(runs)} runs named {name}; name one by its id: {ids} (newest first)")
        id = str(runs[0].info.run_id)
        if not client.list_artifacts(id, folder):
            raise ValueError(f"MLflow's run {name} keeps no {folder}; expected a build's run, made since they do")
        client.download_artifacts(id, folder, str(target))
        return id


def _experiment(client: MlflowClient) -> str:
    if found := client.get_experiment_by_name(EXPERIMENT):
        return str(found.experiment_id)
    is_local = machine.tracking_address().startswith(LOCAL)
    location = (machine.root() / paths.MLFLOW_ARTIFACTS).as_uri() if is_local else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _bury(client: MlflowClient, experiment: str) -> None:
    """End the runs of this machine's dead processes, which are running for ever else."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if machine.is_dead(run.data.tags.get(OWNER, "")):
            client.set_terminated(run.info.run_id, "KILLED")


def _tags(name: str) -> dict[str, str]:
    tags = {MLFLOW_RUN_NAME: name, MLFLOW_SOURCE_NAME: f"python -m pipeline {name}", "stage": name}
    tags[OWNER] = machine.owner()
    tags |= {f"dvc.{key}": value for key, value in machine.dvc_context().items()}
    if commit := _git_commit():
        tags[MLFLOW_GIT_COMMIT] = commit
    return tags


def _git_commit() -> str | None:
    """Return the commit checked out, None outside a git repository or without git."""
    if shutil.which("git") is None:
        return None
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else None
