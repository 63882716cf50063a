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
from components.tasks.instructions import Batches, Instruction, Row, encode, pack, row
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
    packed: bool
    """Whether several records share a row of the full context, with nothing to pad; else each has a row of its own."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range, and first weights that cannot be."""
        super().__post_init__()
        starting.check_start(self.start_from, "base")


@stage
def finetune_instructions(finetune_instructions: FinetuneInstructionsSettings) -> None:
    """Train `models/assistant`."""
    rows = train(finetune_instructions)
    record(rows)


@gpu
def train(settings: FinetuneInstructionsSettings) -> dict[str, int]:
    """Train the model; write it, with a note of what it began as, and its curve whole; return the counts of rows."""
    with work("finetune_instructions") as folder:
        return launch.run(fit, settings, folder)


def fit(settings: FinetuneInstructionsSettings, folder: Path) -> dict[str, int]:
    """Train the model with its work in progress in `folder`, in one process or many; return the counts of rows."""
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = starting.first_weights(settings.start_from)
    starting.match(model.config, tokenizer.vocab_size, 1)
    if settings.lora is not None:
        torch.manual_seed(settings.seed)
        lora.add(model, settings.lora, section="finetune_instructions.lora")
    rows = {name: read_rows(name, model, tokenizer, settings) for name in ("train", "validation")}
    numbers = {f"{name}_rows": len(found) for name, found in rows.items()}
    batches = Batches(rows["train"], settings.batch_size, settings.seed, end_of_text=tokenizer.end_of_text)
    held_out_at_once = min(settings.batch_size, len(rows["validation"]))
    validation = Batches(rows["validation"], held_out_at_once, settings.seed, end_of_text=tokenizer.end_of_text)
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
    """Return the rows of a split.

    Raises ValueError, naming the record, for one that is longer than the model's context.
    """
    template = json.loads((paths.INSTRUCTIONS / "task.json").read_text(encoding="utf-8"))["template"]
    rows = []
    for each in read_records(paths.INSTRUCTIONS / f"{split}.jsonl", Instruction):
        example = encode(each, template, tokenizer.encode)
        if len(example) > model.config.context_length:
            raise ValueError(
                f"record {each.id} has {len(example)} tokens with its prompt; the model reads at most "
                f"{model.config.context_length}; shorten it, or start from a model with a longer context"
            )
        rows.append(row(example, tokenizer.end_of_text, mask_prompt=settings.mask_prompt))
    if settings.packed:
        return pack(rows, model.config.context_length, tokenizer.end_of_text)
    return rows


@io
def record(numbers: dict[str, int]) -> None:
    """Record counts, the last losses, the hash of the weights and the machine."""
    facts = fitting.facts(tracking.read_curve("finetune_instructions"), paths.ASSISTANT)
    tracking.record("finetune_instructions", numbers | facts)
