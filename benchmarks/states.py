"""What it costs to keep the state of a training every 100 steps: time and memory.

    python -m benchmarks.states
    python -m benchmarks.states --only default

The default's model as the default trains it, and GPT-2's 124M shape (context 256, batches of 4, AdamW, compiled, under
bfloat16 autocast: the fastest steps, hence the strictest). A save is what it takes of the loop, and by how much the
steps are longer beside which it is written, synced, to the disk of the project; the median of them is held against 100
median steps that nothing runs beside. (A state before an evaluation is waited for; there are none here.) One more
process makes the steps alone, for its memory. Prints Markdown; exits 1 if a save takes more than its share. Takes about
8 minutes on two idle cores, 6 GB of memory and 5 GB of disk. For Linux, on a CPU. Run it in the project's root.
"""

import argparse
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from benchmarks import reporting
from benchmarks.training import CONFIGURATIONS, OURS, RUNGS, training_settings
from components.gpt.model import GPT, GPTConfig
from components.training import state
from components.training.loop import TrainingSettings, train
from components.training.losses import next_token
from components.training.optimizer import make
from pipeline import paths, settings
from pipeline.commands import use
from pipeline.stages.pretrain import PretrainSettings

MOST = 0.03
"""Largest share of the time of `EVERY` steps that a save may take."""
EVERY = 100
"""Steps between two saves, as `PIPELINE_SAVE_STEPS` has it unless told."""
WARM_UP = 3
"""First steps, which count for nothing: they compile, and make what the optimizer remembers."""


@dataclass(frozen=True)
class Case:
    """A model and how it is trained."""

    model: GPTConfig
    how: TrainingSettings


@dataclass(frozen=True)
class Result:
    """What one process measured."""

    steps_s: list[float]
    """Seconds of each step that nothing ran beside."""
    saves_s: list[float]
    """Seconds that each save took of the loop."""
    beside_s: list[list[float]]
    """Seconds of the steps that ran while each save was written."""
    size_bytes: int
    """Bytes of a state on disk; 0 without a save."""
    memory_mib: float
    """Highest resident memory of the process."""


def default() -> Case:
    """Return the default preset's model and training, without an end."""
    sections = settings.sections(use.combined("default"), paths.PRESETS)
    how: PretrainSettings = settings.parse("pretrain", sections["pretrain"], PretrainSettings)
    vocab_size, context_length = sections["tokenize"]["vocab_size"], sections["shard"]["context_length"]
    shape = GPTConfig(vocab_size, context_length, **asdict(how.model))
    return Case(shape, replace(how, max_steps=10**9))


def gpt2_124m() -> Case:
    """Return the 124M shape on the ladder's fastest rung with AdamW, which remembers more than Muon."""
    configuration = CONFIGURATIONS["124M"]
    return Case(configuration.model, training_settings(RUNGS[OURS], configuration.batch_size))


CASES = {"default": default, "124M": gpt2_124m}


def measure(case: Case, steps: int, every: int | None, folder: Path) -> Result:
    """Train for so many steps, and save into `folder` after `every` so many of them, or never."""
    generator = torch.Generator().manual_seed(0)
    shape = (8, case.how.batch_size, case.model.context_length + 1)
    ids = torch.randint(case.model.vocab_size, shape, generator=generator)

    def batches(index: int) -> tuple[Tensor, Tensor]:
        rows = ids[index % len(ids)]
        return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()

    torch.manual_seed(0)
    model = GPT(case.model)
    optimizers = make(model, case.how.optimizer)
    made = train(model, batches, next_token, case.how, device=torch.device("cpu"), optimizers=optimizers)
    rows: list[state.Row] = []
    steps_s: list[float] = []
    saves_s: list[float] = []
    beside_s: list[list[float]] = []
    written: Future[Path] = Future()
    written.set_result(folder)
    is_alone = True
    with ThreadPoolExecutor(1) as thread:
        started = time.perf_counter()
        for step in islice(made, WARM_UP + steps):
            rows.append({"step": step.step, "training_loss": step.loss.item(), "learning_rate": step.learning_rate})
            began = time.perf_counter()
            made_steps = len(rows) - WARM_UP
            if made_steps > 0:
                (steps_s if is_alone else beside_s[-1]).append(began - started)
            if every and made_steps > 0 and made_steps % every == 0:
                written.result()
                written = thread.submit(state.begin(folder, model, optimizers, rows, "benchmark"))
                saves_s.append(time.perf_counter() - began)
                beside_s.append([])
            is_alone = written.done()
            started = time.perf_counter()
    size_bytes = sum(file.stat().st_size for file in written.result().iterdir()) if every else 0
    return Result(steps_s, saves_s, beside_s, size_bytes, reporting.peak_memory_mib())


def measured(case: Case, saves: int, every: int) -> tuple[Result, Result]:
    """Return the results of a training that saves and of as many steps that do not, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    paths.WORK.mkdir(exist_ok=True)  # the disk that states go to
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=paths.WORK) as folder:
        results = []
        steps = (saves + 1) * every - 1  # the last save, too, has steps beside it
        for turns in (every, None):
            with ProcessPoolExecutor(1, context) as process:
                results.append(process.submit(measure, case, steps, turns, Path(folder)).result())
    saving, alone = results
    return saving, alone


def costs_s(saving: Result) -> list[float]:
    """Return the seconds that each save cost in all: of the loop, and by slower steps."""
    step_s = statistics.median(saving.steps_s)
    pairs = zip(saving.saves_s, saving.beside_s, strict=True)
    return [save_s + sum(beside_s) - step_s * len(beside_s) for save_s, beside_s in pairs]


def share(saving: Result) -> float:
    """Return the median cost of a save as a share of `EVERY` median steps."""
    return statistics.median(costs_s(saving)) / (EVERY * statistics.median(saving.steps_s))


def row(name: str, saving: Result, alone: Result) -> str:
    """Return a case's row of the table."""
    cells = [
        name,
        f"{saving.size_bytes / 1e6:,.0f}",
        f"{EVERY * statistics.median(saving.steps_s):,.1f}",
        f"{statistics.median(saving.saves_s):.3f}",
        f"{statistics.median(costs_s(saving)):.3f}",
        f"{min(costs_s(saving)):.3f}..{max(costs_s(saving)):.3f}",
        f"{share(saving):.2%}",
        f"{saving.memory_mib:,.0f}",
        f"{alone.memory_mib:,.0f}",
    ]
    return f"| {' | '.join(cells)} |"


HEAD = f"""\
| | state, MB | {EVERY} steps, s | of the loop, s | in all, s | least..most | of the time | MiB | without |
|---|---|---|---|---|---|---|---|---|"""


def main() -> int:
    """Measure and print; return 1 if a save takes more than its share."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.states", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", choices=CASES, action="append", help="a case; may be repeated")
    parser.add_argument("--saves", type=int, default=7, help="saves that the median is taken of (default 7)")
    parser.add_argument("--every", type=int, default=8, help="steps between two of them (default 8)")
    arguments = parser.parse_args()
    print(f"{reporting.description()}\n\n{HEAD}")
    missed = []
    for name in arguments.only or CASES:
        saving, alone = measured(CASES[name](), arguments.saves, arguments.every)
        print(row(name, saving, alone), flush=True)
        if share(saving) > MOST:
            missed.append(f"{name}: a save takes {share(saving):.2%} of {EVERY} steps; expected at most {MOST:.0%}")
    for failure in missed:
        print(f"missed: {failure}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
