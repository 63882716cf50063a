"""What the training stages share: the loop with its evaluations and its states, and the curve."""

import logging
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from components.gpt import checkpoint
from components.training import distributed, loop, optimizer, state
from components.training.distributed import Objective, objective_loss
from components.training.evaluation import mean_loss
from components.training.loop import NonFiniteLoss, Step, TrainingSettings
from components.training.losses import Batch, Loss
from components.training.state import Row
from pipeline import launch, machine
from pipeline.heartbeat import heartbeat
from pipeline.selection import LAST, Selection
from pipeline.stopping import asked_to_stop

log = logging.getLogger(__name__)

READ_EVERY = 16  # steps between two looks at the losses: each makes the processor wait for the device
TRACK_EVERY_S = 10


class Batches(Protocol):
    """Training batches, any of which can be asked for."""

    def __call__(self, index: int) -> Batch:
        """Return batch `index`, from 0."""

    def chosen(self, index: int) -> list[int]:
        """Return the numbers, from 0, of what batch `index` holds, in the order in which it was handed over."""


@contextmanager
def in_section(name: str) -> Iterator[None]:
    """Put a section's name before what is said of one of its settings, by what does not know whose it is.

    For making batches: `batch_size is 8; expected 1..5` becomes `prefer.batch_size is 8; expected 1..5`.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}.{error}") from error


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    how: TrainingSettings,
    evaluation: Callable[[], Iterable[Batch]],
    folder: Path,
    selection: Selection = LAST,
) -> list[Row]:
    """Train a model in place and return its curve: a row per step, with the validation loss where it was evaluated.

    Columns: `step`, `training_loss` (nats, of the step's batch before its update), `learning_rate`, `gradient_norm`
    and, every `evaluate_every` steps and after the last, `validation_loss` (nats).

    The state is kept in `folder` (whose name stands for data and settings): before each evaluation, every so many steps
    and minutes (`machine.save_every`), and when the process is asked to stop; asked twice it waits for no more than the
    state that is being written. A run that finds a state there goes on from it, and ends with the same weights and the
    same curve, byte for byte, as one that was never stopped.

    `selection` may end the training early, and may leave the weights of the lowest validation loss instead of the last.

    In several processes (`launch.run`) each calls this with the same arguments; all stop where one is asked to, and
    only in the first it returns: the others are then done.

    Raises ValueError for a loss that is not finite, naming step and rows; the curve and the last state end before it.
    Raises OSError where the disk takes no more states: at the next save, evaluation or end.
    """
    device = torch.device(machine.device())
    objective = distributed.shard(model, loss, device) if machine.is_sharded() else Objective(model.to(device), loss)
    run = _Fit(objective.model, optimizer.make(objective.model, how.optimizer), folder)
    run.restore()
    is_first = distributed.rank() == 0

    def evaluate_if_due() -> None:
        if run.curve and how.is_evaluated(len(run.curve) - 1) and "validation_loss" not in run.curve[-1]:
            run.settle()  # who kills an evaluation loses no step
            run.curve[-1]["validation_loss"] = mean_loss(objective, evaluation(), objective_loss, device=device).value
            log.info("%s, validation loss %.3f nats", _words(run.curve, how), run.curve[-1]["validation_loss"])
            if selection.keep == "best" and selection.kept(run.curve) == len(run.curve) - 1 and is_first:
                state.keep(folder, len(run.curve))

    evaluate_if_due()
    first_step, is_asked = len(run.curve), False
    if selection.is_over(run.curve):  # it was killed between its last evaluation and its end
        first_step = how.max_steps
    steps = loop.train(
        objective, batches, objective_loss, how, device=device, optimizers=run.optimizers, first_step=first_step
    )
    with asked_to_stop() as asked, heartbeat() as beat, closing(run):
        try:
            for step in steps:
                run.unread.append(step)
                beat(f"step {step.step + 1} of {how.max_steps}")
                is_asked, is_late = distributed.any_of(asked() or launch.is_asked_to_stop(), run.is_save_late())
                is_saved = how.is_evaluated(step.step) or run.is_save_due(step.step) or is_late or is_asked
                if is_saved or len(run.unread) == READ_EVERY:
                    run.read()
                if is_saved:
                    run.save()
                    if is_asked:
                        run.settle()
                        log.info("stopped after step %d; its state is kept", len(run.curve))
                        break
                    evaluate_if_due()
                    if selection.is_over(run.curve):
                        log.info("stopped early: no lower validation loss in %s evaluations", selection.patience)
                        break
                run.track()
            run.settle()
        except NonFiniteLoss as error:
            run.read(error.step)
            run.track(last=True)
            rows = [row for index in error.batches for row in batches.chosen(index)]
            raise ValueError(f"{error}; the rows of its batches, from 0: {', '.join(map(str, rows))}") from error
    if is_asked:  # in another process; the signal to this one has acted
        raise SystemExit(128 + signal.SIGTERM)
    run.track(last=True)
    distributed.gather(objective, model)
    launch.leave_to_the_first()
    if (kept := selection.kept(run.curve)) < len(run.curve) - 1:
        state.take_kept(folder, kept + 1, model, folder.name)
        log.info("kept are the weights after step %d, of the lowest validation loss", kept + 1)
    return run.curve


class _Fit:
    """A training under way: what it is, how far it is, what of it is saved and tracked."""

    def __init__(self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], folder: Path) -> None:
        self.model, self.optimizers, self.folder = model, optimizers, folder
        self.curve: list[Row] = []
        self.unread: list[Step] = []
        self._tracked = 0
        self._tracked_at = self._saved_at = time.monotonic()
        self._save_steps, self._save_minutes = machine.save_every()
        self._thread = ThreadPoolExecutor(1, "states")
        self._saving: Future[Path] | None = None

    def restore(self) -> None:
        """Go on from the newest state that is whole.

        Raises OSError where processes find different ones.
        """
        found = state.restore(self.folder, self.model, self.optimizers, self.folder.name)
        for words in found.skipped:
            log.warning("skipped %s", words)
        if not distributed.is_same(len(found.rows)):
            raise OSError(f"{self.folder}: the processes read different states; expected one disk for all")
        self.curve = found.rows
        if self.curve:
            log.info("going on after step %d", len(self.curve))

    def read(self, end: int | None = None) -> None:
        """Take the steps made, those before step `end`, into the curve; this waits for the device."""
        if end is None:
            loop.check(self.unread)
        steps = [step for step in self.unread if end is None or step.step < end]
        self.unread.clear()
        if steps:
            losses = torch.stack([step.loss for step in steps]).tolist()
            norms = torch.stack([step.gradient_norm for step in steps]).tolist()
            for step, loss, norm in zip(steps, losses, norms, strict=True):
                row = {"step": step.step, "training_loss": loss, "learning_rate": step.learning_rate}
                self.curve.append({**row, "gradient_norm": norm})

    def is_save_due(self, step: int) -> bool:
        """Tell whether steps enough have passed."""
        return (step + 1) % self._save_steps == 0

    def is_save_late(self) -> bool:
        """Tell whether minutes enough have passed."""
        return time.monotonic() - self._saved_at >= 60 * self._save_minutes

    def save(self) -> None:
        """Copy the state; it is written while the training goes on."""
        self.settle()
        write = state.begin(self.folder, self.model, self.optimizers, self.curve, self.folder.name)
        self._saving, self._saved_at = self._thread.submit(write), time.monotonic()

    def settle(self) -> None:
        """Wait until the state last saved is written. Raises OSError if the disk took no more."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def close(self) -> None:
        """Wait until nothing is written any more; after another error that of the writing is only logged."""
        self._thread.shutdown()
        if self._saving is not None and (error := self._saving.exception()):
            log.error("the last state is not kept: %s", error)

    def track(self, *, last: bool = False) -> None:
        """Log the rows that are not logged yet, now and then; the newest may still get its validation loss."""
        if last or time.monotonic() - self._tracked_at >= TRACK_EVERY_S:
            launch.points(self.curve[self._tracked :])
            self._tracked, self._tracked_at = len(self.curve), time.monotonic()


def facts(curve: Sequence[Row], weights: Path) -> dict[str, float | int | str]:
    """Return what is recorded of every training: steps, last losses, the hash of the weights and the machine.

    Without a step there are no losses.
    """
    names = ("training_loss", "validation_loss")
    last = {name: row[name] for row in curve for name in names if name in row}
    return {"steps": len(curve), **last, "weights_sha256": checkpoint.sha256(weights), **machine.description()}


def _words(curve: Sequence[Row], how: TrainingSettings) -> str:
    return f"step {len(curve)} of {how.max_steps}: training loss {curve[-1]['training_loss']:.3f}"
