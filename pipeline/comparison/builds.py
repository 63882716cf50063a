"""A finished build, wherever it is kept: what it was made from, its headline numbers, and the files these come from."""

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import dag, paths, predictions, settings, tracking

WORKSPACE = "workspace"
REPORT = "report"  # the stage that is running while a build is kept: its entry in dvc.lock is of an earlier one
FOLDER = Path("build")  # of an MLflow run's artifacts
OUTPUTS = (
    *(predictions.file(who) for who in predictions.WHO),
    paths.CLASSIFICATION / "test.jsonl",
    paths.RESPONSE_LINES,
    paths.SCORE_LINES,
    paths.OVERLAPS,
    paths.LOSSES,
    paths.CHOICES,
    *(paths.PREFERENCES / f"{split}.jsonl" for split in ("validation", "test")),
    paths.MARGINS,
)
"""What a comparison reads of DVC's outputs, record by record; a build that has no such stage lacks it."""
KEPT = (paths.PARAMS, paths.LOCK, paths.CONSTRAINTS, paths.INTERPRETER, *OUTPUTS)
"""What is kept with a build's run in MLflow, with the numbers of every stage."""


@dataclass(frozen=True)
class Stage:
    """A stage as `dvc.lock` has it; each file or folder with its md5 as DVC takes it."""

    params: Mapping[str, Any]
    deps: Mapping[str, str]
    outs: Mapping[str, str]


@dataclass(frozen=True)
class Build:
    """One build, its files in a folder laid out as the project is."""

    name: str
    """As it was asked for."""
    origin: str
    """What that is: a commit, a run, the workspace."""
    folder: Path
    stages: Mapping[str, Stage]
    """As they were run, by name; what is in `params.yaml` may have been edited since."""
    commit: str | None
    """The commit that it is in; None for a run in MLflow and for a workspace with changes."""

    @cached_property
    def numbers(self) -> dict[str, float]:
        """Return the headline numbers."""
        return {name: float(value) for name, value in self.recorded(REPORT).items()}

    @cached_property
    def params(self) -> dict[str, object]:
        """Return the params it was built with, by their dotted names."""
        return settings.flatten({name: each for stage in self.stages.values() for name, each in stage.params.items()})

    def recorded(self, stage: str) -> dict[str, Any]:
        """Return what a stage has recorded; nothing where it has not."""
        path = self.folder / paths.metrics(stage)
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found

    def drifted(self) -> list[str]:
        """Return the stages that are not what would run now: their params or code were edited after they ran.

        Files that are not here are not looked at: a run in MLflow has no code.
        """
        sections = settings.read(self.folder / paths.PARAMS)
        return [name for name, stage in self.stages.items() if self._has_drifted(stage, sections)]

    def _has_drifted(self, stage: Stage, sections: Mapping[str, Any]) -> bool:
        ours = {path: digest for path, digest in {**stage.deps, **stage.outs}.items() if _is_in_git(path)}
        return any(sections.get(name) != values for name, values in stage.params.items()) or any(
            hashlib.md5((self.folder / path).read_bytes(), usedforsecurity=False).hexdigest() != digest
            for path, digest in ours.items()
            if (self.folder / path).is_file()
        )


def _is_in_git(path: str) -> bool:
    """Tell whether a file of a stage is in git: code and numbers are, and the rest of data and models is not."""
    return Path(path).parts[0] not in ("data", "models") or Path(path).is_relative_to(paths.METRICS)


def keep(run: tracking.Run) -> None:
    """Keep with a run in MLflow what a comparison reads of the build that lies here."""
    for path in (*KEPT, *(paths.metrics(stage.name) for stage in dag.stages())):
        if path.exists():
            run.artifact(path, (FOLDER / path).parent.as_posix())


def git(*words: str) -> str:
    """Return what git prints; ValueError with its own words where it fails."""
    asked = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise ValueError(f"git {words[0]} failed: {asked.stderr.strip()}")
    return asked.stdout.strip()


