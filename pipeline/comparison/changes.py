"""What two builds were made from, held side by side: only what differs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import paths
from pipeline.comparison.builds import REPORT, Build

ABSENT = "-"
INPUTS = ("raw", "tokenizer", "tokens", "shards", "tasks")  # the folders of data that models are made from and asked of
MACHINE = ("system", "device", "threads", "cpu_capability", "processor", "processes", "sharded", "ray")
DIGITS = 12  # shown of a hash


@dataclass(frozen=True)
class Change:
    """One thing that differs."""

    kind: str
    """"params", "data", "weights", "code", "versions" or "machine"."""
    name: str
    a: str
    """In A; "-" where it has none."""
    b: str
    """In B."""


KINDS = ("params", "data", "weights", "code", "versions", "machine")


def between(a: Build, b: Build) -> list[Change]:
    """Return all that differs, by kind in the order of `KINDS`, then as the builds have it.

    What both took for the report is left out where one of them does not know it.
    """
    if not (REPORT in a.stages and REPORT in b.stages):
        a, b = _without_report(a), _without_report(b)
    tables = zip(KINDS, _tables(a), _tables(b), strict=True)
    return [change for kind, ours, theirs in tables for change in _differing(kind, ours, theirs)]


def readers(a: Build, b: Build, path: str) -> list[str]:
    """Return the stages of either build that depend on a file."""
    return [
        name
        for name in dict.fromkeys([*a.stages, *b.stages])
        if any(path in build.stages[name].deps for build in (a, b) if name in build.stages)
    ]


def _without_report(build: Build) -> Build:
    return replace(build, stages={name: stage for name, stage in build.stages.items() if name != REPORT})


def _tables(build: Build) -> Iterator[Mapping[str, str]]:
    """Yield what is compared, by kind in the order of `KINDS`."""
    yield {name: json.dumps(value, ensure_ascii=False, default=str) for name, value in build.params.items()}
    yield dict(_data(build))
    yield dict(_weights(build))
    yield dict(_code(build))
    yield dict(_versions(build.folder))
    yield dict(_machine(build))


def _differing(kind: str, a: Mapping[str, str], b: Mapping[str, str]) -> Iterator[Change]:
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            yield Change(kind, name, a.get(name, ABSENT), b.get(name, ABSENT))


def _data(build: Build) -> Iterator[tuple[str, str]]:
    for stage in build.stages.values():
        for path, digest in stage.outs.items():
            if Path(path).parts[0] == "data" and Path(path).parts[1] in INPUTS:
                yield path, digest[:DIGITS]


def _weights(build: Build) -> Iterator[tuple[str, str]]:
    for name, stage in build.stages.items():
        for path in stage.outs:
            if Path(path).parts[0] == "models":
                yield path, str(build.recorded(name).get("weights_sha256", stage.outs[path]))[:DIGITS]


def _code(build: Build) -> Iterator[tuple[str, str]]:
    for stage in build.stages.values():
        for path, digest in stage.deps.items():
            if Path(path).parts[0] not in ("data", "models") and Path(path) != paths.CONSTRAINTS:
                yield path, digest[:DIGITS]


def _versions(folder: Path) -> Iterator[tuple[str, str]]:
    for path in (paths.INTERPRETER, paths.CONSTRAINTS):
        text = (folder / path).read_text(encoding="utf-8") if (folder / path).is_file() else ""
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, _, version = line.replace("==", " ", 1).partition(" ")
                yield name, version


def _machine(build: Build) -> Iterator[tuple[str, str]]:
    """Yield what the stages have recorded of their machine; where there were several, each once."""
    for fact in MACHINE:
        if found := dict.fromkeys(str(its[fact]) for its in map(build.recorded, build.stages) if fact in its):
            yield fact, ", ".join(found)
