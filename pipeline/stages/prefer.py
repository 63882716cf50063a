"""Teach the assistant which of two answers is preferred, by direct preference optimisation; without steps it stays."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import fmean

import torch

from components.gpt import checkpoint, lora
from components.gpt.lora import LoraSettings
from components.gpt.model import GPT
from components.scoring.margin import Margin
from components.tasks.files import read_records, write_records
from components.tasks.instructions import read_template
from components.tasks.preferences import Batches, Pair, Preference, pair
from components.tasks.splits import SPLITS, Split
from components.tokenizer.bpe import Tokenizer
from components.training.loop import TrainingSettings
from components.training.preference import all_log_probabilities, dpo
from pipeline import fitting, launch, machine, paths, starting, tracking
from pipeline.orchestration import gpu, io, stage
from pipeline.work import work

HELD_OUT: tuple[Split, ...] = ("validation", "test")


@dataclass(frozen=True)
class PreferSettings(TrainingSettings):
    """How strongly the assistant is held to what it was, and the training; no step leaves it as it is."""

    beta: float
    """Nats of loss per nat of margin, above 0; the larger, the sooner a pair counts as learned, the less changes."""
    lora: LoraSettings | None
    """Learn a change of low rank of the chosen maps, nothing else; null learns everything."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        super().__post_init__()
        if not 0.0 < self.beta < float("inf"):
            raise ValueError(f"beta is {self.beta}; expected a number above 0")


@stage
def prefer(prefer: PreferSettings) -> None:
    """Train `models/preferred`; without steps it is `models/assistant`."""
    if prefer.max_steps:
        train(prefer)
    else:
        keep()
    record(prefer.beta)


@io
def keep() -> None:
    """Take the assistant as it is; nothing is loaded, no pair is asked for."""
    with paths.whole(paths.PREFERRED) as made:
        shutil.copytree(paths.ASSISTANT, made)
    write_margins([])
    tracking.write_curve("prefer", [])


@gpu
def train(settings: PreferSettings) -> None:
    """Train the model; write it, its curve and the margins of the held-out pairs whole."""
    with work("prefer") as folder:
        launch.run(fit, settings, folder)


def fit(settings: PreferSettings, folder: Path) -> None:
    """Train the model with its work in progress in `folder`, in one process or many.

    The reference is the assistant, however often a run goes on: what it says of each pair is worked out from its file.
    """
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    model = checkpoint.load(paths.ASSISTANT)
    starting.match(model.config, tokenizer.vocab_size, 1)
    records = {name: read_records(paths.PREFERENCES / f"{name}.jsonl", Preference) for name in SPLITS}
    batches, before = {}, {}
    for name in SPLITS:
        pairs = read_pairs(records[name], model, tokenizer)
        at_once = settings.batch_size if name == "train" else min(settings.batch_size, len(pairs))
        with fitting.in_section("prefer"):
            its = Batches(pairs, torch.zeros(len(pairs)), at_once, settings.seed, end_of_text=tokenizer.end_of_text)
        chosen, rejected = before[name] = all_log_probabilities(model, its.in_order(), device=device())
        its.leads = chosen - rejected
        batches[name] = its
    if settings.lora is not None:
        torch.manual_seed(settings.seed)
        lora.add(model, settings.lora, section="prefer.lora")
    validation = batches["validation"]
    curve = fitting.fit(
        model,
        batches["train"],
        partial(dpo, beta=settings.beta),
        settings,
        lambda: islice(validation.in_order(), settings.evaluate_batches),
        folder,
    )
    tracking.write_curve("prefer", curve)
    lora.merge(model)
    with paths.whole(paths.PREFERRED) as made:
        checkpoint.save(model, made)
        shutil.copy(paths.ASSISTANT / "origin.json", made)
    found = [margins(name, records[name], model, batches[name], before[name]) for name in HELD_OUT]
    write_margins([each for its in found for each in its])


def device() -> torch.device:
    """Return where pairs are scored: a model that is trained in shards may fit no device, and is scored on the CPU."""
    return torch.device("cpu" if machine.is_sharded() else machine.device())


def read_pairs(records: Sequence[Preference], model: GPT, tokenizer: Tokenizer) -> list[Pair]:
    """Return the pairs of a split as ids.

    Raises ValueError where there are none, and, naming the record, for one that is longer than the model's context.
    """
    task = paths.PREFERENCES / "task.json"
    if json.loads(task.read_text(encoding="utf-8"))["template"] is None:
        raise ValueError(
            "prefer.max_steps is not 0, but there are no pairs; set it to 0, or name a file in prepare.preferences"
        )
    template = read_template(task)
    pairs = []
    for each in records:
        made = pair(each, template, tokenizer.encode, tokenizer.end_of_text)
        if len(made) > model.config.context_length:
            raise ValueError(
                f"record {each.id} has {len(made)} tokens with its prompt; the model reads at most "
                f"{model.config.context_length}; set prepare.preferences.max_tokens to leave longer ones out"
            )
        pairs.append(made)
    return pairs


def margins(
    split: Split, records: Sequence[Preference], model: GPT, batches: Batches, before: tuple[torch.Tensor, torch.Tensor]
) -> list[Margin]:
    """Return what the model says of each pair of a split, beside what the reference says."""
    after = all_log_probabilities(model, batches.in_order(), device=device())
    numbers = zip(*(each.tolist() for each in (*before, *after)), strict=True)
    return [Margin(each.id, each.group, split, *its) for each, its in zip(records, numbers, strict=True)]


def write_margins(found: Sequence[Margin]) -> None:
    """Write the held-out pairs, one a line; without pairs too, for DVC expects the file."""
    with paths.whole(paths.MARGINS) as temporary:
        write_records(found, temporary)


@io
def record(beta: float) -> None:
    """Record the last losses, the hash of the weights, the machine, and of each held-out split what has changed.

    Leads and margins are in nats per token; a reward margin is beta times a margin, as in the paper (the book prints
    the margin itself). Accuracy: the share of pairs whose margin is above 0.
    """
    numbers: dict[str, float | int | str] = {}
    margins = read_records(paths.MARGINS, Margin)
    for name in HELD_OUT:
        if its := [each for each in margins if each.split == name]:
            numbers |= {f"{name}_{what}": value for what, value in summary(its, beta).items()}
    facts = fitting.facts(tracking.read_curve("prefer"), paths.PREFERRED)
    tracking.record("prefer", facts | numbers)


def summary(found: Sequence[Margin], beta: float) -> dict[str, float | int]:
    """Return the means over some pairs, and how many there are."""
    margin = fmean(each.margin for each in found)
    return {
        "pairs": len(found),
        "lead_before": fmean(each.lead_before for each in found),
        "lead": fmean(each.lead for each in found),
        "likelier_before": fmean(each.lead_before > 0 for each in found),
        "likelier": fmean(each.lead > 0 for each in found),
        "margin": margin,
        "reward_margin": beta * margin,
        "accuracy": fmean(each.margin > 0 for each in found),
    }
