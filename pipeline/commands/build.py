"""The whole build as one Prefect flow that walks `dvc.yaml`: each stage by `dvc repro --single-item`, in its order."""

import argparse
import sys

from pipeline import dag, outside, processes, stages
from pipeline.orchestration import io, server, stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what the flow takes."""
    parser.add_argument("--force", action="store_true", help="run each stage, stale or not")


def run(arguments: argparse.Namespace) -> int:
    """Run the flow on the project's server, or on a new one for this time."""
    with server():
        build(force=arguments.force)
    return 0


@stage
def build(force: bool = False) -> None:
    """Bring every stage up to date; the first that fails ends the build, a wrong setting of any before it begins."""
    graph = dag.stages()
    outside.note()
    stages.check_settings([each.name for each in graph])
    for each in graph:
        reproduce.with_options(name=each.name)(each.name, force)  # type: ignore[attr-defined]  # a Task


@io
def reproduce(name: str, force: bool) -> None:
    """Bring one stage up to date.

    Raises ValueError where it fails; what went wrong it has said itself.
    """
    command = [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), name]
    if status := processes.run(command):
        raise ValueError(f"stage {name} failed with status {status}; its own words stand above")
