"""The default build on tiny numbers, run once on a real Prefect server into a real MLflow store, and copies of it."""

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from pipeline import dag, paths, settings, stages
from pipeline.__main__ import main

ROOT = Path(__file__).parents[3]

TRAINING: dict[str, Any] = {
    "max_steps": 3,
    "batch_size": 4,
    "evaluate_every": 2,
    "evaluate_batches": 1,
    "schedule": {"warmup_steps": 0},  # else the first step moves nothing
}
TINY: dict[str, Any] = {
    "tokenize": {"vocab_size": 300},
    "shard": {"context_length": 64, "stride": 64},
    "pretrain": {"model": {"emb_dim": 16, "n_heads": 2, "n_layers": 2}, **TRAINING},
    "evaluate": {"batch_size": 512, "prompts": ["Return the"], "max_new_tokens": 5},
    "prepare": {
        "classification": {"most": 40},
        "instructions": {"kinds": ["name", "count"], "max_tokens": 48, "most": 8},
    },
    "screen": {"records": {"most_near": 1.0, "most_13_gram": 1.0}, "pretraining": {"most_13_gram": 1.0}},  # so few
    "finetune_classifier": {"max_length": 32, **TRAINING},
    "finetune_instructions": {**TRAINING, "row_tokens": 64},
    "respond": {"max_new_tokens": 4, "examples": 1},
    "report": {"resamples": 50},
}
Changes = dict[str, Any]


def overlaid(values: Changes, changes: Changes) -> Changes:
    """Return nested values with nested changes; mappings are merged, all else is replaced."""
    nested = {
        name: overlaid(values[name], each)
        for name, each in changes.items()
        if isinstance(each, dict) and isinstance(values[name], dict)
    }
    return values | changes | nested


def write_params(sections: Changes) -> None:
    paths.PARAMS.write_text(json.dumps(sections, indent=1), encoding="utf-8")  # JSON is YAML


@pytest.fixture(scope="session")
def built(prefect_server, tmp_path_factory, worker_id) -> Path:
    """A folder in which every stage but the report has run: made by one of the test processes, copied by the others."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "built"
    with FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        done = folder.with_suffix(".done")
        if not done.exists():
            build(folder, patch)
            done.touch()
    return shutil.copytree(folder, tmp_path_factory.mktemp("built"), symlinks=True, dirs_exist_ok=True)


def build(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Run every stage but the report, as a flow inside its own MLflow run."""
    from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    folder.mkdir()
    for name in ("dvc.yaml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    for name in ("components", "pipeline"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "data").mkdir()
    (folder / "data/interpreter.txt").write_text("the one that runs this\n")
    (folder / "data/outside.txt").touch()
    patch.chdir(folder)
    write_params(overlaid(settings.read(ROOT / "presets/default.yaml"), TINY))
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="great_expectations|mlflow")
        for stage in dag.stages():
            if stage.name != "report":
                stages.run(stage.name)


@pytest.fixture
def project(built, tmp_path, monkeypatch) -> Path:
    """A copy of the finished build, which is the current folder; runs go to the store of the first."""
    folder = tmp_path / "project"
    shutil.copytree(built, folder, symlinks=True, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts"))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{built / 'mlflow.db'}")
    return folder


@pytest.fixture
def run(project) -> Callable[..., None]:
    """What runs a stage's flow in the copy, with some of its settings changed."""

    def run(stage: str, changes: Changes | None = None) -> None:
        flow = stages.find(stage)
        flow(**settings.arguments(flow, overlaid(settings.read(), {stage: changes or {}})))

    return run


@pytest.fixture
def failure(project, capsys) -> Iterator[Callable[..., str]]:
    """What runs a stage as the command line does, sees that it fails with one line, and returns that line."""
    log = logging.getLogger("pipeline")
    handlers = list(log.handlers)

    def failure(stage: str, changes: Changes | None = None) -> str:
        write_params(overlaid(settings.read(), {stage: changes or {}}))
        outs = next(each for each in dag.stages() if each.name == stage).outs
        for out in outs:  # as DVC does
            paths.remove(out)
        capsys.readouterr()
        assert main([stage]) == 1
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(said) == 1
        assert not [each for out in outs if out.parent.is_dir() for each in out.parent.rglob("*partial*")]
        return said[0].removeprefix("error: ")

    yield failure
    log.handlers = handlers
