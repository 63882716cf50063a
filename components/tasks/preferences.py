"""Pairs of answers to one prompt, of which one is preferred: read, and turned into padded batches of both."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int64
from torch import Tensor

from components.tasks import instructions, rows
from components.tasks.files import Empty, LeaveOut, numbered, read_text, text_fields
from components.tasks.instructions import Instruction, Row
from components.tasks.templates import Template

Batch = tuple[Int64[Tensor, "pair two token"], Int64[Tensor, "pair two token"], Float[Tensor, " pair"]]


@dataclass(frozen=True)
class Preference:
    """What is asked, of which input, the preferred answer and the other.

    Empty, a ValueError, without an instruction or an answer, and where both answers are one: nothing is preferred.
    """

    id: str
    """Name of the record; unique in its task."""
    group: str
    """What the record was taken from; its own id where it stands for itself."""
    instruction: str
    """What is asked."""
    input: str
    """What it is asked of; may be empty."""
    chosen: str
    """The preferred answer."""
    rejected: str
    """The other answer."""

    def __post_init__(self) -> None:
        for name in ("instruction", "chosen", "rejected"):
            if not getattr(self, name).strip():
                raise Empty(f"the {name} is empty")
        if self.chosen.strip() == self.rejected.strip():
            raise Empty("chosen and rejected are the same; expected two different answers")

    @property
    def content(self) -> str:
        """Instruction and input, as of an Instruction: the pair may stand in one split only."""
        return self.answered(self.chosen).content

    def answered(self, answer: str) -> Instruction:
        """Return what is asked as an instruction with an answer."""
        return Instruction(self.id, "preference", self.group, self.instruction, self.input, answer)


def read_pairs(path: Path, leave_out: LeaveOut | None = None) -> list[Preference]:
    """Return the records of a JSON list of `{instruction, input, chosen, rejected}`, the book's format.

    Duplicates are kept (`splits.dedupe` drops them). Raises ValueError with file and row for a missing field and,
    without `leave_out`, for an empty text and for two equal answers.
    """
    try:
        values = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON (line {error.lineno}: {error.msg}); expected a list of objects") from error
    if not isinstance(values, list):
        raise ValueError(f"{path}: expected a JSON list of objects, got {type(values).__name__}")

    def record(number: int, value: object) -> Preference:
        fields = text_fields(value, ("instruction", "input", "chosen", "rejected"))
        return Preference(id=f"preference-{number}", group=f"preference-{number}", **fields)

    return numbered(path, values, record, leave_out)


@dataclass(frozen=True)
class Pair:
    """Both answers as inputs and targets behind the same prompt, which is no target."""

    chosen: Row
    rejected: Row

    def __len__(self) -> int:
        """Return the tokens of prompt and longer answer: what a model's context must hold."""
        return max(len(self.chosen.inputs), len(self.rejected.inputs))


def pair(record: Preference, template: Template, encoder: Callable[[str], list[int]], end_of_text: int) -> Pair:
    """Return a record as ids; the targets are the tokens of each answer and the end token, as of an instruction."""
    chosen, rejected = (
        instructions.row(instructions.encode(record.answered(answer), template, encoder), end_of_text, mask_prompt=True)
        for answer in (record.chosen, record.rejected)
    )
    return Pair(chosen, rejected)


class Batches(rows.Batches[Batch]):
    """Batches of `(inputs, targets, leads)`, the same for the same seed and index.

    Of each pair the first row is the chosen answer's, the second the rejected one's, both padded to the longest of the
    batch: inputs with `end_of_text`, targets with -100. `leads` is a number for each pair, handed on as it is: by how
    much a reference prefers the chosen answer.
    """

    def __init__(
        self, pairs: Sequence[Pair], leads: Float[Tensor, " pair"], batch_size: int, seed: int, *, end_of_text: int
    ) -> None:
        super().__init__(len(pairs), batch_size, seed)
        self.pairs = list(pairs)
        self.leads = leads
        self.end_of_text = end_of_text

    def batch(self, chosen: Sequence[int]) -> Batch:
        """Return the batch of the pairs of these numbers."""
        both = [row for k in chosen for row in (self.pairs[k].chosen, self.pairs[k].rejected)]
        inputs, targets = instructions.padded(both, self.end_of_text)
        return inputs.view(len(chosen), 2, -1), targets.view(len(chosen), 2, -1), self.leads[list(chosen)]
