"""The embedded default's two tasks, made from signatures and docstrings of the standard library.

Classification: is a docstring a function's, or that of a class or a module. Instructions: questions about a function's
signature, each with one right answer that stands in it or can be counted. The group of both is the top-level module:
split by it, and no module is met in training and in test.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from components.tasks.classification import Labelled
from components.tasks.files import numbered, read_json_lines, text_fields
from components.tasks.instructions import Instruction
from components.tasks.splits import dedupe

Kind = Literal["count", "name", "last", "next"]
FUNCTION = "function"
LABELS = (FUNCTION, "class or module")


@dataclass(frozen=True)
class Entry:
    """A documented function, class or module of the standard library; a method is a function too."""

    module: str
    """Its top-level module."""
    name: str
    """Its full dotted name."""
    kind: str
    """`function`, `class` or `module`."""
    signature: str
    """Such as `def walk(top, topdown=True)`, without annotations."""
    parameters: tuple[str, ...]
    """Names of its parameters, in order, without stars; `self` among them."""
    docstring: str
    """Its docstring; never empty."""


def read(path: Path) -> list[Entry]:
    """Return the pydocs entries, one JSON object a line.

    Raises ValueError with file and row for a field that is missing or not what it should be.
    """
    return numbered(path, read_json_lines(path), _entry)


def classification(entries: Sequence[Entry]) -> list[Labelled]:
    """Return each docstring with one of `LABELS`; equal docstrings once only."""
    return dedupe(
        Labelled(id, each.docstring, LABELS[each.kind != FUNCTION], each.module)
        for id, each in zip(_ids(entries), entries, strict=True)
    )


def instructions(entries: Iterable[Entry], kinds: Sequence[Kind]) -> list[Instruction]:
    """Return the questions of the given kinds about each function's signature; equal questions once only.

    For `def walk(top, topdown=True)`: count "How many parameters does it take?" 2; name "What is it called?" walk; last
    "Which parameter comes last?" topdown; next "Which parameter follows top?" topdown. No question about parameters is
    asked where there are too few to choose from.
    """
    functions = [each for each in entries if each.kind == FUNCTION]
    return dedupe(
        Instruction(f"{id}/{kind}", kind, function.module, question, function.signature, answer)
        for id, function in zip(_ids(functions), functions, strict=True)
        for kind, question, answer in _questions(function)
        if kind in kinds
    )


def _questions(function: Entry) -> Iterator[tuple[Kind, str, str]]:
    parameters = function.parameters
    yield "count", "How many parameters does it take?", str(len(parameters))
    yield "name", "What is it called?", function.name.rpartition(".")[2]
    if len(parameters) > 1:
        yield "last", "Which parameter comes last?", parameters[-1]
        # Drawn by the signature alone, so that equal signatures ask the same question.
        place = hashlib.sha256(function.signature.encode()).digest()[0] % (len(parameters) - 1)
        yield "next", f"Which parameter follows {parameters[place]}?", parameters[place + 1]


def _ids(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield each entry's name; the second of a name (defined once more in another branch) is `name#2`."""
    seen: Counter[str] = Counter()
    for each in entries:
        seen[each.name] += 1
        yield each.name if seen[each.name] == 1 else f"{each.name}#{seen[each.name]}"


def _entry(_: int, row: object) -> Entry:
    fields = text_fields(row, ("module", "name", "kind", "signature", "docstring"))
    assert isinstance(row, dict)  # text_fields looked
    parameters = row.get("parameters")
    if not isinstance(parameters, list):
        raise ValueError("expected a list of parameters")
    names = tuple(text_fields(parameter, ("name",))["name"] for parameter in parameters)
    return Entry(parameters=names, **fields)
