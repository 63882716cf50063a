"""Make the tasks: labelled texts, instructions and, if asked for, preferences: no duplicates, nothing leaks."""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from components.tasks import pydocs, splits
from components.tasks.classification import (
    Labelled,
    at_most,
    balance,
    check_labels,
    label_shares,
    labels_of,
    most_for_share,
    read_sms,
)
from components.tasks.files import LeftOut, read_records, write_records
from components.tasks.instructions import Instruction, read_alpaca, within
from components.tasks.preferences import Preference, pair, read_pairs
from components.tasks.splits import SPLITS, R, Record, Shares, Split
from components.tasks.templates import OwnTemplate, Template
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from pipeline import checks, paths, tracking
from pipeline.orchestration import io, stage

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOutSettings:
    """What of a task is held out for validation and test."""

    shares: Shares
    """How much goes where; alpaca is cut in its order, training, test, validation, as in the book; a module that the
    corpus holds is on its side there instead."""
    most: int | None
    """Most records in each of validation and test, drawn by content; null keeps all."""
    most_per_module: int | None
    """Most records of one module in each of validation and test, so that none speaks for all; null keeps all."""
    seed: int
    """Seed of balancing, splitting and drawing."""

    def __post_init__(self) -> None:
        """Refuse caps that leave nothing."""
        for name in ("most", "most_per_module"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; expected 1 or more, or null")


@dataclass(frozen=True)
class ClassificationSettings(HeldOutSettings):
    """The task of the classifier."""

    source: Literal["pydocs", "sms"]
    """Made from the embedded corpus, or lines of `label<TAB>text`."""
    file: str
    """The file in `data/raw/tasks`."""
    balance: bool
    """Whether each label gets as many records as the rarest has."""


@dataclass(frozen=True)
class InstructionSettings(HeldOutSettings):
    """The task of the assistant."""

    source: Literal["pydocs", "alpaca"]
    """Made from the embedded corpus, or a JSON list of instruction, input and output."""
    file: str
    """The file in `data/raw/tasks`."""
    kinds: tuple[pydocs.Kind, ...]
    """Kinds of question that are asked; read for pydocs."""
    template: Template
    """How a record is written as a prompt and a response: by name, or spelled out."""
    max_tokens: int | None
    """Longest record, tokens of prompt and answer; longer ones are left out and counted; null keeps all."""

    def __post_init__(self) -> None:
        """Refuse caps that leave nothing."""
        super().__post_init__()
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; expected 1 or more, or null")


@dataclass(frozen=True)
class PreferenceSettings:
    """The task of `prefer`: a JSON list of instruction, input, chosen and rejected, the book's format."""

    file: str
    """The file in `data/raw/tasks`."""
    max_tokens: int | None
    """Longest pair, tokens of prompt and longer answer; longer ones are left out and counted; null keeps all."""
    shares: Shares
    """How much goes where of what the instructions do not ask; what they ask is on its side there."""
    seed: int
    """Seed of the splitting."""

    def __post_init__(self) -> None:
        """Refuse a cap that leaves nothing."""
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; expected 1 or more, or null")


@dataclass(frozen=True)
class LabelShare:
    """How rare a label may be."""

    least: float
    """Least share of the labelled texts that each label has, without duplicates and before balancing; 0..1."""
    on_breach: Literal["stop", "quarantine"]
    """`stop` ends the build; `quarantine` leaves as many texts of commoner labels out, drawn by content, counted, each
    with its reason. More than all labels together can have ends the build in either case."""

    def __post_init__(self) -> None:
        """Refuse what is no share."""
        if not 0 <= self.least <= 1:
            raise ValueError(f"least is {self.least}; expected 0..1")


@dataclass(frozen=True)
class ContractSettings:
    """What the records must be."""

    on_empty: Literal["stop", "quarantine"]
    """At a record of a file without a text, an instruction or an answer, or with two equal answers to prefer: `stop`
    ends the build, `quarantine` leaves the record out, counted, with its place and reason."""
    label_share: LabelShare
    """What each label must have of the labelled texts."""


@dataclass(frozen=True)
class PrepareSettings:
    """The tasks."""

    contract: ContractSettings
    """What their records must be."""
    classification: ClassificationSettings
    """The classifier's."""
    instructions: InstructionSettings
    """The assistant's."""
    preferences: PreferenceSettings | None
    """That of `prefer`, put as prompts as the assistant's; null for none."""


@stage
def prepare(prepare: PrepareSettings) -> None:
    """Write the folders of `data/tasks`."""
    left_out = [
        make_classification(prepare.classification, prepare.contract),
        make_instructions(prepare.instructions, prepare.contract),
        make_preferences(prepare.preferences, prepare.instructions.template, prepare.contract),
    ]
    quarantine(left_out)
    check(prepare.contract)
    record(left_out)


@io
def make_classification(settings: ClassificationSettings, contract: ContractSettings) -> dict[str, list[LeftOut]]:
    """Write the labelled texts of each split, the labels and their shares; return what was left out, by kind."""
    file = _task_file("classification", settings.file)
    empty: list[LeftOut] = []
    leave_out = empty.append if contract.on_empty == "quarantine" else None
    found = read_sms(file, leave_out) if settings.source == "sms" else pydocs.classification(pydocs.read(file))
    records, copies = without_copies(found, file.name)
    check_labels(records)
    surplus: list[LeftOut] = []
    if contract.label_share.on_breach == "quarantine":
        records, surplus = without_surplus(records, contract.label_share.least, settings.seed, file.name)
    if surplus:
        said = "%d texts are left out: %s; all such are listed in %s"
        log.warning(said, len(surplus), surplus[0][1], paths.TASKS_QUARANTINE)
    shares = label_shares(records)
    if settings.balance:
        records = balance(records, settings.seed)
    if settings.source == "sms":
        parts = splits.by_content(records, settings.shares, settings.seed)
    else:
        parts = splits.by_group(records, sides(records, settings))
    _write(paths.CLASSIFICATION, capped(parts, settings), {"labels": labels_of(parts), "shares": shares})
    return {"empty_records": empty, "duplicate_records": copies, "labelled_surplus": surplus}


def without_copies(records: Sequence[R], file: str) -> tuple[list[R], list[LeftOut]]:
    """Return the records of a file without those whose content stood earlier already, and these with the reason."""
    copies: list[LeftOut] = []

    def leave_out(copy: R, first: R) -> None:
        copies.append((f"{file}: {copy.id}", f"the same as {first.id}"))

    return splits.dedupe(records, leave_out), copies


def without_surplus(
    records: Sequence[Labelled], least: float, seed: int, file: str
) -> tuple[list[Labelled], list[LeftOut]]:
    """Return so many records of a file that each label has its least share, and the others, of commoner ones."""
    shares = label_shares(records)
    kept = at_most(records, most_for_share(records, least), seed)
    ids = {each.id for each in kept}
    rarest = min(shares, key=shares.__getitem__)
    reason = f"label_share of {rarest!r} is {shares[rarest]:.6g}; expected at least {least:.6g}; this one is "
    return kept, [(f"{file}: {each.id}", reason + repr(each.label)) for each in records if each.id not in ids]


@io
def make_instructions(settings: InstructionSettings, contract: ContractSettings) -> dict[str, list[LeftOut]]:
    """Write the instructions of each split, and how they are put as prompts; return what was left out, by kind."""
    file = _task_file("instructions", settings.file)
    empty: list[LeftOut] = []
    leave_out = empty.append if contract.on_empty == "quarantine" else None
    if settings.source == "alpaca":
        found, copies = without_copies(read_alpaca(file, leave_out), file.name)
    else:
        found, copies = pydocs.instructions(pydocs.read(file), settings.kinds), []
    too_long: list[Instruction] = []
    if settings.max_tokens is not None:
        encode = Tokenizer.load(paths.TOKENIZER).encode
        found, too_long = within(found, settings.template, encode, settings.max_tokens)
    if settings.source == "alpaca":
        parts = splits.by_position(found, settings.shares.train, settings.shares.test)
    else:
        parts = splits.by_group(found, sides(found, settings))
    _write(paths.INSTRUCTIONS, capped(parts, settings), {"template": spelled(settings.template)})
    long = beyond(too_long, file.name, settings.max_tokens)
    return {"empty_records": empty, "duplicate_records": copies, "instructions_too_long": long}


def beyond(records: Sequence[Record], file: str, most_tokens: int | None) -> list[LeftOut]:
    """Return records of a file that have more tokens than they may, with the reason."""
    return [(f"{file}: {each.id}", f"more tokens than max_tokens, which is {most_tokens}") for each in records]


@io
def make_preferences(
    settings: PreferenceSettings | None, template: Template, contract: ContractSettings
) -> dict[str, list[LeftOut]]:
    """Write the pairs of each split, and return what was left out, by kind; without settings there is nothing.

    A prompt that the instructions have too is on its side there: what they are tested on no pair teaches.
    """
    if settings is None:
        _write(paths.PREFERENCES, dict.fromkeys(SPLITS, ()), {"template": None})
        return {}
    file = _task_file("preferences", settings.file)
    empty: list[LeftOut] = []
    leave_out = empty.append if contract.on_empty == "quarantine" else None
    found, copies = without_copies(read_pairs(file, leave_out), file.name)
    fitting, too_long = found, list[Preference]()
    if settings.max_tokens is not None:
        tokenizer = Tokenizer.load(paths.TOKENIZER)
        sizes = [len(pair(each, template, tokenizer.encode, tokenizer.end_of_text)) for each in found]
        fitting = [each for each, size in zip(found, sizes, strict=True) if size <= settings.max_tokens]
        too_long = [each for each, size in zip(found, sizes, strict=True) if size > settings.max_tokens]
    asked = {name: read_records(paths.INSTRUCTIONS / f"{name}.jsonl", Instruction) for name in SPLITS}
    side_of = {each.content: name for name, records in asked.items() for each in records}
    parts = divided(fitting, side_of, settings)
    _write(paths.PREFERENCES, parts, {"template": spelled(template)})
    long = beyond(too_long, file.name, settings.max_tokens)
    return {"empty_records": empty, "duplicate_records": copies, "preferences_too_long": long}


def divided(
    pairs: Sequence[Preference], side_of: Mapping[str, Split], settings: PreferenceSettings
) -> dict[Split, list[Preference]]:
    """Return the pairs of each split, those that a mapping from content to split knows on its side.

    Raises ValueError for an empty split; the shares are to blame only where some pair is drawn by them.
    """
    given = Counter(side_of[each.content] for each in pairs if each.content in side_of)
    if pairs and given.total() == len(pairs) and len(given) < len(SPLITS):
        counts = ", ".join(f"{name} {given[name]}" for name in SPLITS)
        raise ValueError(
            f"prepare.preferences: each of the {len(pairs)} pairs asks what an instruction asks and is on its side "
            f"({counts}), whatever the shares; add pairs that ask something else"
        )
    try:
        return splits.by_side(pairs, side_of, settings.shares, settings.seed)
    except ValueError as error:
        raise ValueError(f"prepare.preferences: {error}") from error


def spelled(template: Template) -> str | dict[str, str | None]:
    """Return a template as a task's file has it: its name, or the texts of an own one."""
    return dataclasses.asdict(template) if isinstance(template, OwnTemplate) else template


@io
def quarantine(left_out: list[dict[str, list[LeftOut]]]) -> None:
    """Write the place of each record that was left out, and the reason; there may be none."""
    rows = [each for of_task in left_out for of_kind in of_task.values() for each in of_kind]
    with paths.whole(paths.TASKS_QUARANTINE) as temporary:
        pd.DataFrame(rows, columns=["place", "reason"], dtype="string").to_parquet(temporary, index=False)


def capped(parts: Mapping[Split, Sequence[R]], settings: HeldOutSettings) -> dict[Split, list[R]]:
    """Return the splits with as many held-out records as the settings let them have."""
    return splits.capped(parts, most=settings.most, most_per_group=settings.most_per_module, seed=settings.seed)


def sides(records: Sequence[Record], settings: HeldOutSettings) -> dict[str, Split]:
    """Return each module's split.

    Training where the corpus trains on it; validation or test, half and half by the records that count, where the
    corpus holds it out; as drawn where the corpus does not have it.
    """
    trained = table.sources(paths.TOKENS, "train")
    held_out = table.sources(paths.TOKENS, "validation") - trained
    sizes = Counter(each.group for each in records)
    side = splits.draw(sizes.keys() - trained - held_out, settings.shares, settings.seed)
    side |= dict.fromkeys(sizes.keys() & trained, "train")
    counted = {name: min(size, settings.most_per_module or size) for name, size in sizes.items() if name in held_out}
    return side | splits.halve(counted)


def _task_file(task: str, name: str) -> Path:
    file = paths.RAW_TASKS / name
    if not file.is_file():
        raise ValueError(f"prepare.{task}.file is {name}, but {file} is not here; name a source with role: tasks")
    return file


def _write(
    target: Path, parts: Mapping[Split, Sequence[Labelled] | Sequence[Instruction] | Sequence[Preference]], task: object
) -> None:
    with paths.whole(target) as folder:
        for name, records in parts.items():
            write_records(records, folder / f"{name}.jsonl")
        (folder / "task.json").write_text(json.dumps(task, indent=1) + "\n", encoding="utf-8")


@io
def check(contract: ContractSettings) -> None:
    """Check the tasks."""
    task = json.loads((paths.CLASSIFICATION / "task.json").read_text(encoding="utf-8"))
    labelled = pd.DataFrame(
        {"id": each.id, "text": each.text, "characters": len(each.text), "label": each.label, "split": name}
        for name in SPLITS
        for each in read_records(paths.CLASSIFICATION / f"{name}.jsonl", Labelled)
    )
    labelled = labelled.assign(label_share=labelled["label"].map(task["shares"]), label_share_place=labelled["label"])
    checks.check("classification", labelled, checks.classification(task["labels"], contract.label_share.least))
    asked = [
        {
            "id": each.id,
            "instruction": each.instruction,
            "input": each.input,
            "instruction_characters": len(each.instruction),
            "output_characters": len(each.output),
            "split": name,
        }
        for name in SPLITS
        for each in read_records(paths.INSTRUCTIONS / f"{name}.jsonl", Instruction)
    ]
    checks.check("instructions", pd.DataFrame(asked), checks.instructions())
    task = json.loads((paths.PREFERENCES / "task.json").read_text(encoding="utf-8"))
    pairs = [
        {
            "id": each.id,
            "instruction": each.instruction,
            "input": each.input,
            "instruction_characters": len(each.instruction),
            "chosen_characters": len(each.chosen),
            "rejected_characters": len(each.rejected),
            "split": name,
        }
        for name in SPLITS
        for each in read_records(paths.PREFERENCES / f"{name}.jsonl", Preference)
    ]
    checks.check("preferences", pd.DataFrame(pairs or {"id": []}), checks.preferences(task["template"]))


@io
def record(left_out: list[dict[str, list[LeftOut]]]) -> None:
    """Record how many records each split has, and what was left out; of preferences only where they were asked for."""
    counts: Counter[str] = Counter()
    for of_task in left_out:
        counts.update({kind: len(its) for kind, its in of_task.items()})
    tasks: list[tuple[Path, type[Labelled | Instruction | Preference]]]
    tasks = [(paths.CLASSIFICATION, Labelled), (paths.INSTRUCTIONS, Instruction)]
    if "preferences_too_long" in counts:
        tasks.append((paths.PREFERENCES, Preference))
    numbers = {
        f"{folder.name}_{name}": len(read_records(folder / f"{name}.jsonl", kind))
        for folder, kind in tasks
        for name in SPLITS
    }
    tracking.record("prepare", numbers | counts)
