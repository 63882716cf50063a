"""Which optimizer moves which parameter: AdamW all, or Muon the matrices of the blocks and AdamW the rest."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

PEAK = "peak_learning_rate"
"""Key of each parameter group under which its learning rate stands while `lr` moves with the schedule."""


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimizer and its rates."""

    name: Literal["adamw", "muon"]
    """AdamW for every parameter, or Muon for the matrices of the blocks and AdamW for all others."""
    learning_rate: float
    """Peak learning rate, above 0; under muon that of the matrices of the blocks."""
    adamw_learning_rate: float | None
    """Peak learning rate of what AdamW moves under muon, above 0; null is `learning_rate`; adamw does not read it."""
    weight_decay: float
    """Share of a parameter, times the learning rate, that each step takes away; 0 or more."""
    decay: Literal["matrices", "all"]
    """What decays: matrices and embeddings only, or every parameter, norms and biases too, as in the book."""
    beta1: float
    """AdamW's memory of the gradient, share kept per step; 0 up to but not 1."""
    beta2: float
    """AdamW's memory of the squared gradient, share kept per step; 0 up to but not 1."""
    momentum: float
    """Muon's memory of the gradient, share kept per step; 0 up to but not 1; adamw does not read it."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        for field in ("learning_rate", "adamw_learning_rate"):
            rate = getattr(self, field)
            if rate is not None and not rate > 0.0:
                raise ValueError(f"{field} is {rate}; expected a number above 0")
        if not self.weight_decay >= 0.0:
            raise ValueError(f"weight_decay is {self.weight_decay}; expected 0 or more")
        for field in ("beta1", "beta2", "momentum"):
            if not 0.0 <= getattr(self, field) < 1.0:
                raise ValueError(f"{field} is {getattr(self, field)}; expected 0 up to but not 1")


def make(model: nn.Module, settings: OptimizerSettings) -> list[Optimizer]:
    """Return the optimizers that together move each parameter of `model` that wants a gradient, each exactly once.

    A matrix of a block is a parameter of two dimensions below a numbered module, as in `blocks.3.feed_forward.weight`:
    what stands in a ModuleList or Sequential. Embeddings and an output head stand beside the blocks. A parameter that
    is shared, such as a tied head, counts once, by its first name.

    Raises ValueError if no parameter wants a gradient.
    Source: Jordan et al. 2024, Muon; rate matched to AdamW's as in Liu et al. 2025, Muon is Scalable for LLM Training,
    so that one weight decay serves both.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("the model has no parameter to train; expected at least one that requires a gradient")
    if settings.name == "adamw":
        return [_adamw([parameter for _, parameter in trained], settings.learning_rate, settings)]
    matrices = [parameter for name, parameter in trained if _is_block_matrix(name, parameter)]
    others = [parameter for name, parameter in trained if not _is_block_matrix(name, parameter)]
    rate_of_others = settings.adamw_learning_rate or settings.learning_rate
    return [
        *([_muon(matrices, settings)] if matrices else []),
        *([_adamw(others, rate_of_others, settings)] if others else []),
    ]


def set_learning_rates(optimizers: Iterable[Optimizer], factor: float) -> None:
    """Set the learning rate of each group to its peak times `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group[PEAK] * factor


def _is_block_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and any(part.isdecimal() for part in name.split("."))


def _muon(parameters: list[nn.Parameter], settings: OptimizerSettings) -> Muon:
    group = {"params": parameters, PEAK: settings.learning_rate}
    return Muon(
        [group],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.momentum,
        adjust_lr_fn="match_rms_adamw",
    )


def _adamw(parameters: list[nn.Parameter], learning_rate: float, settings: OptimizerSettings) -> AdamW:
    decayed = [p for p in parameters if settings.decay == "all" or p.ndim >= 2]
    kept = [p for p in parameters if settings.decay != "all" and p.ndim < 2]
    groups = [
        {"params": members, "weight_decay": weight_decay, PEAK: learning_rate}
        for members, weight_decay in ((decayed, settings.weight_decay), (kept, 0.0))
        if members
    ]
    return AdamW(groups, lr=learning_rate, betas=(settings.beta1, settings.beta2), fused=True)
