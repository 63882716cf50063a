"""Rebuild what is stale: `dvc repro` with one local Prefect server up for all of its stages."""

import argparse
import json
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from pipeline import outside, processes, stages

log = logging.getLogger(__name__)

DVC = (sys.executable, "-m", "dvc")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what is asked for most; for the rest of its options there is `dvc repro` itself."""
    parser.add_argument("targets", nargs="*", metavar="stage", help="a stage to rebuild, with those before it")
    parser.add_argument("-f", "--force", action="store_true", help="rebuild, stale or not")
    parser.add_argument("-s", "--single-item", action="store_true", help="rebuild only the stages named")


def run(arguments: argparse.Namespace) -> int:
    """Run `dvc repro`; no server is started where nothing is stale, no stage where a setting is wrong."""
    outside.note()
    flags = {"--force": arguments.force, "--single-item": arguments.single_item}
    command = [*DVC, "repro", *(flag for flag, is_given in flags.items() if is_given), *arguments.targets]
    with ThreadPoolExecutor(1) as asker:
        asked = asker.submit(stale, arguments.targets)
        from pipeline.orchestration import server  # late, and meanwhile: each takes two seconds
    changed = asked.result()
    if not changed and not arguments.force:
        return processes.run(command)
    # The server comes up while the settings are read and the first stage imports what it needs: each takes seconds.
    with server(is_awaited=False) as address:
        stages.check_settings(changed)
        log.info("Prefect at %s", address)
        return processes.run(command)


def stale(targets: list[str]) -> list[str]:
    """Return the stages of the graph that are not what the record says, in running order; their followers not yet.

    Raises ValueError where DVC cannot tell.
    """
    asked = subprocess.run([*DVC, "status", "--json", *targets], capture_output=True, text=True, check=False)
    if asked.returncode != 0:
        raise ValueError(f"dvc status failed: {asked.stderr.strip().removeprefix('ERROR: ')}")
    return list(json.loads(asked.stdout))