@contextmanager
def opened(name: str) -> Iterator[Build]:
    """Yield the build that a name means, its files there for the time of the block.

    The name is `workspace`, what git or `dvc exp show` calls a commit, or id or name of a `build` run in MLflow.

    Raises ValueError for a name that means nothing, for a commit without a build, and where DVC has lost its outputs.
    """
    if name == WORKSPACE:
        commit = None if git("status", "--porcelain") else git("rev-parse", "HEAD")
        yield _build(name, "what lies here", Path(), commit)
        return
    with tempfile.TemporaryDirectory(prefix="build-") as temporary:
        folder = Path(temporary)
        if commit := _commit(name):
            _unpack(commit, folder)
            build = _build(name, f"commit {commit[:10]}", folder, commit)
            _fetch(build)
            yield build
        elif run := tracking.fetch(name, str(FOLDER), folder):
            build = _build(name, f"MLflow run {run}", folder / FOLDER, None)
            yield replace(build, stages={stage: its for stage, its in build.stages.items() if stage != REPORT})
        else:
            raise ValueError(
                f"{name} is no revision of git, no experiment of DVC and no run in MLflow; "
                f"see git log, dvc exp show, or make ui; what lies here is called {WORKSPACE}"
            )


def _build(name: str, origin: str, folder: Path, commit: str | None) -> Build:
    if not (folder / paths.LOCK).is_file():
        raise ValueError(f"{name} has no {paths.LOCK}: nothing was built there; run make repro in it, and commit that")
    if not (folder / paths.metrics(REPORT)).is_file():
        raise ValueError(f"{name} has no {paths.metrics(REPORT)}: no build was finished there; run make repro in it")
    locked = YAML(typ="safe", pure=True).load((folder / paths.LOCK).read_text(encoding="utf-8"))["stages"]
    stages = {stage: _stage(block) for stage, block in locked.items()}
    return Build(name, origin, folder, stages, commit)


def _stage(block: Mapping[str, Any]) -> Stage:
    def digests(field: str) -> dict[str, str]:
        return {each["path"]: each["md5"] for each in block.get(field, [])}

    return Stage(block.get("params", {}).get(str(paths.PARAMS), {}), digests("deps"), digests("outs"))


def _commit(name: str) -> str | None:
    """Return the commit that git or DVC's experiments call so, None where neither does."""
    from dvc.repo import Repo  # late: half a second that the other commands' help need not wait for
    from dvc.scm import RevError, resolve_rev

    git("rev-parse", "--git-dir")  # says so where there is no git
    with Repo() as repo:
        try:
            return str(resolve_rev(repo.scm, name))
        except RevError as error:
            if "ambiguous" in str(error):
                raise ValueError(
                    f"several experiments are named {name}; name one by its commit (dvc exp show)"
                ) from None
            return None


def _unpack(commit: str, folder: Path) -> None:
    """Write all that git has of the project at a commit into a folder."""
    packed = subprocess.run(["git", "archive", commit], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 knows none
        archive.extractall(folder)  # noqa: S202  # filtered as said, and made by git


def _fetch(build: Build) -> None:
    """Write the outputs that a comparison reads into a build's folder, from DVC's cache or its remote."""
    from dvc.api import DVCFileSystem
    from dvc_data.index import DataIndexDirError

    made = {Path(path) for stage in build.stages.values() for path in stage.outs}
    files = DVCFileSystem(".", rev=build.commit)
    for path in OUTPUTS:
        if made.isdisjoint((path, *path.parents)):
            continue
        (build.folder / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            if path.name not in {Path(each).name for each in files.ls(path.parent.as_posix(), detail=False)}:
                continue  # built before there was such a file
            files.get_file(path.as_posix(), str(build.folder / path))
        except (FileNotFoundError, DataIndexDirError):  # the file is lost, or what was in its folder
            raise ValueError(
                f"{build.name}: {path} is neither in DVC's cache nor in its remote; "
                f"git checkout {build.name}, then dvc pull, or make repro"
            ) from None
