"""The same build with other seeds, kept as DVC experiments: what chance alone makes of each headline number."""

import json
import logging
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import paths, processes
from pipeline.comparison.builds import REPORT, Build, git

DVC = (sys.executable, "-m", "dvc")

log = logging.getLogger(__name__)


def drawn(build: Build, step: int) -> dict[str, int]:
    """Return other seeds for all that is trained: those of the build, `step` higher.

    A section trains where it has steps to take and a seed. The seeds that draw splits, tasks and resamples stay, so
    that every run is asked the same records.
    """
    sections = {name: each for stage in build.stages.values() for name, each in stage.params.items()}
    return {f"{name}.seed": its["seed"] + step for name, its in sections.items() if _trains(its)}


def known(build: Build, count: int) -> list[dict[str, float]]:
    """Return the headline numbers of the runs with other seeds that there are, of the first `count`."""
    found = [_ref(build, step) for step in range(1, count + 1)]
    return [_numbers(ref) for ref in found if ref]


def missing(build: Build, count: int) -> list[int]:
    """Return which of the first `count` runs with other seeds there are not yet.

    Raises ValueError for a build that is no commit, and one that trains nothing.
    """
    if build.commit is None:
        raise ValueError(
            f"{build.name} is no commit, so it cannot be run with other seeds; "
            "git commit first, or dvc exp save --name NAME, and name that"
        )
    if not drawn(build, 1):
        raise ValueError(f"{build.name} trains nothing with a seed: no stage has both a seed and max_steps")
    return [step for step in range(1, count + 1) if _ref(build, step) is None]


def run(build: Build, count: int) -> None:
    """Run what there is not yet of `count` builds with other seeds, each kept as an experiment upon the build's commit.

    They run one after the other in a clone below `.work`, with this project's cache: this workspace stays as it is, and
    stages that do not depend on a seed are not run. Stopped, the next call goes on.

    Raises ValueError as `missing` does, and where a run fails.
    """
    steps = missing(build, count)
    if not steps:
        return
    clone = _cloned(build)
    for step in steps:
        seeds = drawn(build, step)
        log.info("%s with other seeds, %d of %d: %s", build.name, step, count, _shown(seeds))
        settings = [word for name, seed in seeds.items() for word in ("--set-param", f"{name}={seed}")]
        _dvc(clone, "exp", "run", "--quiet", "--name", _name(build, step), *settings)
        ref = _full_name(build, step)
        git("fetch", "--quiet", str(clone), f"{ref}:{ref}")
    shutil.rmtree(_top(build))


def _trains(section: Any) -> bool:
    return isinstance(section, Mapping) and {"seed", "max_steps"} <= section.keys()


def _shown(seeds: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {seed}" for name, seed in seeds.items())


def _name(build: Build, step: int) -> str:
    return f"compare-{str(build.commit)[:7]}-seeds-{step}"


def _full_name(build: Build, step: int) -> str:
    """Return where DVC keeps an experiment: below the commit that it was made upon."""
    commit = str(build.commit)
    return f"refs/exps/{commit[:2]}/{commit[2:]}/{_name(build, step)}"


def _ref(build: Build, step: int) -> str | None:
    """Return the commit of an experiment, None where it has not been run."""
    return git("for-each-ref", "--format=%(objectname)", _full_name(build, step)) or None


def _numbers(commit: str) -> dict[str, float]:
    found = json.loads(git("show", f"{commit}:./{paths.metrics(REPORT).as_posix()}"))
    return {name: float(value) for name, value in found.items()}


def _top(build: Build) -> Path:
    return paths.OTHER_SEEDS.resolve() / str(build.commit)[:12]


def _cloned(build: Build) -> Path:
    """Return the project's folder in a clone at the build's commit, its outputs there; one that was left is used."""
    top = _top(build)
    folder = top / git("rev-parse", "--show-prefix")
    if not (folder / ".dvc" / "config.local").is_file():
        shutil.rmtree(top, ignore_errors=True)
        identity = {key: git("config", "--default", "", "--get", key) for key in ("user.name", "user.email")}
        set_so = [f"--config={key}={value}" for key, value in identity.items() if value]
        git("clone", "--quiet", "--shared", "--no-checkout", *set_so, git("rev-parse", "--show-toplevel"), str(top))
        git("-C", str(top), "checkout", "--quiet", "--detach", str(build.commit))
        _share_cache(folder)
    _dvc(folder, "checkout", "--quiet")
    return folder


def _share_cache(folder: Path) -> None:
    """Have a clone use this project's cache, its remotes and what else is set for this machine alone."""
    from dvc.repo import Repo

    with Repo() as repo:
        cache, ours = repo.cache.local_cache_dir, Path(repo.local_dvc_dir) / "config.local"
    if ours.is_file():
        shutil.copy(ours, folder / ".dvc" / "config.local")
    _dvc(folder, "cache", "dir", "--quiet", "--local", str(cache))


def _dvc(folder: Path, *words: str) -> None:
    if processes.run([*DVC, "--cd", str(folder), *words]) != 0:
        raise ValueError(f"dvc {' '.join(words[:2])} failed in {folder}, as it says above; what was done there is kept")
