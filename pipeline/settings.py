"""`params.yaml` read once, checked, and handed on as frozen dataclasses."""

import json
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import paths

MESSAGES = {
    "missing": "is missing",
    "unexpected_keyword_argument": "is no setting",
}
SHOWN_CHARACTERS = 60  # of a refused value; a whole section may have come where a number was expected


class SettingsError(ValueError):
    """Settings that cannot be used; one line for each, with its dotted name."""


def read(path: Path = paths.PARAMS) -> dict[str, Any]:
    """Return the sections of a params file (YAML 1.2, where `3e-4` is a number).

    Raises SettingsError where the file is missing, is no YAML or holds no sections.
    """
    try:
        return sections(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        raise SettingsError(f"{path} is not here; run from the project's root") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from None


def sections(text: str, path: Path) -> dict[str, Any]:
    """Return the sections of a params file from its text; `path` is named where something is wrong."""
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise SettingsError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{path} holds no sections; expected one per stage")
    return found


def parse(section: str, values: object, settings: type[Any]) -> Any:
    """Return a section's values as its dataclass.

    Raises SettingsError that names every unknown, missing, mistyped and refused value by its dotted path.
    """
    try:
        as_json = json.dumps(values, default=str)  # a bare 2024-01-01 is a date to YAML; here it is text
        return TypeAdapter(settings).validate_json(as_json, strict=True, extra="forbid")
    except ValidationError as error:
        problems = [_problem(section, detail) for detail in error.errors(include_url=False) if _is_meant(detail)]
        raise SettingsError("; ".join(problems)) from None


def arguments(stage: Callable[..., object], sections: Mapping[str, object]) -> dict[str, Any]:
    """Return a stage's arguments: for each parameter of its signature the section of that name, checked.

    >>> def shout(shout: ShoutSettings): ...
    >>> arguments(shout, {"shout": {"volume": 3}})
    {'shout': ShoutSettings(volume=3)}

    Raises SettingsError that names all that is wrong in all of them.
    """
    types = get_type_hints(stage)
    known, problems = {}, []
    for name in signature(stage).parameters:
        try:
            if name not in sections:
                raise SettingsError(f"{name} is missing from {paths.PARAMS}; expected a section for the stage")
            known[name] = parse(name, sections[name], types[name])
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("; ".join(problems))
    return known


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Return nested mappings and sequences as one mapping with dotted names; an empty one stays as it is.

    >>> flatten({"pretrain": {"optimizer": {"name": "adamw"}}, "seeds": [1, 2]})
    {'pretrain.optimizer.name': 'adamw', 'seeds.0': 1, 'seeds.1': 2}
    """
    flat: dict[str, object] = {}
    for name, value in values.items():
        dotted = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{dotted}.")
        elif isinstance(value, list | tuple) and value:
            flat |= flatten({str(index): each for index, each in enumerate(value)}, f"{dotted}.")
        else:
            flat[dotted] = value
    return flat


def _problem(section: str, detail: Any) -> str:
    """Return one problem as pydantic found it, in our words: dotted name, what is wrong, what came."""
    name = ".".join([section, *(str(part) for part in detail["loc"] if not _is_alternative(part))])
    kind = detail["type"]
    if kind == "value_error":  # a dataclass's own words begin with its field's name
        return f"{name}.{detail['ctx']['error']}"
    if kind in MESSAGES:
        return f"{name} {MESSAGES[kind]}"
    came = json.dumps(detail["input"], ensure_ascii=False)
    shown = came if len(came) <= SHOWN_CHARACTERS else f"{came[:SHOWN_CHARACTERS]}..."
    expected = detail["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return f"{name} is {shown}; expected {expected}"


def _is_alternative(part: str | int) -> bool:
    """Return whether a part of a problem's place is no setting's name, but one of the types that a setting may have."""
    return isinstance(part, str) and (part.startswith("literal[") or part[:1].isupper())


def _is_meant(detail: Any) -> bool:
    """Return whether a problem is with what was meant: where a word or a mapping will do, one of them was tried."""
    if not (detail["loc"] and _is_alternative(detail["loc"][-1])):
        return True
    unmeant = "literal_error" if isinstance(detail["input"], dict) else "dataclass_type"
    return bool(detail["type"] != unmeant)
