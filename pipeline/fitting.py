"""What the three training stages share: first weights, the loop with its evaluations, the curve."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from components.gpt import checkpoint, weights
from components.gpt.model import GPT, PUBLISHED, GPTConfig
from components.training.loop import TrainingSettings, mean_loss, train
from components.training.losses import Batch, Loss
from pipeline import dag, machine, paths, settings

log = logging.getLogger(__name__)

Row = dict[str, float]


def first_weights(start_from: str) -> GPT:
    """Return the model that `start_from` names: `base`, a published size, or a folder with a model.

    The folder holds a checkpoint of ours, or a GPT-2 of any shape as it is published.

    Raises ValueError where it is none of these, or a published size that no source brings, or that is another one.
    """
    if start_from == "base":
        return checkpoint.load(paths.BASE)
    if start_from in PUBLISHED:
        folder = paths.RAW_WEIGHTS / start_from
        if not (folder / checkpoint.WEIGHTS_FILE).is_file():
            raise ValueError(
                f"start_from is {start_from}, but {folder / checkpoint.WEIGHTS_FILE} is not here; add it to "
                f"download.sources (preset gpt2-124M shows how)"
            )
        model = weights.load_published(folder, PUBLISHED[start_from])
        if model.config != PUBLISHED[start_from]:
            raise ValueError(
                f"start_from is {start_from}, but {folder / checkpoint.CONFIG_FILE} says {_shape(model.config)}; "
                f"expected {_shape(PUBLISHED[start_from])}; correct download.sources, or name the folder in start_from"
            )
        return model
    folder = Path(start_from)
    if not folder.is_dir():
        sizes = ", ".join(PUBLISHED)
        raise ValueError(f"start_from is {start_from}; expected scratch, base, {sizes} or a folder with a checkpoint")
    is_published = "n_embd" in checkpoint.read_config(folder)
    return weights.load_published(folder) if is_published else checkpoint.load(folder)


def _shape(config: GPTConfig) -> str:
    tied = "tied" if config.tie_weights else "not tied"
    return (
        f"{config.n_layers} layers of {config.n_heads} heads, {config.emb_dim} wide, {config.context_length} tokens "
        f"of {config.vocab_size}, {tied}"
    )


def check_start(start_from: str, word: str) -> None:
    """Refuse first weights that cannot be: neither `word`, nor a published size, nor a folder that is here."""
    if start_from != word and start_from not in PUBLISHED and not Path(start_from).is_dir():
        raise ValueError(
            f"start_from is {start_from}; expected {word}, {', '.join(PUBLISHED)} or a folder with a model"
        )


@contextmanager
def work(stage: str) -> Iterator[Path]:
    """Yield the folder of a stage's work in progress, `.work/<key>`; it goes when the block ends well, else it stays.

    The key stands for params, data, code, machine and versions: the same work finds the same folder, no other does.
    """
    described = next(each for each in dag.stages() if each.name == stage)
    folder = paths.WORK / dag.key(described, settings.read())
    folder.mkdir(parents=True, exist_ok=True)
    log.info("work in progress: %s", folder)
    yield folder
    paths.remove(folder)


def fit(
    model: nn.Module,
    batches: Callable[[int], Batch],
    loss: Loss,
    how: TrainingSettings,
    evaluation: Callable[[], Iterable[Batch]],
) -> list[Row]:
    """Train a model in place and return its curve: a row per step, with the validation loss where it was evaluated.

    Columns: `step`, `training_loss` (nats, of the step's batch before its update), `learning_rate`, `gradient_norm`
    and, every `evaluate_every` steps and after the last, `validation_loss` (nats).
    """
    device = torch.device(machine.device())
    curve: list[Row] = []
    for step in train(model, batches, loss, how, device=device):
        row: Row = {
            "step": step.step,
            "training_loss": step.loss.item(),
            "learning_rate": step.learning_rate,
            "gradient_norm": step.gradient_norm.item(),
        }
        if how.is_evaluated(step.step):
            row["validation_loss"] = mean_loss(model, evaluation(), loss, device=device).value
            log.info(
                "step %d of %d: training loss %.3f, validation loss %.3f nats",
                step.step + 1,
                how.max_steps,
                row["training_loss"],
                row["validation_loss"],
            )
        curve.append(row)
    return curve


def match(config: GPTConfig, vocab_size: int, context_length: int) -> None:
    """Raise ValueError unless a model reads the tokenizer's ids and is long enough for the windows."""
    if config.vocab_size != vocab_size:
        raise ValueError(
            f"the model's vocabulary has {config.vocab_size} tokens, the tokenizer's {vocab_size}; "
            f"GPT-2's weights want tokenize.vocabulary: gpt2"
        )
    if config.context_length < context_length:
        raise ValueError(
            f"the model reads {config.context_length} tokens at once, the windows hold {context_length}; "
            f"lower shard.context_length"
        )


def facts(curve: Sequence[Row], weights: Path) -> dict[str, float | int | str]:
    """Return what is recorded of every training: steps, last losses, the hash of the weights and the machine.

    Without a step there are no losses.
    """
    names = ("training_loss", "validation_loss")
    last = {name: row[name] for row in curve for name in names if name in row}
    return {"steps": len(curve), **last, "weights_sha256": checkpoint.sha256(weights), **machine.description()}
