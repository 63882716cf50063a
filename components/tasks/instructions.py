"""Instructions with their answers: read, written as prompts, and turned into padded or packed batches."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from components.tasks import rows
from components.tasks.files import Empty, LeaveOut, numbered, read_text, text_fields

Template = Literal["alpaca", "phi3", "plain"]
Batch = tuple[Int64[Tensor, "batch token"], Int64[Tensor, "batch token"]]
IGNORED = -100
"""The target that a loss leaves out: torch's cross_entropy, ignore_index."""


@dataclass(frozen=True)
class Instruction:
    """What is asked, of which input, and the expected output; Empty, a ValueError, without an instruction or output."""

    id: str
    """Name of the record; unique in its task."""
    kind: str
    """Name of the kind of question; records of a kind are scored together."""
    group: str
    """What the record was taken from, such as a module; the record's own id where it stands for itself."""
    instruction: str
    """What is asked."""
    input: str
    """What it is asked of; may be empty."""
    output: str
    """The expected answer."""

    def __post_init__(self) -> None:
        for name in ("instruction", "output"):
            if not getattr(self, name).strip():
                raise Empty(f"the {name} is empty")

    @property
    def content(self) -> str:
        """Instruction and input: the pair may stand in one split only."""
        return json.dumps([self.instruction, self.input], ensure_ascii=False)


def read_alpaca(path: Path, leave_out: LeaveOut | None = None) -> list[Instruction]:
    """Return the records of a JSON list of `{instruction, input, output}`, Alpaca's and the book's format.

    Their kind is "instruction"; duplicates are kept (`splits.dedupe` drops them). Raises ValueError with file and row
    for a missing field and, without `leave_out`, for an empty instruction or output.
    """
    try:
        values = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON (line {error.lineno}: {error.msg}); expected a list of objects") from error
    if not isinstance(values, list):
        raise ValueError(f"{path}: expected a JSON list of objects, got {type(values).__name__}")

    def record(number: int, value: object) -> Instruction:
        fields = text_fields(value, ("instruction", "input", "output"))
        return Instruction(id=f"instruction-{number}", kind="instruction", group=f"instruction-{number}", **fields)

    return numbered(path, values, record, leave_out)


def prompt(record: Instruction, template: Template) -> str:
    """Return what the model is shown; `completion` follows it.

    Sources: alpaca: github.com/tatsu-lab/stanford_alpaca, without its second preamble, as the book writes it (section
    7.2); phi3: the book's exercise 7.1 (rasbt/LLMs-from-scratch,
    ch07/01_main-chapter-code/exercise_experiments.py). plain: three lines, for a small model with a short context.
    """
    match template:
        case "alpaca":
            given = f"\n\n### Input:\n{record.input}" if record.input else ""
            return (
                "Below is an instruction that describes a task. Write a response that appropriately completes the"
                f" request.\n\n### Instruction:\n{record.instruction}{given}\n\n### Response:\n"
            )
        case "phi3":
            given = f"\n{record.input}" if record.input else ""
            return f"<|user|>\n{record.instruction}{given}\n<|assistant|>:\n"
        case "plain":
            given = f"{record.input}\n" if record.input else ""
            return f"{record.instruction}\n{given}Answer:"


def completion(record: Instruction, template: Template) -> str:
    """Return what the model should write after the prompt, to be followed by the end token.

    In "plain" it begins with a space, as words do in running text: what is copied from the prompt has the same tokens.
    """
    return f" {record.output}" if template == "plain" else record.output


def full(record: Instruction, template: Template) -> str:
    """Return prompt and completion as one text."""
    return prompt(record, template) + completion(record, template)


def worked_examples(records: Sequence[Instruction], count: int) -> dict[str, list[Instruction]]:
    """Return for each kind its `count` shortest records, no output twice: examples that leave room in the context.

    Taken from the training split. Fewer where a kind has fewer outputs. Of equally long ones the first id comes first.
    """
    shown: dict[str, list[Instruction]] = {}
    for record in sorted(records, key=lambda record: (len(full(record, "plain")), record.id)):
        chosen = shown.setdefault(record.kind, [])
        if len(chosen) < count and record.output not in {each.output for each in chosen}:
            chosen.append(record)
    return shown


def few_shot(shown: Sequence[Instruction], record: Instruction, template: Template) -> str:
    """Return the record's prompt after examples with their answers: what an untuned model needs to know the task."""
    return "\n\n".join([*(full(example, template) for example in shown), prompt(record, template)])


