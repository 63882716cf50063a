"""Train the base model on the shards, or take published weights and train on from them, or leave them as they are."""

import logging
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import torch

from components.gpt import checkpoint
from components.gpt.model import GPT, GPTConfig
from components.training.loop import TrainingSettings
from components.training.losses import next_token
from components.windows.batches import Batches, in_order
from components.windows.windows import Windows
from pipeline import fitting, launch, paths, starting, tracking
from pipeline.orchestration import gpu, io, stage
from pipeline.work import work

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelSettings:
    """The shape of a model that starts from scratch; published weights bring their own."""

    emb_dim: int
    """Width of a token's vector; a multiple of n_heads."""
    n_heads: int
    """Attention heads of a block."""
    n_layers: int
    """Blocks, one above the other."""
    drop_rate: float
    """Share of activations zeroed in training; 0 up to but not 1."""
    qkv_bias: bool
    """Whether queries, keys and values have a bias."""
    tie_weights: bool
    """Whether the token embedding is the output matrix too."""
    init: Literal["gpt2", "zero", "book"]
    """First weights: `gpt2` as OpenAI's; `zero` those, but each block begins by adding nothing; `book` the book's."""
    positions: Literal["learned", "rotary"]
    """How a token's place is told: by learned vectors, as in GPT-2, or by rotating queries and keys, as in GPT-NeoX."""


@dataclass(frozen=True)
class PretrainSettings(TrainingSettings):
    """First weights, shape and training of the base model."""

    start_from: str
    """`scratch`, a published size such as `gpt2-124M`, or a folder with a checkpoint."""
    model: ModelSettings
    """The shape, read when starting from scratch."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and first weights that cannot be."""
        super().__post_init__()
        starting.check_start(self.start_from, "scratch")


@stage
def pretrain(pretrain: PretrainSettings) -> None:
    """Train `models/base`."""
    train(pretrain)
    record()


@gpu
def train(settings: PretrainSettings) -> None:
    """Train the model; write it and its curve whole."""
    with work("pretrain") as folder:
        launch.run(fit, settings, folder)


def fit(settings: PretrainSettings, folder: Path) -> None:
    """Train the model with its work in progress in `folder`, in one process or many."""
    training, validation = Windows(paths.SHARDS, "train"), Windows(paths.SHARDS, "validation")
    model = first_model(settings, training)
    log.info("%d parameters, %d windows, %d steps", model.n_parameters, len(training), settings.max_steps)
    with fitting.in_section("pretrain"):
        batches = Batches(training, settings.batch_size, settings.seed)
    curve = fitting.fit(
        model,
        batches,
        next_token,
        settings,
        lambda: islice(in_order(validation, settings.batch_size), settings.evaluate_batches),
        folder,
    )
    tracking.write_curve("pretrain", curve)
    with paths.whole(paths.BASE) as made:
        checkpoint.save(model, made)


def first_model(settings: PretrainSettings, windows: Windows) -> GPT:
    """Return the model before its first step, fit for the windows.

    Raises ValueError where published weights have another vocabulary or a shorter context than the windows.
    """
    if settings.start_from == "scratch":
        torch.manual_seed(settings.seed)
        shape = asdict(settings.model)
        return GPT(GPTConfig(vocab_size=windows.vocab_size, context_length=windows.context_length, **shape))
    model = starting.first_weights(settings.start_from)
    starting.match(model.config, windows.vocab_size, windows.context_length)
    return model


@io
def record() -> None:
    """Record the last losses, the hash of the weights and the machine."""
    tracking.record("pretrain", fitting.facts(tracking.read_curve("pretrain"), paths.BASE))
