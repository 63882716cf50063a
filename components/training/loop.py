"""The one training loop, a generator of steps, and the mean loss of a model over batches.

Whoever calls it decides what happens between two steps: evaluate, record, save, or stop. The loop holds nothing but the
model and the optimizers, and asks for each batch by its number, so that a run can go on from any step.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from components.training.losses import Batch, Loss
from components.training.optimizer import OptimizerSettings, make, set_learning_rates
from components.training.schedule import ScheduleSettings, factor


@dataclass(frozen=True)
class TrainingSettings:
    """How long, on how much at once, how exactly, and by which optimizer a model is trained."""

    max_steps: int
    """Updates of the weights; 0 or more; 0 leaves the model as it is."""
    batch_size: int
    """Rows in one batch, the part of a step that is computed at once; 1 or more."""
    accumulate: int
    """Batches whose gradients make one step; 1 or more; a step sees `batch_size * accumulate` rows."""
    clip_norm: float | None
    """Longest gradient of a step, 2-norm over all parameters, above 0; a longer one is shortened; null never does."""
    precision: Literal["float32", "bfloat16"]
    """Number format of the matrix products; weights and optimizer are float32 in both."""
    compile: bool
    """Whether torch.compile translates the model first: seconds at the start, faster steps, needs a C++ compiler."""
    evaluate_every: int
    """Steps between two evaluations, counted from step 0, after its update; 1 or more."""
    evaluate_batches: int | None
    """Batches in one evaluation during training, 1 or more; null takes all there are."""
    optimizer: OptimizerSettings
    """The optimizer and its rates."""
    schedule: ScheduleSettings
    """The course of the learning rate."""
    seed: int
    """Seed of every draw: dropout here; whoever calls draws first weights and the order of the batches; 0 or more."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        least = {
            "max_steps": 0,
            "batch_size": 1,
            "accumulate": 1,
            "evaluate_every": 1,
            "evaluate_batches": 1,
            "seed": 0,
        }
        for field, minimum in least.items():
            value = getattr(self, field)
            if value is not None and value < minimum:
                raise ValueError(f"{field} is {value}; expected {minimum} or more")
        if self.clip_norm is not None and not self.clip_norm > 0.0:
            raise ValueError(f"clip_norm is {self.clip_norm}; expected a number above 0, or null")

    def is_evaluated(self, step: int) -> bool:
        """Return whether an evaluation follows this step: every `evaluate_every` from step 0, and after the last."""
        return step % self.evaluate_every == 0 or step == self.max_steps - 1


@dataclass(frozen=True)
class Step:
    """One update of the weights, just made."""

    step: int
    """Number of the update, counted from 0."""
    loss: Float[Tensor, ""]
    """Mean loss per target before the update, nats."""
    learning_rate: float
    """Learning rate of the update (under muon: of the matrices of the blocks)."""
    gradient_norm: Float[Tensor, ""]
    """2-norm of the gradient of the mean loss over all parameters, before it was clipped."""
    tokens: int
    """Targets that the loss is the mean of."""


@dataclass(frozen=True)
class MeanLoss:
    """The mean loss of a model over some batches."""

    value: float
    """Mean loss per target, nats."""
    count: int
    """Targets that it is the mean of."""


class NonFiniteLoss(ValueError):
    """The loss or its gradient is infinite or not a number; the weights are those of the step before."""


