"""The one training loop, a generator of steps.

Whoever calls it decides what happens between two steps: evaluate, record, save, or stop. The loop holds nothing but the
model and the optimizers, and asks for each batch by its number, so that a run can go on from any step.

Several processes, each with this loop (`distributed`), make the same steps as one but for rounding, and for dropout,
which each draws for its own rows: each computes its rows of every batch, and sums and counts are added up over all
before they are divided.

The processor runs ahead of the device: nothing in a step waits for a number of it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.optim import Optimizer

from components.training import distributed
from components.training.devices import deterministic, global_generator_kept, keep_freed_memory, moved
from components.training.distributed import Objective, objective_loss
from components.training.losses import Batch, Loss
from components.training.optimizer import OptimizerSettings, set_learning_rates
from components.training.optimizer import step as update
from components.training.schedule import ScheduleSettings, factor

_READ_EVERY = 16  # steps between two looks at a device's flags: each look makes the processor wait for it


@dataclass(frozen=True)
class TrainingSettings:
    """How long, on how much at once, how exactly, and by which optimizer a model is trained."""

    max_steps: int
    """Updates of the weights; 0 or more; 0 leaves the model as it is."""
    batch_size: int
    """Rows in one batch, the part of a step that is computed at once, by all processes together; 1 or more."""
    accumulate: int
    """Batches whose gradients make one step; 1 or more; a step sees `batch_size * accumulate` rows."""
    clip_norm: float | None
    """Longest gradient of a step, 2-norm over all parameters, above 0; a longer one is shortened; null never does."""
    precision: Literal["float32", "bfloat16"]
    """Number format of the matrix products; weights and optimizer are float32 in both."""
    compile: bool
    """Whether torch.compile translates model and loss first: seconds once, then faster steps; needs a C++ compiler."""
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
    batches: range
    """Numbers of the batches that it was made from."""
    loss: Float[Tensor, ""]
    """Mean loss per target before the update, nats."""
    learning_rate: float
    """Learning rate of the update (under muon: of the matrices of the blocks)."""
    gradient_norm: Float[Tensor, ""]
    """2-norm of the gradient of the mean loss over all parameters, before it was clipped."""
    tokens: Int64[Tensor, ""]
    """Targets that the loss is the mean of."""
    is_finite: Bool[Tensor, ""]
    """Whether this loss, its gradient and all those before are finite; if not, the update was cancelled."""


class NonFiniteLoss(ValueError):
    """The loss or its gradient is infinite or not a number; the weights are those of the step before."""

    def __init__(self, step: Step) -> None:
        super().__init__(
            f"step {step.step}: the loss is {step.loss.item()} over {step.tokens.item()} targets, the norm of its "
            f"gradient {step.gradient_norm.item()}; expected finite numbers. The weights are those before this step; "
            f"look at its data, or lower the learning rate ({step.learning_rate:.3g})"
        )
        self.step = step.step
        self.batches = step.batches


def train(
    model: nn.Module,
    batches: Callable[[int], Batch],
    loss: Loss,
    settings: TrainingSettings,
    *,
    device: torch.device,
    optimizers: Sequence[Optimizer],
    first_step: int = 0,
) -> Iterator[Step]:
    """Train `model` in place and yield each step after its update, from `first_step` to `max_steps - 1`.

    Batch j of step s is `batches(s * accumulate + j)`, asked for in a thread, one batch ahead; the loss of a step is
    the sum over its batches divided by the count of all their targets, so that accumulating changes nothing but the
    memory needed. Dropout is drawn from (seed, number of the batch, process): a step does the same whatever came before
    it. Together with the state of the `optimizers`, the weights and `first_step`, that is all a run needs to go on.

    The model lies on `device`, where its optimizers were made; it is put into training mode for each step. Between
    steps torch's global generator and its choice of algorithms are as the caller left them; within a step the
    algorithms are deterministic (on CUDA this needs CUBLAS_WORKSPACE_CONFIG set to :4096:8 in the environment). On a
    CPU the process keeps the memory that it frees, from now on (`keep_freed_memory`).

    Of several processes each is to call this with the same arguments, and yields the same steps.

    Raises ValueError where a batch has fewer rows than there are processes.
    Raises NonFiniteLoss, naming the step: a loss or gradient that is not finite never moves the weights, nor does any
    step after it. On the CPU it is raised at once, elsewhere when the flags are read: every 16 steps, and at the end.
    """
    if settings.batch_size < distributed.count():
        raise ValueError(
            f"batch_size is {settings.batch_size}, fewer rows than the {distributed.count()} processes; "
            f"expected one or more for each"
        )
    parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    objective: tuple[nn.Module, Loss] = (model, loss)
    if settings.compile:  # with the loss: what it does with the logits is worth as much as the model's last layers
        objective = cast(nn.Module, torch.compile(Objective(model, loss))), objective_loss
    if device.type == "cpu":
        keep_freed_memory()
    model.zero_grad(set_to_none=True)
    is_finite = torch.ones((), dtype=torch.bool, device=device)
    unread: list[Step] = []
    numbers = range(first_step * settings.accumulate, settings.max_steps * settings.accumulate)
    ahead = _ahead(batches, numbers, pinned=device.type == "cuda")
    for number in range(first_step, settings.max_steps):
        share = factor(number, settings.max_steps, settings.schedule)
        set_learning_rates(optimizers, share)
        model.train()
        with deterministic(), global_generator_kept(device):
            total, count = _accumulate(*objective, ahead, settings, step=number, device=device)
            gradients = [p.grad for p in parameters if p.grad is not None]
            distributed.add_up([*gradients, total, count])
            mean = total / count
            gradient_norm = _mean_and_clip(gradients, count, settings.clip_norm)
            is_finite = is_finite & torch.isfinite(mean + gradient_norm)
            update(optimizers, is_finite)
        model.zero_grad(set_to_none=True)
        rate = settings.optimizer.learning_rate * share
        step = Step(number, _numbers(number, settings), mean, rate, gradient_norm, count, is_finite)
        unread.append(step)
        if device.type == "cpu" or len(unread) == _READ_EVERY or number == settings.max_steps - 1:
            check(unread)
            unread.clear()
        yield step


def check(steps: Sequence[Step]) -> None:
    """Raise NonFiniteLoss at the first of these steps that is not finite; this waits for the device."""
    if steps and not torch.stack([step.is_finite for step in steps]).all():
        raise NonFiniteLoss(next(step for step in steps if not step.is_finite))


def _accumulate(
    model: nn.Module,
    loss: Loss,
    batches: Iterator[Batch],
    settings: TrainingSettings,
    *,
    step: int,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Add the gradient of the summed loss of each batch of a step; return that sum and the count of its targets."""
    totals, counts = [], []
    for index in _numbers(step, settings):
        torch.manual_seed(_dropout_seed(settings.seed, index, distributed.rank()))
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            total, count = loss(model, moved(next(batches), device))
        total.backward()  # type: ignore[no-untyped-call]
        totals.append(total.detach())
        counts.append(count)
    return torch.stack(totals).sum(), torch.stack(counts).sum()


