"""Score the base model on every validation window and by items with endings to choose from; let it write samples."""

import json
import lzma
import math
from dataclasses import dataclass

import torch

from components.gpt import checkpoint
from components.gpt.generate import generate
from components.scoring.passage import Passage
from components.tasks.files import read_records, write_records
from components.tasks.multiple_choice import Choice
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.training.devices import deterministic
from components.windows.windows import Windows
from pipeline import losses, machine, multiple_choice, paths, tracking
from pipeline.multiple_choice import MultipleChoiceSettings
from pipeline.orchestration import gpu, io, stage

SEEN_BYTES = 2**24
"""Most of the training text that the compressor reads; it could look back on four times as much."""


@dataclass(frozen=True)
class EvaluateSettings:
    """How the base model is scored and sampled."""

    batch_size: int
    """Windows scored at once."""
    prompts: tuple[str, ...]
    """Beginnings that the model goes on from, once greedily and once drawn."""
    max_new_tokens: int
    """Tokens written after each prompt."""
    temperature: float
    """Temperature of the drawn samples, above 0."""
    top_k: int | None
    """Drawn samples choose among so many most likely tokens; null among all."""
    top_p: float | None
    """Drawn samples choose among the likeliest tokens that together have this share; null among all."""
    seed: int
    """Seed of the drawn samples."""
    multiple_choice: MultipleChoiceSettings | None
    """Items with endings to choose from; null for none."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        for name, least in {"batch_size": 1, "max_new_tokens": 1, "top_k": 1, "seed": 0}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}; expected {least} or more")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; expected a share above 0 up to 1")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}; expected a number above 0 (greedy comes by itself)")


@stage
def evaluate(evaluate: EvaluateSettings) -> None:
    """Write `data/metrics/evaluate.json`, `data/losses.jsonl`, `data/samples.json` and `data/choices.jsonl`."""
    score(evaluate.batch_size)
    choose(evaluate.multiple_choice)
    sample(evaluate)
    record()


@gpu
def score(batch_size: int) -> None:
    """Write the loss on each passage of the validation text."""
    model = checkpoint.load(paths.BASE).to(machine.device()).eval()
    with deterministic():
        write_records(losses.by_passage(model, batch_size), paths.LOSSES)
    tracking.keep(paths.LOSSES)


@gpu
def choose(settings: MultipleChoiceSettings | None) -> None:
    """Write what the model makes of each item, or an empty file."""
    choices = multiple_choice.choices(settings, checkpoint.load(paths.BASE).to(machine.device())) if settings else []
    write_records(choices, paths.CHOICES)
    tracking.keep(paths.CHOICES)


@gpu
def sample(settings: EvaluateSettings) -> None:
    """Write what the model makes of each prompt."""
    device = machine.device()
    model, tokenizer = checkpoint.load(paths.BASE).to(device).eval(), Tokenizer.load(paths.TOKENIZER)
    generator = torch.Generator(device).manual_seed(settings.seed)
    drawn = f"temperature {settings.temperature:g}, top {settings.top_k or 'all'}"
    drawn += f", share {settings.top_p:g}" if settings.top_p else ""
    kinds = {"greedy": 0.0, drawn: settings.temperature}
    samples = []
    for prompt in settings.prompts:
        ids = torch.tensor([tokenizer.encode(prompt) or [tokenizer.end_of_text]], device=device)
        for kind, temperature in kinds.items():
            written = generate(
                model,
                ids,
                settings.max_new_tokens,
                temperature=temperature,
                top_k=settings.top_k,
                top_p=settings.top_p,
                stop_id=tokenizer.end_of_text,
                generator=generator,
            )
            text = tokenizer.decode(written[0, ids.shape[1] :].tolist())
            samples.append({"prompt": prompt, "kind": kind, "text": text})
    with paths.whole(paths.SAMPLES) as temporary:
        temporary.write_text(json.dumps(samples, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tracking.keep(paths.SAMPLES)


@io
def record() -> None:
    """Record loss, perplexity and bits per byte, what `xz -9e` needs for the same text, and which weights these are.

    xz stands there twice: as it comes, and after it has read the training text, or the first `SEEN_BYTES` of it. And
    the shares of right choices, if there was something to choose.
    """
    windows, passages = Windows(paths.SHARDS, "validation"), read_records(paths.LOSSES, Passage)
    nats, scored_tokens = sum(each.nats for each in passages), sum(each.tokens for each in passages)
    scored_bytes = sum(each.size_bytes for each in passages)
    text, seen = _text("validation"), _text("train", SEEN_BYTES)
    alone, before, after = map(_compressed_bytes, (text, seen, seen + text))
    numbers = {
        "validation_loss": nats / scored_tokens,
        "perplexity": math.exp(nats / scored_tokens),
        "bits_per_byte": nats / math.log(2) / scored_bytes,
        "xz_bits_per_byte": 8 * alone / len(text),
        "xz_after_training_text_bits_per_byte": 8 * (after - before) / len(text),
        "xz_training_bytes": len(seen),
        "windows": len(windows),
        "tokens": windows.ids,
        "scored_tokens": scored_tokens,
        "bytes": windows.size_bytes,
        "scored_bytes": scored_bytes,
    }
    numbers |= multiple_choice.accuracies(read_records(paths.CHOICES, Choice))
    tracking.record("evaluate", numbers | {"weights_sha256": checkpoint.sha256(paths.BASE)})


def _text(split: str, most_bytes: int | None = None) -> bytes:
    """Return the text of a split, or its beginning."""
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    text = bytearray()
    for row in table.read(paths.TOKENS, split):
        text += (b"\n" if text else b"") + tokenizer.decode(row.ids.tolist()).encode()
        if most_bytes is not None and len(text) >= most_bytes:
            break
    return bytes(text[:most_bytes])


def _compressed_bytes(text: bytes) -> int:
    return len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