def answer(text: str, template: Template) -> str:
    r"""Return the answer in what a model wrote after a prompt, without white space around it.

    In "plain" an answer is one line: an untuned model never ends by itself, and what it adds is not held against it.

    >>> answer(" walk\nWhat is it called?", "plain")
    'walk'
    """
    return text.strip().partition("\n")[0].strip() if template == "plain" else text.strip()


@dataclass(frozen=True)
class Example:
    """A record as ids, without an end token."""

    prompt: list[int]
    """Token ids of the prompt."""
    completion: list[int]
    """Token ids of the completion."""

    def __len__(self) -> int:
        """Return the tokens of both, without the end token: what a model's context must hold."""
        return len(self.prompt) + len(self.completion)


def encode(record: Instruction, template: Template, encoder: Callable[[str], list[int]]) -> Example:
    """Return prompt and completion encoded apart, so that training meets the very prompt that answering does."""
    return Example(encoder(prompt(record, template)), encoder(completion(record, template)))


def within(
    records: Sequence[Instruction], template: Template, encoder: Callable[[str], list[int]], max_tokens: int
) -> tuple[list[Instruction], list[Instruction]]:
    """Return the records whose prompt and completion have at most `max_tokens` tokens, and those that have more."""
    lengths = [len(encode(record, template, encoder)) for record in records]
    fitting = [record for record, length in zip(records, lengths, strict=True) if length <= max_tokens]
    return fitting, [record for record, length in zip(records, lengths, strict=True) if length > max_tokens]


@dataclass(frozen=True)
class Row:
    """Inputs and the target after each of them, equally long."""

    inputs: list[int]
    targets: list[int]


def row(example: Example, end_of_text: int, *, mask_prompt: bool) -> Row:
    """Return an example as inputs and targets: the targets end with the end token; a masked prompt counts for nothing.

    >>> row(Example([1, 2], [3, 4]), 9, mask_prompt=True)
    Row(inputs=[1, 2, 3, 4], targets=[-100, 3, 4, 9])
    """
    inputs = example.prompt + example.completion
    targets = [*inputs[1:], end_of_text]
    n_masked = max(len(example.prompt) - 1, 0) if mask_prompt else 0
    return Row(inputs, [IGNORED] * n_masked + targets[n_masked:])


def pack(examples: Sequence[Row], length: int, end_of_text: int) -> list[Row]:
    """Return fewer, longer rows: examples in their order, joined by the end token, up to `length` tokens a row.

    No row is cut and none shares a row that it does not fit into. What follows a joining end token is no target: nobody
    can know which example comes next. Raises ValueError for an example longer than `length`.
    """
    packed: list[Row] = []
    for number, example in enumerate(examples):
        if len(example.inputs) > length:
            raise ValueError(f"example {number} has {len(example.inputs)} tokens; expected at most {length}")
        if packed and len(packed[-1].inputs) + 1 + len(example.inputs) <= length:
            before = packed.pop()
            example = Row([*before.inputs, end_of_text, *example.inputs], [*before.targets, IGNORED, *example.targets])
        packed.append(example)
    return packed


class Batches:
    """Batches of `(inputs, targets)`, padded to the longest row of each, the same for the same seed and index.

    Inputs are padded with `end_of_text`, targets with -100: the book's collate (section 7.3), whose targets keep one
    end token, and which here cannot take an end token inside a text for padding.
    """

    def __init__(self, examples: Sequence[Row], batch_size: int, seed: int, *, end_of_text: int) -> None:
        self.steps_per_epoch = rows.steps_per_epoch(len(examples), batch_size)
        self.rows = list(examples)
        self.batch_size = batch_size
        self.seed = seed
        self.end_of_text = end_of_text

    def __call__(self, index: int) -> Batch:
        """Return batch `index` (from 0, without end): each epoch a new order, the short rest of an epoch left out."""
        return self._batch(self.chosen(index))

    def chosen(self, index: int) -> list[int]:
        """Return the numbers of the rows in batch `index`."""
        return rows.shuffled(index, len(self.rows), self.batch_size, self.seed)

    def in_order(self) -> Iterator[Batch]:
        """Yield every row once, in order, the last batch short."""
        return (self._batch(chosen) for chosen in rows.in_order(len(self.rows), self.batch_size))

    def _batch(self, chosen: Sequence[int]) -> Batch:
        batch = [self.rows[k] for k in chosen]
        longest = max(len(row.inputs) for row in batch)
        inputs = [row.inputs + [self.end_of_text] * (longest - len(row.inputs)) for row in batch]
        targets = [row.targets + [IGNORED] * (longest - len(row.targets)) for row in batch]
        return torch.tensor(inputs), torch.tensor(targets)
