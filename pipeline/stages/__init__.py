"""One module per stage of `dvc.yaml`, of the same name, and the way that a stage is run."""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import asdict
from importlib import import_module

from pipeline import dag, lengths, paths, settings
from pipeline.settings import SettingsError


def find(name: str) -> Callable[..., None]:
    """Return the flow of a stage."""
    found: Callable[..., None] = getattr(import_module(f"{__name__}.{name}"), name)
    return found


def run(name: str) -> None:
    """Run a stage as a Prefect flow with its settings from `params.yaml`, inside its own MLflow run.

    Settings are checked before anything is started; the duration goes to `.work/timings`, on which no stage depends.
    """
    flow = find(name)
    arguments = settings.arguments(flow, settings.read())
    from pipeline import orchestration, tracking  # late: their tools read the environment when they are imported

    described = next(stage for stage in dag.stages() if stage.name == name)
    params = {section: asdict(values) for section, values in arguments.items()}
    started = time.perf_counter()
    with orchestration.connected(), tracking.run(name, params, dag.hashes(described.inputs)) as opened:
        flow(**arguments)
        elapsed_s = time.perf_counter() - started
        opened.metrics([{"elapsed_s": elapsed_s}])
    with paths.whole(paths.timings(name)) as temporary:
        temporary.write_text(json.dumps({"stage": name, "elapsed_s": elapsed_s}) + "\n", encoding="utf-8")


def check_settings(names: Collection[str]) -> None:
    """Check the settings of some stages before the first of them runs, for the last may come hours later.

    Raises SettingsError that names all that is wrong in their sections, each section that no stage reads, and in any
    section what is too long for its model.
    """
    sections = settings.read()
    known = {section for stage in dag.stages() for section in stage.params}
    problems = [f"{section} is the section of no stage" for section in sections if section not in known]
    for name in (stage.name for stage in dag.stages() if stage.name in names and stage.params):
        try:
            settings.arguments(find(name), sections)
        except SettingsError as error:
            problems.append(str(error))
    problems += lengths.problems(sections)
    if problems:
        raise SettingsError("; ".join(problems))