def _dropout_seed(seed: int, batch: int, rank: int) -> int:
    """Return the seed of the draws of a process for a batch; the first process's are those of one alone."""
    numbers = (seed, batch, rank) if rank else (seed, batch)
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _numbers(step: int, settings: TrainingSettings) -> range:
    """Return the numbers of a step's batches."""
    return range(step * settings.accumulate, (step + 1) * settings.accumulate)


def _ahead(batches: Callable[[int], Batch], numbers: Sequence[int], *, pinned: bool) -> Iterator[Batch]:
    """Yield this process's rows of the batches of these numbers, each fetched while the one before it is in use."""

    def fetch(number: int) -> Batch:
        batch = distributed.part(batches(number))
        return tuple(tensor.pin_memory() for tensor in batch) if pinned else batch

    with ThreadPoolExecutor(1, "batches") as thread:
        waiting = [thread.submit(fetch, number) for number in numbers[:1]]
        for number in numbers[1:]:
            waiting.append(thread.submit(fetch, number))
            yield waiting.pop(0).result()
        yield from (last.result() for last in waiting)


@torch.no_grad()
def _mean_and_clip(gradients: list[Tensor], count: Tensor, clip_norm: float | None) -> Tensor:
    """Turn gradients of a sum into those of the mean, shortened to `clip_norm`; return the norm before shortening.

    One multiplication for both. The 1e-6 is that of torch.nn.utils.clip_grad_norm_.
    """
    norm = distributed.norm(gradients) / count
    scale = 1.0 / count if clip_norm is None else (clip_norm / (norm + 1e-6)).clamp(max=1.0) / count
    for gradient in gradients:
        distributed.local(gradient).mul_(scale)
    return norm
