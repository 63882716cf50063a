"""The book's pretraining, by our components and by the book's code, side by side: losses and wall-clock.

    python -m benchmarks.book --shared ../shared/data

Trains a fresh 124M GPT on The Verdict as chapter 5 does, with the numbers of presets/book.yaml. The two take turns,
epoch by epoch, in one process, so that both see the same machine; only training steps are timed, evaluation is not.
Prints Markdown; exits 1 if a full run misses a target. Takes 10 to 20 minutes on two idle cores and 6 GB of memory. Run
it in the project's root.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import reporting
from components.gpt.model import GPT, GPTConfig
from components.tokenizer.bpe import Tokenizer
from components.training.evaluation import mean_loss
from components.training.loop import TrainingSettings, train
from components.training.losses import next_token
from components.training.optimizer import make
from components.windows.batches import Batches, in_order
from components.windows.shards import ShardSettings, document, write, write_index
from components.windows.windows import Windows
from pipeline import paths, settings
from pipeline.commands import use
from pipeline.stages.pretrain import PretrainSettings

CPU = torch.device("cpu")


# The book's model and loop, restated from chapters 3 to 5: three matrices for queries, keys and values, a mask and a
# softmax in the open, LayerNorm and GELU by hand, torch's defaults wherever the book says nothing else.


class BookAttention(nn.Module):
    """Multi-head attention with its mask and its softmax written out."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.n_heads, self.head_dim = config.n_heads, config.emb_dim // config.n_heads
        self.W_query = nn.Linear(config.emb_dim, config.emb_dim, bias=config.qkv_bias)
        self.W_key = nn.Linear(config.emb_dim, config.emb_dim, bias=config.qkv_bias)
        self.W_value = nn.Linear(config.emb_dim, config.emb_dim, bias=config.qkv_bias)
        self.out_proj = nn.Linear(config.emb_dim, config.emb_dim)
        self.dropout = nn.Dropout(config.drop_rate)
        self.register_buffer("mask", torch.triu(torch.ones(config.context_length, config.context_length), diagonal=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, token, emb_dim) for the same."""
        batch, tokens, width = x.shape
        keys = self.W_key(x).view(batch, tokens, self.n_heads, self.head_dim).transpose(1, 2)
        queries = self.W_query(x).view(batch, tokens, self.n_heads, self.head_dim).transpose(1, 2)
        values = self.W_value(x).view(batch, tokens, self.n_heads, self.head_dim).transpose(1, 2)
        scores = queries @ keys.transpose(2, 3)
        scores.masked_fill_(self.mask.bool()[:tokens, :tokens], -torch.inf)  # type: ignore[operator]
        weights = self.dropout(torch.softmax(scores / keys.shape[-1] ** 0.5, dim=-1))
        out: Tensor = self.out_proj((weights @ values).transpose(1, 2).contiguous().view(batch, tokens, width))
        return out


class BookLayerNorm(nn.Module):
    """Mean 0 and variance 1 over the last dimension, then scale and shift."""

    def __init__(self, emb_dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(emb_dim))
        self.shift = nn.Parameter(torch.zeros(emb_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised `x`."""
        mean = x.mean(dim=-1, keepdim=True)
        variance = x.var(dim=-1, keepdim=True, unbiased=False)
        return self.scale * ((x - mean) / torch.sqrt(variance + 1e-5)) + self.shift


class BookGELU(nn.Module):
    """GELU by its tanh formula."""

    def forward(self, x: Tensor) -> Tensor:
        """Return GELU of `x`."""
        return 0.5 * x * (1 + torch.tanh(torch.sqrt(torch.tensor(2.0 / torch.pi)) * (x + 0.044715 * torch.pow(x, 3))))


class BookBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.att = BookAttention(config)
        self.ff = nn.Sequential(
            nn.Linear(config.emb_dim, 4 * config.emb_dim), BookGELU(), nn.Linear(4 * config.emb_dim, config.emb_dim)
        )
        self.norm1, self.norm2 = BookLayerNorm(config.emb_dim), BookLayerNorm(config.emb_dim)
        self.drop_shortcut = nn.Dropout(config.drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, token, emb_dim) for the same."""
        x = x + self.drop_shortcut(self.att(self.norm1(x)))
        out: Tensor = x + self.drop_shortcut(self.ff(self.norm2(x)))
        return out


class BookGPT(nn.Module):
    """The book's GPTModel."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.tok_emb = nn.Embedding(config.vocab_size, config.emb_dim)
        self.pos_emb = nn.Embedding(config.context_length, config.emb_dim)
        self.drop_emb = nn.Dropout(config.drop_rate)
        self.trf_blocks = nn.Sequential(*[BookBlock(config) for _ in range(config.n_layers)])
        self.final_norm = BookLayerNorm(config.emb_dim)
        self.out_head = nn.Linear(config.emb_dim, config.vocab_size, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Return the logits (batch, token, vocab) of ids (batch, token)."""
        x = self.drop_emb(self.tok_emb(ids) + self.pos_emb(torch.arange(ids.shape[1], device=ids.device)))
        logits: Tensor = self.out_head(self.final_norm(self.trf_blocks(x)))
        return logits


def book_epochs(model: nn.Module, windows: Windows, how: TrainingSettings) -> Iterator[None]:
    """Train by the book's loop and yield after each epoch, without end."""
    adamw = how.optimizer
    rows = [torch.cat(part) for part in zip(*in_order(windows, len(windows)), strict=True)]
    generator = torch.Generator().manual_seed(how.seed)
    loader = DataLoader(TensorDataset(*rows), how.batch_size, shuffle=True, drop_last=True, generator=generator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=adamw.learning_rate, weight_decay=adamw.weight_decay)
    while True:
        model.train()
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        yield


def our_epochs(model: nn.Module, windows: Windows, how: TrainingSettings, epochs: int) -> Iterator[None]:
    """Train by our loop and yield after each epoch."""
    batches = Batches(windows, how.batch_size, how.seed)
    steps = replace(how, max_steps=epochs * batches.steps_per_epoch)
    for step in train(model, batches, next_token, steps, device=CPU, optimizers=make(model, steps.optimizer)):
        if (step.step + 1) % batches.steps_per_epoch == 0:
            yield


@dataclass
class Contestant:
    """One side of the comparison: its model, its epochs, and what was measured."""

    name: str
    model: nn.Module
    epochs: Iterator[None]
    initial: tuple[float, float] = (0.0, 0.0)
    final: tuple[float, float] = (0.0, 0.0)
    epochs_s: tuple[float, ...] = ()


def book_settings() -> tuple[PretrainSettings, ShardSettings]:
    """Return what preset `book` says of pretraining and of its windows."""
    sections = settings.sections(use.combined("book"), paths.PRESETS / "book.yaml")
    how: PretrainSettings = settings.parse("pretrain", sections["pretrain"], PretrainSettings)
    shards: ShardSettings = settings.parse("shard", sections["shard"], ShardSettings)
    return how, shards


def compare(how: PretrainSettings, windows: tuple[Windows, Windows], epochs: int) -> tuple[Contestant, Contestant]:
    """Train both from the same seed, an epoch each in turn; return ours and the book's with losses and times."""
    training, validation = windows
    config = GPTConfig(training.vocab_size, training.context_length, **asdict(how.model))

    def losses(model: nn.Module) -> tuple[float, float]:
        train_loss, validation_loss = (
            mean_loss(model, in_order(split, how.batch_size), next_token, device=CPU).value
            for split in (training, validation)
        )
        return train_loss, validation_loss

    def fresh(kind: Callable[[GPTConfig], nn.Module]) -> nn.Module:
        torch.manual_seed(how.seed)
        return kind(config)

    ours, book = fresh(GPT), fresh(BookGPT)
    contestants = (
        Contestant("ours", ours, our_epochs(ours, training, how, epochs)),
        Contestant("book", book, book_epochs(book, training, how)),
    )
    for one in contestants:
        one.initial = losses(one.model)
    torch.manual_seed(how.seed)  # the book's dropout is drawn from the global generator; ours is not
    for epoch in range(epochs):
        for one in contestants[:: 1 if epoch % 2 == 0 else -1]:
            started = time.perf_counter()
            next(one.epochs)
            one.epochs_s += (time.perf_counter() - started,)
            print(f"epoch {epoch + 1} {one.name}: {one.epochs_s[-1]:.1f} s", file=sys.stderr)
    for one in contestants:
        one.final = losses(one.model)
    return contestants


def verdict_windows(shared: Path, folder: Path, shards: ShardSettings) -> tuple[Windows, Windows]:
    """Return The Verdict's training and validation windows: split at int(0.9 n) characters."""
    tokenizer = Tokenizer.gpt2(shared / "gpt2_bpe")
    text = (shared / "book" / "the-verdict.txt").read_text(encoding="utf-8")
    cut = int(0.9 * len(text))
    vocab_size = tokenizer.vocab_size
    splits = [
        write(
            [document(0, np.array(tokenizer.encode(part)))],
            folder,
            split,
            end_of_text=None,
            vocab_size=vocab_size,
            shard_size=shards.shard_size,
            size_bytes=len(part.encode("utf-8")),
        )
        for split, part in (("train", text[:cut]), ("validation", text[cut:]))
    ]
    write_index(folder, splits, context_length=shards.context_length, stride=shards.stride, vocab_size=vocab_size)
    return Windows(folder, "train"), Windows(folder, "validation")


def report(ours: Contestant, book: Contestant) -> str:
    """Return the result as Markdown."""
    lines = [
        "| | initial train | initial validation | final train | final validation | epoch, median s | all epochs s |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in (ours, book):
        figures = [f"{value:.5f}" for value in (*one.initial, *one.final)]
        figures += [f"{statistics.median(one.epochs_s):.2f}", f"{sum(one.epochs_s):.1f}"]
        lines.append(f"| {one.name} | {' | '.join(figures)} |")
    ratio = statistics.median(ours.epochs_s) / statistics.median(book.epochs_s)
    lines += ["", f"{len(ours.epochs_s)} epochs; median epoch, ours / book: {ratio:.3f}.", reporting.description()]
    return "\n".join(lines)


def missed(ours: Contestant, book: Contestant) -> list[str]:
    """Return each target that a full run has missed, in words."""
    targets = {
        "initial losses 10.98758 and 10.98110 to 1e-4": abs(ours.initial[0] - 10.98758347829183) < 1e-4
        and abs(ours.initial[1] - 10.98110580444336) < 1e-4,
        "final train loss below 1": ours.final[0] < 1.0,
        "final validation loss between 6.1 and 6.6": 6.1 <= ours.final[1] <= 6.6,
        "no more time than the book's code": statistics.median(ours.epochs_s) <= statistics.median(book.epochs_s),
    }
    return [target for target, is_reached in targets.items() if not is_reached]


def main() -> int:
    """Run the comparison and print it; return 1 if a full run misses a target."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.book", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, required=True, help="folder with book/the-verdict.txt and gpt2_bpe/")
    parser.add_argument("--epochs", type=int, help="fewer than the preset's are a trial, which checks no target")
    arguments = parser.parse_args()
    how, shards = book_settings()
    with tempfile.TemporaryDirectory() as folder:
        windows = verdict_windows(arguments.shared, Path(folder), shards)
        all_epochs = how.max_steps // (len(windows[0]) // how.batch_size)
        epochs = all_epochs if arguments.epochs is None else arguments.epochs
        ours, book = compare(how, windows, epochs)
    print(report(ours, book))
    failures = missed(ours, book) if epochs == all_epochs else []
    for failure in failures:
        print(f"missed: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
