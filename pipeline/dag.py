"""`dvc.yaml` read: the stages in running order, what each reads and makes, and the key of its work in progress."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import machine, paths


@dataclass(frozen=True)
class Stage:
    """One stage of the graph: its command, the params sections, files read and files made."""

    name: str
    command: str
    params: tuple[str, ...]
    deps: tuple[Path, ...]
    outs: tuple[Path, ...]
    metrics: tuple[Path, ...]
    plots: tuple[Path, ...]

    @property
    def inputs(self) -> tuple[Path, ...]:
        """The data that the stage reads: its dependencies less the code."""
        return tuple(path for path in self.deps if path.parts[0] in ("data", "models"))

    @property
    def products(self) -> tuple[Path, ...]:
        """All that the stage makes."""
        return self.outs + self.metrics + self.plots


def stages(graph: Path = paths.GRAPH) -> list[Stage]:
    """Return the stages of `dvc.yaml`, each after those whose products it reads, else in the file's order.

    Raises ValueError where stages wait for each other.
    """
    described = YAML(typ="safe", pure=True).load(graph.read_text(encoding="utf-8"))["stages"]
    waiting = [_stage(name, block) for name, block in described.items()]
    before = parents(waiting)
    ordered: list[Stage] = []
    while waiting:
        left = {stage.name for stage in waiting}
        ready = next((stage for stage in waiting if left.isdisjoint(before[stage.name])), None)
        if ready is None:
            raise ValueError(f"{graph}: the stages {', '.join(sorted(left))} wait for each other")
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def parents(known: Iterable[Stage]) -> dict[str, list[str]]:
    """Return for each stage the stages whose products it reads, in the order given."""
    every = list(known)
    return {
        stage.name: [other.name for other in every if any(_reads(stage, made) for made in other.products)]
        for stage in every
    }


def hashes(files: Iterable[Path]) -> dict[str, str]:
    """Return the sha256 of each file or folder that exists, by its path; a folder's is that of its files' list."""
    return {path.as_posix(): _sha256(path) for path in files if path.exists()}


def facts(stage: Stage, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that a stage's bytes depend on: params, data, code, first weights, machine and versions."""
    given = {name: sections.get(name) for name in stage.params}
    starts = [each["start_from"] for each in given.values() if isinstance(each, Mapping) and "start_from" in each]
    return {
        "stage": stage.name,
        "params": given,
        "deps": hashes(stage.deps),
        "first_weights": hashes(Path(start) for start in starts if Path(start).is_dir()),
        "machine": machine.description(),
        "versions": machine.versions(),
    }


def key(facts: Mapping[str, Any]) -> str:
    """Return the name of a stage's folder in `.work`: equal only where the facts are."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def _reads(stage: Stage, made: Path) -> bool:
    return any(_holds(dep, made) or _holds(made, dep) for dep in stage.deps)


def _holds(folder: Path, path: Path) -> bool:
    """Tell whether a path is the folder or lies in it."""
    return path.parts[: len(folder.parts)] == folder.parts


def _stage(name: str, block: Mapping[str, Any]) -> Stage:
    def listed(field: str) -> tuple[Path, ...]:
        return tuple(Path(next(iter(each)) if isinstance(each, dict) else each) for each in block.get(field, []))

    return Stage(
        name=name,
        command=block["cmd"],
        params=tuple(block.get("params", [])),
        deps=listed("deps"),
        outs=listed("outs"),
        metrics=listed("metrics"),
        plots=listed("plots"),
    )


def _sha256(path: Path) -> str:
    if path.is_dir():
        files = sorted(each for each in path.rglob("*") if each.is_file())
        listing = [f"{each.relative_to(path).as_posix()} {_sha256(each)}" for each in files]
        return hashlib.sha256("\n".join(listing).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
