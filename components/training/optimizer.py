"""Which optimizer moves which parameter: AdamW all, or Muon the matrices of the blocks and AdamW the rest."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from components.training import distributed

PEAK = "peak_learning_rate"
"""Key of each parameter group under which its learning rate stands while `lr` moves with the schedule."""
STACK = "stack"
"""Key of each of Muon's groups: how many matrices stand one above the other in one parameter."""
_STACKS = {"qkv": 3}
"""Modules whose weight is such a stack: queries, keys and values are three matrices, made by one product."""


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
    what stands in a ModuleList or Sequential. Embeddings and an output head stand beside the blocks. Muon makes each
    matrix orthogonal by itself, those of queries, keys and values too (a module named `qkv` holds the three). A
    parameter that is shared, such as a tied head, counts once, by its first name.

    Raises ValueError if no parameter wants a gradient.
    Source: Jordan et al. 2024, Muon; rate matched to AdamW's as in Liu et al. 2025, Muon is Scalable for LLM Training,
    so that one weight decay serves both.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("the model has no parameter to train; expected at least one that requires a gradient")
    if settings.name == "adamw":
        return [_adamw([parameter for _, parameter in trained], settings.learning_rate, settings)]
    matrices = defaultdict(list)
    for name, parameter in trained:
        if _is_block_matrix(name, parameter):
            matrices[_STACKS.get(name.split(".")[-2], 1)].append(parameter)
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


def step(optimizers: Sequence[Optimizer], finite: Bool[Tensor, ""]) -> None:
    """Make one update with every optimizer if `finite` is true, none if it is false; the host does not wait to know.

    Where it is false, weights, moments and the count of steps stay bit for bit, whatever stands in the gradients. For
    optimizers that `make` returned: fused AdamW and our Muon both read the attribute `found_inf` that torch's
    GradScaler hands to an optimizer, 1 to leave everything as it is.
    """
    found_inf = 1.0 - finite.float()
    for optimizer in optimizers:
        optimizer.found_inf = found_inf  # type: ignore[attr-defined]
        optimizer.step()
        del optimizer.found_inf  # type: ignore[attr-defined]


class BatchedMuon(Muon):
    """torch.optim.Muon, with matrices of one shape orthogonalised together, and an update that a flag can cancel.

    Bit for bit torch's on CPU, given each matrix of a stack as a parameter; half the time for many small matrices.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move each matrix that has a gradient, unless `found_inf` is set and 1; takes no closure."""
        assert closure is None
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            alike = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape, matrix.device].append(matrix)
            for matrices in alike.values():
                self._move(matrices, group, found_inf)

    def _move(self, matrices: list[Tensor], group: dict[str, float], found_inf: Tensor | None) -> None:
        """Move matrices of one shape."""
        for matrix in matrices:
            if "momentum_buffer" not in self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        momenta = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        gradients = torch.stack([matrix.grad for matrix in matrices])  # type: ignore[misc]
        new_momenta = torch.stack(momenta).lerp_(gradients, 1 - group["momentum"])
        stack, (rows, columns) = int(group[STACK]), matrices[0].shape
        nesterov = gradients.lerp_(new_momenta, group["momentum"])
        direction = distributed.on_whole(partial(_orthogonal, stack=stack), nesterov)
        rate = 0.2 * math.sqrt(max(rows // stack, columns)) * group["lr"]  # match_rms_adamw: Liu et al. 2025, eq. 4
        moved = torch.stack(matrices).mul_(1 - group["lr"] * group["weight_decay"]).add_(direction.float(), alpha=-rate)
        for old, new in zip((*matrices, *momenta), (*moved, *new_momenta), strict=True):
            old.copy_(new if found_inf is None else torch.where(found_inf == 0, new, old))


def _orthogonal(stacks: Float[Tensor, "stack row column"], stack: int) -> Float[Tensor, "stack row column"]:
    """Return `stack` matrices in each with the same singular vectors and singular values of about 1, in bfloat16.

    Source: torch/optim/_muon.py of torch 2.13, `_zeropower_via_newtonschulz`, for many matrices at once.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    matrices = stacks.reshape(-1, stacks.shape[1] // stack, stacks.shape[2])
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if is_tall else matrices).bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    orthogonal: Tensor = x.mT if is_tall else x
    return orthogonal.reshape(stacks.shape)


def _is_block_matrix(name: str, parameter: Tensor) -> bool:
    return parameter.ndim == 2 and any(part.isdecimal() for part in name.split("."))


def _muon(stacks: Mapping[int, list[nn.Parameter]], settings: OptimizerSettings) -> Muon:
    return BatchedMuon(
        [{"params": parameters, STACK: stack, PEAK: settings.learning_rate} for stack, parameters in stacks.items()],
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
