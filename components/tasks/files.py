"""Text and records on disk: UTF-8 read with the file named in every error, JSON lines written whole or not at all."""

import dataclasses
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R", bound="DataclassInstance")
T = TypeVar("T")
U = TypeVar("U")


LeftOut = tuple[str, str]
"""Place and reason of a record that is left out."""
LeaveOut = Callable[[LeftOut], None]


class Empty(ValueError):
    """A record without a text that it needs, or that says nothing: of two answers that are one none is preferred."""


def read_text(path: Path) -> str:
    r"""Return a file's text, without a byte order mark and with `\n` for every line end.

    Raises ValueError that names the file and the byte where it stops being UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    return text.replace("\r\n", "\n")


def numbered(path: Path, rows: Iterable[T], make: Callable[[int, T], U], leave_out: LeaveOut | None = None) -> list[U]:
    """Return `make(number, row)` of every row, counted from 1; a ValueError of `make` gets file and row in front.

    With `leave_out`, a row of which `make` says that it is Empty is left out instead.
    """
    made = []
    for number, row in enumerate(rows, start=1):
        try:
            made.append(make(number, row))
        except ValueError as error:
            if leave_out is not None and isinstance(error, Empty):
                leave_out((f"{path.name} row {number}", str(error)))
                continue
            raise ValueError(f"{path}, row {number}: {error}") from error
    return made


def text_fields(row: object, names: Iterable[str]) -> dict[str, str]:
    """Return the named fields of a row read from JSON; ValueError unless all are there and are text."""
    if not isinstance(row, dict):
        raise ValueError(f"expected an object, got {type(row).__name__}")
    fields = {}
    for name in names:
        if name not in row:
            raise ValueError(f"the field {name!r} is missing; there are {sorted(row)}")
        if not isinstance(row[name], str):
            raise ValueError(f"the field {name!r} is {type(row[name]).__name__}, expected text")
        fields[name] = row[name]
    return fields


def read_json_lines(path: Path) -> list[object]:
    """Return one JSON value per line, in the file's order; ValueError names file and row of what is no JSON."""

    def value(_: int, line: str) -> object:
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON ({error.msg}); expected one object a line") from error

    return numbered(path, _lines(path), value)


def read_records(path: Path, kind: type[R]) -> list[R]:
    """Return the rows of a JSON lines file as dataclasses of one kind, as `write_records` has written them.

    Raises ValueError that names file, row and field of what is missing or of another type; a field too many is passed
    over.
    """
    adapter = TypeAdapter(kind)

    def record(_: int, line: str) -> R:
        try:
            return adapter.validate_json(line, strict=True)
        except ValidationError as error:
            raise ValueError(_problem(error.errors(include_url=False)[0])) from None

    return numbered(path, _lines(path), record)


def _problem(found: Any) -> str:
    """Return what pydantic has found in our words."""
    name, came = ".".join(map(str, found["loc"])), found["input"]
    if found["type"] == "value_error":  # the record's own
        return str(found["ctx"]["error"])
    if found["type"] == "missing":
        return f"the field {name!r} is missing; there are {sorted(came)}"
    if found["type"] == "json_invalid":
        return f"not JSON ({found['ctx']['error']}); expected one object a line"
    expected = found["msg"].removeprefix("Input should be ")
    return f"{f'the field {name!r}' if name else 'the row'} is {came!r:.60}; expected {expected}"


def _lines(path: Path) -> list[str]:
    # Not str.splitlines: it also splits at characters that stand inside texts, U+2028 for one.
    text = read_text(path).removesuffix("\n")
    return text.split("\n") if text else []


def write_records(records: Iterable["DataclassInstance"], path: Path) -> int:
    """Write one JSON object per record and line, whole or not at all; return how many."""
    lines = [json.dumps(dataclasses.asdict(record), ensure_ascii=False) + "\n" for record in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(lines)
