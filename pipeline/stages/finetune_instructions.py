"""Train the assistant: the base model on instructions with their answers."""

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch

from components.gpt import checkpoint, lora
from components.gpt.lora import LoraSettings
from components.gpt.model import GPT
from components.tasks.files import read_records
from components.tasks.instructions import Batches, Instruction, Row, encode, read_template, row
from components.tasks.packing import PackedBatches
from components.tokenizer.bpe import Tokenizer
from components.training.loop import TrainingSettings
from components.training.losses import next_token
from pipeline import fitting, launch, paths, starting, tracking
from pipeline.orchestration import gpu, io, stage
from pipeline.work import work


@dataclass(frozen=True)
class FinetuneInstructionsSettings(TrainingSettings):
    """First weights, how records become rows, and the training."""

    start_from: str
    """`base`, a published size such as `gpt2-355M`, or a folder with a checkpoint."""
    lora: LoraSettings | None
    """Learn a change of low rank of the chosen maps, nothing else; null learns everything."""
    mask_prompt: bool
    """Whether only the answer is learned, not the prompt."""
    row_tokens: int | None
    """Tokens of a row that several records fill, none of which sees another, up to the model's context; null gives each
    record a row of its own, padded to the longest of its batch."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and first weights that cannot be."""
        super().__post_init__()
        if self.row_tokens is not None and self.row_tokens < 1:
            raise ValueError(f"row_tokens is {self.row_tokens}; expected 1 or more, or null")
        starting.check_start(self.start_from, "base")


@stage
def finetune_instructions(finetune_instructions: FinetuneInstructionsSettings) -> None:
    """Train `models/assistant`."""
    numbers = train(finetune_instructions)
    record(numbers)


@gpu
def train(settings: FinetuneInstructionsSettings) -> dict[str, float]:
    """Train the model; write it, with a note of what it began as, and its curve whole; return what is said of rows."""
    with work("finetune_instructions") as folder:
        return launch.run(fit, settings, folder)


def fit(settings: FinetuneInstructionsSettings, folder: Path) -> dict[str, float]:
    """Train the model with its work in progress in `folder`, in one process or many; return what is said of rows."""
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = starting.first_weights(settings.start_from)
    starting.match(model.config, tokenizer.vocab_size, 1)
    if settings.lora is not None:
        torch.manual_seed(settings.seed)
        lora.add(model, settings.lora, section="finetune_instructions.lora")
    rows = {name: read_rows(name, model, tokenizer, settings) for name in ("train", "validation")}
    with fitting.in_section("finetune_instructions"):
        batches = batched(rows["train"], settings.batch_size, tokenizer.end_of_text, settings)
    held_out_at_once = min(settings.batch_size, len(rows["validation"]))
    validation = batched(rows["validation"], held_out_at_once, tokenizer.end_of_text, settings)
    numbers = {
        "train_rows": len(batches.rows),
        "validation_rows": len(validation.rows),
        "train_padding_share": batches.padding_share,
    }
    curve = fitting.fit(
        model,
        batches,
        next_token,
        settings,
        lambda: islice(validation.in_order(), settings.evaluate_batches),
        folder,
    )
    tracking.write_curve("finetune_instructions", curve)
    lora.merge(model)
    with paths.whole(paths.ASSISTANT) as made:
        checkpoint.save(model, made)
        origin = {"start_from": settings.start_from}
        (made / "origin.json").write_text(json.dumps(origin) + "\n", encoding="utf-8")
    return numbers


def read_rows(split: str, model: GPT, tokenizer: Tokenizer, settings: FinetuneInstructionsSettings) -> list[Row]:
    """Return a row for each record of a split.

    Raises ValueError, naming file and row, for a record that is longer than the model's context or a packed row.
    """
    template = read_template(paths.INSTRUCTIONS / "task.json")
    room, whose = most_tokens(model.config.context_length, settings)
    file = paths.INSTRUCTIONS / f"{split}.jsonl"
    rows = []
    for number, each in enumerate(read_records(file, Instruction), start=1):
        example = encode(each, template, tokenizer.encode)
        if len(example) > room:
            raise ValueError(
                f"{file}, row {number}: record {each.id} has {len(example)} tokens, {len(example.prompt)} of them its "
                f"prompt; {whose} at most {room}; prepare.instructions.max_tokens: {room} leaves such records out"
            )
        rows.append(row(example, tokenizer.end_of_text, mask_prompt=settings.mask_prompt))
    return rows


def most_tokens(context_length: int, settings: FinetuneInstructionsSettings) -> tuple[int, str]:
    """Return how long a record may be, tokens, and the words that say why; ValueError for rows past the context."""
    if settings.row_tokens is None:
        return context_length, "the model reads"
    if settings.row_tokens > context_length:
        raise ValueError(
            f"finetune_instructions.row_tokens is {settings.row_tokens}; expected 1..{context_length} (what the model "
            "reads at once), or null"
        )
    return settings.row_tokens, "finetune_instructions.row_tokens has room for"


def batched(
    rows: list[Row], batch_size: int, end_of_text: int, settings: FinetuneInstructionsSettings
) -> Batches | PackedBatches:
    """Return batches of rows, packed or padded."""
    if settings.row_tokens is None:
        return Batches(rows, batch_size, settings.seed, end_of_text=end_of_text)
    return PackedBatches(rows, settings.row_tokens, batch_size, settings.seed, end_of_text=end_of_text)


@io
def record(numbers: dict[str, float]) -> None:
    """Record counts, the last losses, the hash of the weights and the machine."""
    facts = fitting.facts(tracking.read_curve("finetune_instructions"), paths.ASSISTANT)
    tracking.record("finetune_instructions", numbers | facts)
