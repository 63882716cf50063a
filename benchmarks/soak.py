"""Trainings killed at random moments, each of which must end as if it had never been killed.

    python -m benchmarks.soak --moments 200
    python -m benchmarks.soak --moments 200 --processes 2

Runs the training task of pretrain, finetune_classifier and finetune_instructions on the project's own data with a small
model and few steps, in a process that is killed (SIGKILL) after a random while, and started again until it ends; then
compares weights and curve, byte for byte, with those of a run that was left alone. Where several processes share a
training, one of them or their launcher is killed. Prints Markdown; exits 1 where a byte differs. Run it in the
project's root after `make repro`; it works in a temporary folder.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import chdir, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
import torch._dynamo  # which an optimizer's first step imports: a second, to be spent once, before the processes part

from pipeline import children, dag, paths, settings, stages

TRAINING: dict[str, Any] = {"max_steps": 12, "batch_size": 4, "evaluate_every": 5, "evaluate_batches": 2}
SMALL: dict[str, dict[str, Any]] = {
    "pretrain": {"model": {"emb_dim": 32, "n_heads": 2, "n_layers": 2}},
    "finetune_classifier": {},
    "finetune_instructions": {},
}
SAVE_STEPS = "3"

Environment = dict[str, str]
"""Variables of a training's process, beside those of this one."""


@dataclass
class Trial:
    """What happened to the trainings of one stage."""

    stage: str
    runs: int = 0
    """Trainings brought to their end."""
    different: int = 0
    """Of them those that ended with other bytes."""
    moments: Counter[str] = field(default_factory=Counter)
    """Kills by what the training was at."""


def main(words: list[str]) -> int:
    """Kill, compare, print the table and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--moments", type=int, default=200, help="kills of each stage (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments (default 1)")
    parser.add_argument("--processes", type=int, default=1, help="that share a training (default 1)")
    parser.add_argument("--stages", nargs="+", choices=list(SMALL), default=list(SMALL), metavar="STAGE")
    arguments = parser.parse_args(words)
    torch.set_num_threads(1)  # processes are forked from this one
    children.START_METHOD = "fork"  # this process has one thread and no GPU, and imports take longer than trainings
    environment = {"PIPELINE_PROCESSES": str(arguments.processes), "PIPELINE_SAVE_STEPS": SAVE_STEPS}
    with tempfile.TemporaryDirectory() as temporary:
        project = copied(Path.cwd(), Path(temporary) / "project")
        draw = random.Random(arguments.seed)
        with chdir(project):
            trials = [killed(stage, arguments.moments, draw, environment) for stage in arguments.stages]
    print(table(trials))
    return int(any(trial.different for trial in trials))


def copied(project: Path, target: Path) -> Path:
    """Return a copy of what the trainings read, with settings that make them short."""
    target.mkdir()
    for file in (paths.GRAPH, paths.CONSTRAINTS):
        shutil.copy(project / file, target)
    for folder in ("components", "pipeline"):
        (target / folder).symlink_to(project / folder)
    for path in (
        paths.RAW_WEIGHTS,
        paths.SHARDS,
        paths.TOKENIZER,
        paths.CLASSIFICATION,
        paths.INSTRUCTIONS,
        paths.BASE,
    ):
        shutil.copytree(project / path, target / path)
    sections = settings.read(project / paths.PARAMS)
    for stage, changes in SMALL.items():
        sections[stage] = sections[stage] | TRAINING | changes
        sections[stage]["schedule"] = sections[stage]["schedule"] | {"warmup_steps": 2}
        if stage == "pretrain":
            sections[stage]["model"] = settings.read(project / paths.PARAMS)[stage]["model"] | changes["model"]
    (target / paths.PARAMS).write_text(json.dumps(sections), encoding="utf-8")  # JSON is YAML
    return target


def killed(stage: str, moments: int, draw: random.Random, environment: Environment) -> Trial:
    """Kill a stage's training as often as asked and compare each that was brought to its end."""
    train(stage, environment)  # whatever is read for the first time is read now
    started = time.monotonic()
    assert train(stage, environment), f"{stage} fails when it is left alone"
    longest_s = time.monotonic() - started
    expected, trial = made(stage), Trial(stage)
    while sum(trial.moments.values()) < moments:
        began = time.time()
        if train(stage, environment, kill_after_s=draw.uniform(0.0, longest_s), victim=draw.random()):
            trial.runs += 1
            trial.different += made(stage) != expected
        else:
            trial.moments[moment(began)] += 1
    assert train(stage, environment), f"{stage} fails when it goes on"
    trial.runs += 1
    trial.different += made(stage) != expected
    return trial


def train(stage: str, environment: Environment, kill_after_s: float | None = None, victim: float = 0.0) -> bool:
    """Run a stage's training task in a process of its own; return False where that was killed before its end.

    `victim`, 0..1, says which of it and its own processes is killed.
    """
    flow = stages.find(stage)
    how = settings.arguments(flow, settings.read())[stage]
    task = sys.modules[f"pipeline.stages.{stage}"].train.fn  # as a plain function, without Prefect around it
    if (child := os.fork()) == 0:
        status = 1
        os.environ.update(environment)  # the child's own: a fork is given its variables so
        try:
            task(how)
            status = 0
        finally:
            os._exit(status)
    if kill_after_s is not None:
        until = time.monotonic() + kill_after_s
        while time.monotonic() < until and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        family = [psutil.Process(child), *psutil.Process(child).children()]
        killed = family[int(victim * len(family))]
        with suppress(psutil.NoSuchProcess):
            killed.kill()
        _, alive = psutil.wait_procs(family[1:], timeout=60)
        assert not alive, f"{stage} left processes behind"
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL) or kill_after_s is not None, f"{stage} failed by itself"
    return status == 0


def moment(began: float) -> str:
    """Return what the training that was begun at a time and just killed was at, as far as its folders tell."""
    folders = [each for each in paths.WORK.iterdir() if each.is_dir()] if paths.WORK.exists() else []
    states = [each for folder in folders for each in folder.iterdir() if each.is_dir()]
    if any(each.name.startswith(".step-") for each in states):
        return "in a save"
    if any(each.stat().st_mtime >= began for each in paths.BASE.parent.glob(".*.partial")):
        return "writing the model"
    return "between saves" if states else "before the first save"


def made(stage: str) -> dict[str, bytes]:
    """Return the bytes that a stage's training has written."""
    described = next(each for each in dag.stages() if each.name == stage)
    models = [out for out in described.outs if out.parts[0] == "models"]
    files = [file for model in models for file in sorted(model.iterdir())] + [paths.curve(stage)]
    return {file.as_posix(): file.read_bytes() for file in files}


def table(trials: list[Trial]) -> str:
    """Return the trials as Markdown."""
    names = sorted({name for trial in trials for name in trial.moments})
    head = ["stage", *(f"killed {name}" for name in names), "brought to the end", "with other bytes"]
    rows = [
        [trial.stage, *(str(trial.moments[name]) for name in names), str(trial.runs), str(trial.different)]
        for trial in trials
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
