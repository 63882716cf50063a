"""One answer of one model to one record."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Response:
    """What a model answered, beside what was asked and expected."""

    model: str
    """Name of the model that answered."""
    id: str
    """Id of the test record."""
    kind: str
    """Kind of question; answers of a kind are compared with one another."""
    group: str
    """What the question was made from, such as a module; questions of a group are alike."""
    instruction: str
    """What was asked."""
    input: str
    """What it was asked of; may be empty."""
    expected: str
    """The right answer."""
    answer: str
    """The model's answer; may be empty."""
