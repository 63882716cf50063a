"""Instructions with their answers: read, written as prompts, and turned into padded batches."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from components.tasks import rows
from components.tasks.files import Empty, LeaveOut, numbered, read_text, text_fields
from components.tasks.templates import Name, OwnTemplate, Template, spelled_out

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
    """Return what the model is shown; `completion` follows it."""
    texts = spelled_out(template)
    if not record.input and texts.no_input is not None:
        return texts.no_input.format(instruction=record.instruction)
    return texts.prompt.format(instruction=record.instruction, input=record.input)


def completion(record: Instruction, template: Template) -> str:
    """Return what the model should write after the prompt, to be followed by the end token."""
    return spelled_out(template).response.format(output=record.output)


def read_template(path: Path) -> Template:
    """Return the template that a task's file names or spells out (its `template`)."""
    template: Name | dict[str, str] = json.loads(path.read_text(encoding="utf-8"))["template"]
    return OwnTemplate(**template) if isinstance(template, dict) else template


def full(record: Instruction, template: Template) -> str:
    """Return prompt and completion as one text."""
    return prompt(record, template) + completion(record, template)


def answer_in(text: str, template: Template) -> str:
    r"""Return the answer in what a model wrote after a prompt, without white space around it.

    Freed of what the template's response puts before and after an output, where that is there.

    >>> answer_in(" So: 3.\n", OwnTemplate("{instruction} {input}", None, "So: {output}."))
    '3'
    """
    before, _, after = spelled_out(template).response.format(output="\0").partition("\0")
    return text.strip().removeprefix(before.strip()).removesuffix(after.strip()).strip()


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


def padded(batch: Sequence[Row], end_of_text: int) -> Batch:
    """Return rows as tensors, padded to the longest: inputs with `end_of_text`, targets with -100.

    The book's collate (section 7.3), whose targets keep one end token, and which here cannot take an end token inside a
    text for padding.
    """
    longest = max(len(row.inputs) for row in batch)
    inputs = [row.inputs + [end_of_text] * (longest - len(row.inputs)) for row in batch]
    targets = [row.targets + [IGNORED] * (longest - len(row.targets)) for row in batch]
    return torch.tensor(inputs), torch.tensor(targets)


class Batches(rows.Batches[Batch]):
    """Batches of `(inputs, targets)`, padded to the longest row of each, the same for the same seed and index."""

    def __init__(self, examples: Sequence[Row], batch_size: int, seed: int, *, end_of_text: int) -> None:
        super().__init__(len(examples), batch_size, seed)
        self.rows = list(examples)
        self.end_of_text = end_of_text

    @property
    def padding_share(self) -> float:
        """Share of the first epoch's batches that holds no example; 0..1."""
        held = whole = 0
        for index in range(self.steps_per_epoch):
            lengths = [len(self.rows[k].inputs) for k in self.chosen(index)]
            held, whole = held + sum(lengths), whole + max(lengths) * len(lengths)
        return 1 - held / whole

    def batch(self, chosen: Sequence[int]) -> Batch:
        """Return the batch of the rows of these numbers."""
        return padded([self.rows[k] for k in chosen], self.end_of_text)
