"""What the three training stages share: the loop with its evaluations and its states, and the curve."""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from components.gpt import checkpoint
from components.training import loop, optimizer, state
from components.training.evaluation import mean_loss
from components.training.loop import NonFiniteLoss, Step, TrainingSettings
from components.training.losses import Batch, Loss
from components.training.state import Row
from pipeline import machine, tracking
from pipeline.heartbeat import heartbeat
from pipeline.stopping import asked_to_stop

log = logging.getLogger(__name__)

READ_EVERY = 16  # steps between two looks at the losses: each makes the processor wait for the device
TRACK_EVERY_S = 10


class Batches(Protocol):
    """Training batches, any of which can be asked for."""

    def __call__(self, index: int) -> Batch:
        """Return batch `index`, from 0."""

    def chosen(self, index: int) -> list[int]:
        """Return the numbers of the rows in batch `index`."""


def fit(
    model: nn.Module,
    batches: Batches,
    loss: Loss,
    how: TrainingSettings,
    evaluation: Callable[[], Iterable[Batch]],
    folder: Path,
) -> list[Row]:
    """Train a model in place and return its curve: a row per step, with the validation loss where it was evaluated.

    Columns: `step`, `training_loss` (nats, of the step's batch before its update), `learning_rate`, `gradient_norm`
    and, every `evaluate_every` steps and after the last, `validation_loss` (nats).

    The state is kept in `folder` (whose name stands for data and settings): before each evaluation, every so many steps
    and minutes (`machine.save_every`), and when the process is asked to stop. A run that finds a state there goes on
    from it, and ends with the same weights and the same curve, byte for byte, as one that was never stopped.

    Raises NonFiniteLoss, naming step and rows; the curve and the last state end before it.
    """
    device = torch.device(machine.device())
    model.to(device)
    run = _Fit(model, optimizer.make(model, how.optimizer), folder)
    run.restore()

    def evaluate_if_due() -> None:
        if run.curve and how.is_evaluated(len(run.curve) - 1) and "validation_loss" not in run.curve[-1]:
            run.curve[-1]["validation_loss"] = mean_loss(model, evaluation(), loss, device=device).value
            log.info("%s, validation loss %.3f nats", _words(run.curve, how), run.curve[-1]["validation_loss"])

    evaluate_if_due()
    steps = loop.train(model, batches, loss, how, device=device, optimizers=run.optimizers, first_step=len(run.curve))
    with asked_to_stop() as asked, heartbeat() as beat:
        try:
            for step in steps:
                run.unread.append(step)
                is_saved = how.is_evaluated(step.step) or run.is_save_due(step.step) or asked()
                if is_saved or len(run.unread) == READ_EVERY:
                    run.read()
                    beat(_words(run.curve, how))
                if is_saved:
                    run.save()
                    if asked():
                        break
                    evaluate_if_due()
                run.track()
        except NonFiniteLoss as error:
            run.read(error.step)
            run.track(last=True)
            rows = [row for index in error.batches for row in batches.chosen(index)]
            raise ValueError(f"{error}; the rows of its batches: {', '.join(map(str, rows))}") from error
    run.track(last=True)
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

    def restore(self) -> None:
        """Go on from the newest state that is whole."""
        found = state.restore(self.folder, self.model, self.optimizers, self.folder.name)
        for words in found.skipped:
            log.warning("skipped %s", words)
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
        """Tell whether steps or minutes enough have passed."""
        is_late = time.monotonic() - self._saved_at >= 60 * self._save_minutes
        return (step + 1) % self._save_steps == 0 or is_late

    def save(self) -> None:
        """Keep the state."""
        state.save(self.folder, self.model, self.optimizers, self.curve, self.folder.name)
        self._saved_at = time.monotonic()

    def track(self, *, last: bool = False) -> None:
        """Log the rows that are not logged yet, now and then; the newest may still get its validation loss."""
        if last or time.monotonic() - self._tracked_at >= TRACK_EVERY_S:
            tracking.points(self.curve[self._tracked :])
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