def train(
    model: nn.Module,
    batches: Callable[[int], Batch],
    loss: Loss,
    settings: TrainingSettings,
    *,
    device: torch.device,
    first_step: int = 0,
    optimizers: Sequence[Optimizer] | None = None,
) -> Iterator[Step]:
    """Train `model` in place and yield each step after its update, from `first_step` to `max_steps - 1`.

    Batch j of step s is `batches(s * accumulate + j)`; the loss of a step is the sum over its batches divided by the
    count of all their targets, so that accumulating changes nothing but the memory needed. Dropout is drawn from
    (seed, number of the batch): a step does the same whatever came before it. Together with the state of the
    `optimizers` (None makes them new), the weights and `first_step`, that is all a run needs to go on.

    Moves the model to `device` and puts it into training mode for each step. Between steps torch's global generator
    and its choice of algorithms are as the caller left them; within a step the algorithms are deterministic (on CUDA
    this needs CUBLAS_WORKSPACE_CONFIG set to :4096:8 in the environment).

    Raises NonFiniteLoss, naming the step, before a loss or gradient that is not finite moves the weights.
    """
    model.to(device)
    if optimizers is None:
        optimizers = make(model, settings.optimizer)
    parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    forward = cast(nn.Module, torch.compile(model)) if settings.compile else model
    model.zero_grad(set_to_none=True)
    for step in range(first_step, settings.max_steps):
        share = factor(step, settings.max_steps, settings.schedule)
        set_learning_rates(optimizers, share)
        model.train()
        with _deterministic(), _global_generator_kept(device):
            total, count = _accumulate(forward, batches, loss, settings, step=step, device=device)
            mean = total / count
            gradient_norm = _mean_and_clip(parameters, count, settings.clip_norm)
            if not torch.isfinite(mean + gradient_norm):
                raise NonFiniteLoss(
                    f"step {step}: the loss is {mean.item()} over {count.item()} targets, the norm of its gradient "
                    f"{gradient_norm.item()}; expected finite numbers. The weights are those before this step; "
                    f"look at its data, or lower the learning rate ({settings.optimizer.learning_rate * share:.3g})"
                )
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        yield Step(step, mean, settings.optimizer.learning_rate * share, gradient_norm, int(count.item()))


def mean_loss(model: nn.Module, batches: Iterable[Batch], loss: Loss, *, device: torch.device) -> MeanLoss:
    """Return the mean loss over all targets of all batches, in evaluation mode and float32, without gradients.

    Batches of unequal size weigh by their targets. The model is put back into the mode it was in.

    Raises ValueError if there is no target at all.
    """
    model.to(device)
    was_training = model.training
    model.eval()
    total, count = torch.zeros((), dtype=torch.float64), 0
    try:
        with torch.no_grad(), _deterministic():
            for batch in batches:
                batch_total, batch_count = loss(model, _on(device, batch))
                total += batch_total.cpu().double()
                count += int(batch_count.item())
    finally:
        model.train(was_training)
    if count == 0:
        raise ValueError("no target to take the mean loss of; expected at least one batch with one target")
    return MeanLoss(total.item() / count, count)


def _accumulate(
    model: nn.Module,
    batches: Callable[[int], Batch],
    loss: Loss,
    settings: TrainingSettings,
    *,
    step: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the summed loss of each batch of a step; return that sum and the count of its targets."""
    totals, counts = [], []
    for index in range(step * settings.accumulate, (step + 1) * settings.accumulate):
        torch.manual_seed(int(np.random.SeedSequence((settings.seed, index)).generate_state(1, np.uint64)[0]))
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            total, count = loss(model, _on(device, batches(index)))
        total.backward()  # type: ignore[no-untyped-call]
        totals.append(total.detach())
        counts.append(count)
    return torch.stack(totals).sum(), torch.stack(counts).sum()


@torch.no_grad()
def _mean_and_clip(parameters: list[nn.Parameter], count: Tensor, clip_norm: float | None) -> Tensor:
    """Turn gradients of a sum into those of the mean, shortened to `clip_norm`; return the norm before shortening.

    One multiplication for both. The 1e-6 is that of torch.nn.utils.clip_grad_norm_.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = get_total_norm(gradients) / count
    scale = 1.0 / count if clip_norm is None else (clip_norm / (norm + 1e-6)).clamp(max=1.0) / count
    for gradient in gradients:
        gradient.mul_(scale)
    return norm


def _on(device: torch.device, batch: Batch) -> Batch:
    return tuple(tensor.to(device) for tensor in batch)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Use deterministic algorithms only, inside; outside what the process had chosen."""
    was_on = torch.are_deterministic_algorithms_enabled()
    was_warning = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_on, warn_only=was_warning)


@contextmanager
def _global_generator_kept(device: torch.device) -> Iterator[None]:
    """Leave torch's global generators as they were, whatever is seeded and drawn inside.

    `torch.manual_seed` seeds every device of the machine, so each one of `device`'s kind is put back.
    """
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            yield
    else:
        every = range(torch.get_device_module(device).device_count())
        with torch.random.fork_rng(devices=every, device_type=device.type):
            yield
