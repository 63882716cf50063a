"""A model of a few dozen numbers, batches that it can learn, and settings: what the tests of training share."""

import torch
from torch import Tensor, nn

from components.training.loop import TrainingSettings
from components.training.losses import Batch
from components.training.optimizer import OptimizerSettings
from components.training.schedule import ScheduleSettings

CPU = torch.device("cpu")
VOCABULARY = 7
SETTINGS = TrainingSettings(
    max_steps=5,
    batch_size=4,
    accumulate=1,
    clip_norm=None,
    precision="float32",
    compile=False,
    evaluate_every=2,
    evaluate_batches=None,
    optimizer=OptimizerSettings("adamw", 0.01, None, 0.1, "all", 0.9, 0.95, 0.95),
    schedule=ScheduleSettings("constant", warmup_steps=0, initial=0.0, minimum=0.0, decay_share=0.0),
    seed=3,
)


class Block(nn.Module):
    """Two matrices of odd sizes, of which the first counts as three, one above the other, and dropout."""

    def __init__(self, drop_rate: float) -> None:
        super().__init__()
        self.qkv, self.down, self.dropout = nn.Linear(6, 9), nn.Linear(9, 6), nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.dropout(self.qkv(x).tanh()))


class Tiny(nn.Module):
    """An embedding, two blocks, a norm, a head."""

    def __init__(self, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.blocks = nn.ModuleList(Block(drop_rate) for _ in range(2))
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.normed(ids))

    def normed(self, ids: Tensor) -> Tensor:
        hidden = self.embedding(ids)
        for block in self.blocks:
            hidden = block(hidden)
        return self.norm(hidden)


def tiny(drop_rate: float = 0.0) -> Tiny:
    torch.manual_seed(0)
    return Tiny(drop_rate)


def batch_of(index: int, rows: int = 4) -> Batch:
    """Batch `index`: 5 tokens a row, each followed by the next number; drawn from its own number only."""
    inputs = torch.randint(0, VOCABULARY, (rows, 5), generator=torch.Generator().manual_seed(100 + index))
    return inputs, (inputs + 1) % VOCABULARY


def flat(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
