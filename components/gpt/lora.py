"""LoRA: fine-tuning that leaves a model's matrices alone and learns for each a change of low rank.

Source: Hu et al. 2021, LoRA: Low-Rank Adaptation of Large Language Models, section 4.1; Raschka, Build a Large Language
Model (From Scratch), appendix E.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Layer = Literal["qkv", "out_proj", "up", "down", "head"]
"""A linear map of the model, by its name there: four in each block, and the head (untied, or the classifier's)."""

_PARTS = {"qkv": 3}
"""Maps that are several in one matrix, one below the other; each gets a change of its own, as in the book."""


@dataclass(frozen=True)
class LoraSettings:
    """How large the change may be, how strong it is, and what it changes."""

    rank: int
    """Inner width of each change, 1 or more; the head of a classifier may be narrower."""
    alpha: float
    """Strength, above 0: a change counts `alpha / rank` times, so that another rank needs no other learning rate."""
    layers: tuple[Layer, ...]
    """Linear maps that are changed, in every block that has them; one or more, each once."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range and maps that are not there."""
        if self.rank < 1:
            raise ValueError(f"rank is {self.rank}; expected 1 or more")
        if not (self.alpha > 0.0 and math.isfinite(self.alpha)):
            raise ValueError(f"alpha is {self.alpha}; expected a number above 0")
        known = get_args(Layer)
        if not self.layers or len(set(self.layers)) < len(self.layers) or not set(self.layers) <= set(known):
            came = ", ".join(self.layers) or "none"
            raise ValueError(f"layers are {came}; expected one or more of {', '.join(known)}, each once")


class LoraLinear(nn.Module):
    """A frozen linear map and its change: y = linear(x) + scale * B A x, in the book's words (alpha / rank) x A B.

    A is drawn as torch draws a Linear's weight, from its global generator, and B is zero: at first nothing is changed.
    Both lie as torch's weights do, (out, in); of a map of several `parts`, part k has the k-th rows of both.
    """

    def __init__(self, linear: nn.Linear, rank: int, scale: float, parts: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.parts = parts
        self.linear = linear.requires_grad_(False)
        self.A = nn.Parameter(linear.weight.new_empty(parts * rank, linear.in_features))
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, x: Float[Tensor, "*any in"]) -> Float[Tensor, "*any out"]:
        """Return the frozen map's answer with the change added."""
        narrow = F.linear(x, self.A).chunk(self.parts, dim=-1)  # each (*any, rank)
        changes = [F.linear(each, rows) for each, rows in zip(narrow, self.B.chunk(self.parts), strict=True)]
        out: Tensor = self.linear(x) + self.scale * torch.cat(changes, dim=-1)
        return out

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The matrix that does the same alone; GPT reads its head's so."""
        pairs = zip(self.A.chunk(self.parts), self.B.chunk(self.parts), strict=True)
        return self.linear.weight + self.scale * torch.cat([rows @ narrow for narrow, rows in pairs])

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """Return the frozen map itself, with the change added to its weight."""
        self.linear.weight.copy_(self.weight)
        return self.linear


def add(model: nn.Module, settings: LoraSettings, *, new: Sequence[nn.Module] = (), section: str = "lora") -> None:
    """Put a LoraLinear in the place of each chosen linear map of `model`; only their changes are trained then.

    `new` parts, such as a classifier's head, are trained too: all of each, or its change where it is among the chosen.
    `section` is the dotted name of the settings, said where something is wrong with them.

    A and B of a map in a block are matrices of that block to an optimizer: Muon takes them where it takes those.

    At rank 16, with all maps of the 124M classifier of two labels, 2,666,528 parameters are trained, as in the book.

    Raises ValueError, and leaves the model as it was, if it has no such map or has LoRA already.
    """
    places = [(parent, name) for parent in model.modules() for name, _ in parent.named_children()]
    chosen = [(parent, name) for parent, name in places if name in settings.layers]
    if missing := set(settings.layers) - {name for _, name in chosen}:
        raise ValueError(
            f"{section}.layers has {', '.join(sorted(missing))}, which this model lacks: its output matrix is the "
            f"token embedding (tie_weights); choose among the maps of the blocks"
        )
    if any(isinstance(module, LoraLinear) for module in model.modules()):
        raise ValueError("the model has LoRA already; merge it first")
    model.requires_grad_(False)
    for module in new:
        module.requires_grad_(True)
    for parent, name in chosen:
        linear = parent.get_submodule(name)
        assert isinstance(linear, nn.Linear)
        setattr(parent, name, LoraLinear(linear, settings.rank, settings.alpha / settings.rank, _PARTS.get(name, 1)))


def merge(model: nn.Module) -> None:
    """Put plain linear maps that do the same in the place of every LoraLinear of `model`; all of it may be trained.

    Logits are equal but for rounding. The model is then saved and loaded as any other.
    """
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, LoraLinear):
                setattr(parent, name, child.merged())
    model.requires_grad_(True)
