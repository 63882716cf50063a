"""The embedded default's two tasks, made from signatures and docstrings of the standard library.

Classification: does a function return a value, judged by signature and docstring as `help` shows them. Instructions:
questions about a signature, each with one right answer that stands in it or can be counted. The group of both is the
top-level module: split by it, and no module is met in training and in test.
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
LABELS = ("returns a value", "returns nothing")


@dataclass(frozen=True)
class Function:
    """A documented function of the standard library; a method is one too."""

    module: str
    """Its top-level module."""
    name: str
    """Its full dotted name."""
    signature: str
    """Such as `def walk(top, topdown=True)`, without annotations."""
    parameters: tuple[str, ...]
    """Names of its parameters, in order, without stars; `self` among them."""
    returns_value: bool
    """Whether it returns something other than None somewhere, or yields."""
    docstring: str
    """Its docstring; never empty."""


def read_functions(path: Path) -> list[Function]:
    """Return the functions of the pydocs entries, one JSON object a line; modules and classes are left out.

    Raises ValueError with file and row for a field that is missing or not what it should be.
    """
    return [entry for entry in numbered(path, read_json_lines(path), _entry) if isinstance(entry, Function)]


def classification(functions: Iterable[Function]) -> list[Labelled]:
    """Return signature and docstring of each function with one of `LABELS`, as its own code says; equal texts once."""
    functions = list(functions)
    return dedupe(
        Labelled(
            id,
            f"{function.signature}\n{function.docstring}",
            LABELS[0] if function.returns_value else LABELS[1],
            function.module,
        )
        for id, function in zip(_ids(functions), functions, strict=True)
    )


def instructions(functions: Iterable[Function], kinds: Sequence[Kind]) -> list[Instruction]:
    """Return the questions of the given kinds about each signature that has an answer; equal questions once only.

    For `def walk(top, topdown=True)`: count "How many parameters does it take?" 2; name "What is it called?" walk; last
    "Which parameter comes last?" topdown; next "Which parameter follows top?" topdown. No question about parameters is
    asked where there are too few to choose from.
    """
    functions = list(functions)
    return dedupe(
        Instruction(f"{id}/{kind}", kind, function.module, question, function.signature, answer)
        for id, function in zip(_ids(functions), functions, strict=True)
        for kind, question, answer in _questions(function)
        if kind in kinds
    )


def _questions(function: Function) -> Iterator[tuple[Kind, str, str]]:
    parameters = function.parameters
    yield "count", "How many parameters does it take?", str(len(parameters))
    yield "name", "What is it called?", function.name.rpartition(".")[2]
    if len(parameters) > 1:
        yield "last", "Which parameter comes last?", parameters[-1]
        # Drawn by the signature alone, so that equal signatures ask the same question.
        place = hashlib.sha256(function.signature.encode()).digest()[0] % (len(parameters) - 1)
        yield "next", f"Which parameter follows {parameters[place]}?", parameters[place + 1]


def _ids(functions: Sequence[Function]) -> Iterator[str]:
    """Yield each function's name; the second of a name (defined once more in another branch) is `name#2`."""
    seen: Counter[str] = Counter()
    for function in functions:
        seen[function.name] += 1
        yield function.name if seen[function.name] == 1 else f"{function.name}#{seen[function.name]}"


def _entry(_: int, row: object) -> Function | None:
    fields = text_fields(row, ("module", "name", "kind", "signature", "docstring"))
    if fields.pop("kind") != "function":
        return None
    assert isinstance(row, dict)  # text_fields looked
    parameters, returns_value = row.get("parameters"), row.get("returns_value")
    if not isinstance(parameters, list) or not isinstance(returns_value, bool):
        raise ValueError("expected a list of parameters and a true or false returns_value")
    names = tuple(text_fields(parameter, ("name",))["name"] for parameter in parameters)
    return Function(parameters=names, returns_value=returns_value, **fields)
