"""Values as short text: the same decimals down a column, real minus signs, nothing invisible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.page.facts import Estimate, Table, Value

_NOTHING = "\u2013"  # an en dash
_MINUS = "\u2212"
_SIGNIFICANT = 3
_TINY = 1e-3  # below, a number is written as a power of ten


@dataclass(frozen=True)
class Cell:
    """A value as it is written."""

    text: str
    interval: str = ""
    """The interval of an estimate, in brackets."""
    mark: str = ""
    """"yes" or "no" for a value that is one of the two."""


def printable(text: str) -> str:
    r"""Return the text with control characters as their pictures; other letters unfit for XML become U+FFFD.

    Line feeds and tabs stay. What a small model writes may hold any byte; a page, a chart and UTF-8 may not.

    >>> printable("a\x00b") == "a\u2400b"
    True
    """
    return "".join(_visible(letter) for letter in text)


def brief(text: str, longest: int) -> str:
    """Return the printable text on one line, cut to `longest` letters: a label that a chart has room for."""
    line = " ".join(printable(text).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


def decimals(values: Sequence[Value]) -> int:
    """Return the decimals, at most three, that give the smallest number three significant digits; whole ones need none.

    >>> decimals([15.39, 2.734]), decimals([0.81, 0.02]), decimals([7, 1938])
    (2, 3, 0)
    """
    parts = [abs(part) for value in values for part in _parts(value) if isinstance(part, float)]
    smallest = min((part for part in parts if part and math.isfinite(part)), default=1.0)
    return min(_SIGNIFICANT, max(0, _SIGNIFICANT - 1 - _exponent(smallest))) if parts else 0


def number(value: float, digits: int | None = None) -> str:
    """Return a number with commas between thousands and a real minus; below 0.001 without `digits`: as a power of ten.

    >>> number(1234567), number(0.8126), number(0.8126, 2), number(0.00003)
    ('1,234,567', '0.813', '0.81', '3e\u22125')
    """
    if not math.isfinite(value):
        return _NOTHING if math.isnan(value) else ("\u221e" if value > 0 else f"{_MINUS}\u221e")
    if digits is None and value and abs(value) < _TINY:
        mantissa, exponent = f"{value:.{_SIGNIFICANT - 1}e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}".replace("-", _MINUS)
    places = decimals([value]) if digits is None else digits
    text = f"{value:,.{places}f}"
    return text.replace("-", _MINUS) if text.strip("-0.,") else text.replace("-", "")


def cell(value: Value, digits: int | None = None) -> Cell:
    """Return a value as it is written, numbers with that many decimals; without `digits` as in a column of its own."""
    if value is None:
        return Cell(_NOTHING)
    if isinstance(value, bool):
        return Cell("\u2713" if value else "\u2717", mark="yes" if value else "no")
    if isinstance(value, str):
        return Cell(printable(value))
    if isinstance(value, Estimate):
        places = _places([value]) if digits is None else digits
        return Cell(number(value.value, places), f"[{number(value.low, places)}, {number(value.high, places)}]")
    return Cell(number(value, digits))


def is_numeric(table: Table, column: int) -> bool:
    """Say whether a column holds numbers, and so is aligned to the right."""
    values = [row[column] for row in table.rows if row[column] is not None]
    return (
        bool(values) and all(isinstance(value, int | float | Estimate) for value in values) and not _is_yes_no(values)
    )


def cells(table: Table) -> list[list[Cell]]:
    """Return the table's values as they are written, each column with decimals of its own."""
    columns = [_column([row[index] for row in table.rows], column.digits) for index, column in enumerate(table.columns)]
    return [list(row) for row in zip(*columns, strict=True)]


def _column(values: list[Value], digits: int | None) -> list[Cell]:
    if digits is not None:
        return [cell(value, digits) for value in values]
    places = _places(values)
    return [cell(value) if isinstance(value, int) else cell(value, places) for value in values]


def _places(values: Sequence[Value]) -> int | None:
    """Return the decimals of all values; None where one is so small that each is written by itself."""
    parts = [abs(part) for value in values for part in _parts(value) if part and math.isfinite(part)]
    return None if any(part < _TINY for part in parts) else decimals(values)


def _is_yes_no(values: list[Value]) -> bool:
    return all(isinstance(value, bool) for value in values)


def _parts(value: Value) -> list[float]:
    if isinstance(value, Estimate):
        return [value.value, value.low, value.high]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _exponent(value: float) -> int:
    """Return the power of ten of a number's first digit, after rounding to the digits shown: 0.9996 counts as 1.00."""
    return int(f"{value:.{_SIGNIFICANT - 1}e}".split("e")[1]) if value else 0


def _visible(letter: str) -> str:
    code = ord(letter)
    if code < 0x20:
        return letter if letter in "\n\t" else chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    unfit = 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF)  # XML has no place for them
    return "\ufffd" if unfit else letter
