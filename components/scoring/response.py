"""One answer of one model to one record, and the names of those who answer."""

from dataclasses import dataclass

TUNED, PREFERRED, UNTUNED, SHOWN = "tuned", "preferred", "untuned", "untuned, shown examples"
CONSTANT, COPY = "best constant", "copied input"  # of those who know nothing


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
