"""The default build on tiny numbers as a user runs it: a copy of the project, real DVC, real servers and stores.

The presets' builds are in test_presets.py, what bad input leads to in tests/pipeline/stages.
"""

import json
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline import dag, paths, stages

ROOT = Path(__file__).parents[1]
COPIED = ("components", "pipeline", "presets", "dvc.yaml", "constraints.txt", ".gitignore", ".dvcignore", ".dvc/config")

TRAINING = {"max_steps": 2, "batch_size": 4, "evaluate_every": 2, "evaluate_batches": 1}
TINY: dict[str, Any] = {
    "tokenize": {"vocab_size": 300},
    "shard": {"context_length": 64, "stride": 64},
    "pretrain": {"model": {"emb_dim": 16, "n_heads": 2, "n_layers": 1}, **TRAINING},
    "evaluate": {"batch_size": 512, "max_new_tokens": 3},
    "prepare": {"classification": {"most": 20}, "instructions": {"kinds": ["name"], "max_tokens": 48, "most": 6}},
    "screen": {"records": {"most_near": 1.0, "most_13_gram": 1.0}, "pretraining": {"most_13_gram": 1.0}},  # so few
    "finetune_classifier": {"max_length": 16, **TRAINING},
    "finetune_instructions": {"row_tokens": 64, **TRAINING},
    "respond": {"max_new_tokens": 3, "examples": 1},
    "report": {"resamples": 20},
}
Dvc = Callable[..., str]


def change(values: Any, changes: dict[str, Any]) -> None:
    for name, each in changes.items():
        if isinstance(each, dict):
            change(values[name], each)
        else:
            values[name] = each


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of the project as a git repository, with tiny numbers in params.yaml."""
    folder: Path = tmp_path_factory.mktemp("project")
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    (folder / "data").mkdir()
    (folder / "data/interpreter.txt").write_text("the one that runs this\n")
    (folder / "data/outside.txt").touch()
    yaml = YAML()  # which keeps the comments, so that dvc meets the file as users have it
    params = yaml.load((ROOT / "presets/default.yaml").read_text(encoding="utf-8"))
    change(params, TINY)
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    subprocess.run(["git", "init", "--quiet", "."], cwd=folder, check=True)
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def dvc(project, prefect_server) -> Dvc:
    """What runs dvc in the project and returns what it prints."""

    def dvc(*words: str) -> str:
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where dvc finds `python`
        done = subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=project,
            env=os.environ | {"PATH": programs, "PREFECT_API_URL": prefect_server},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return dvc


@pytest.fixture(scope="module")
def reproduced(project, dvc) -> Path:
    """The project built by `dvc repro`, and committed."""
    dvc("repro")
    commit(project)
    return project


@pytest.fixture
def here(reproduced, monkeypatch) -> Iterator[Path]:
    """The built project, which is the current folder."""
    monkeypatch.chdir(reproduced)
    return reproduced


def commit(folder: Path) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "add", "--all", "."], cwd=folder, check=True)
    subprocess.run(["git", *who, "commit", "--quiet", "--message", "test"], cwd=folder, check=True)


def lock(folder: Path) -> dict[str, str]:
    """Return the hash of every out in dvc.lock."""
    found = YAML(typ="safe", pure=True).load((folder / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return {out["path"]: out["md5"] for stage in found.values() for out in stage["outs"]}


def test_every_stage_has_made_its_products_and_none_of_them_is_in_git(here):
    for stage in dag.stages():
        assert [path for path in stage.products if not path.exists()] == []
        assert {path.as_posix() for path in stage.products} <= lock(here).keys()
    tracked = subprocess.run(["git", "ls-files", "data", "models"], capture_output=True, text=True, check=True).stdout
    assert {Path(line).parent.as_posix() for line in tracked.split()} <= {"data", "data/metrics"}


def test_a_second_time_nothing_runs(here, dvc):
    runs = len(list((here / ".work/timings").iterdir()))
    said = dvc("repro")
    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == 13 == runs


def test_metrics_and_plots_are_what_dvc_understands(here, dvc):
    shown = json.loads(dvc("metrics", "show", "--json"))[""]["data"]
    names = {Path(file).stem for file in shown}
    assert names == {stage.name for stage in dag.stages()}
    assert shown["data/metrics/evaluate.json"]["data"]["perplexity"] > 1
    plots = json.loads(dvc("plots", "show", "--json"))
    assert not plots.get("errors")
    assert len(plots["data"]) >= 5  # four losses and the confusion matrix


def test_all_of_it_made_once_more_without_work_in_progress_has_the_same_hashes(here, dvc):
    """As `dvc repro --force` does, only in one process, which spares as many imports as there are stages."""
    from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    before = lock(here)
    paths.remove(here / ".work")
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module="great_expectations|mlflow")
        for stage in dag.stages():
            for out in stage.products:
                paths.remove(out)
            stages.run(stage.name)
    dvc("commit", "--force")
    assert lock(here) == before
    assert not [path for path in (here / ".work").iterdir() if path.name != "timings"]


def test_what_was_pushed_to_a_folder_comes_back_in_an_empty_clone(here, dvc, tmp_path):
    dvc("remote", "add", "--default", "--force", "--local", "store", str(tmp_path / "store"))
    dvc("push")
    paths.remove(here / ".dvc/cache")
    for stage in dag.stages():
        for out in stage.outs:
            paths.remove(out)
    dvc("pull")
    assert "up to date" in dvc("status")


def test_an_experiment_changes_one_value_and_runs_what_depends_on_it(here, dvc):
    before = lock(here)
    said = dvc("exp", "run", "--set-param", "score.metrics=[exact_match]")
    assert "Running stage 'score'" in said
    assert "Running stage 'respond'" not in said
    scored = json.loads(paths.metrics("score").read_text())
    assert scored.keys() >= {"tuned_exact_match"}
    assert not [name for name in scored if name.endswith("chrf")]
    changed = {path for path, md5 in lock(here).items() if before[path] != md5}
    assert "data/scores" in changed
    assert "models/assistant" not in changed
