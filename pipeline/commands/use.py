"""Write a preset into params.yaml: the default with the preset's overlay, comments kept; prints what changed.

A preset whose first line is `upon: <preset>` lies upon that one, not directly upon the default.
"""

import argparse
import io
import json
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter

from pipeline import paths, settings
from pipeline.settings import SettingsError

DEFAULT = "default"
UPON = "upon"
SECTION = re.compile(r"^(?=[a-z_]+:)", re.MULTILINE)
BEHIND = re.compile(r"(^(#.*)?\n)*\Z", re.MULTILINE)  # blank lines and comments at a section's end
UNFOLDED = 10_000  # characters; a long text stays on its line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the preset's name."""
    parser.add_argument("preset", help=f"one of: {', '.join(names())}")
    parser.add_argument("--force", action="store_true", help="overwrite a params.yaml that was edited by hand")


def run(arguments: argparse.Namespace) -> int:
    """Write params.yaml.

    Raises ValueError for an unknown preset, and for hand edits without `--force`.
    """
    text = combined(arguments.preset)
    before = _before(arguments.force)
    if before and not arguments.force and all(before != _values(combined(name)) for name in names()):
        raise ValueError(f"{paths.PARAMS} was edited by hand; keep a copy, then add --force")
    with paths.whole(paths.PARAMS) as temporary:
        temporary.write_text(text, encoding="utf-8")
    old, new = settings.flatten(before), settings.flatten(_values(text))
    changed = [name for name in new | old if _shown(old, name) != _shown(new, name)]
    for name in changed:
        print(f"{name}: {_shown(old, name)} -> {_shown(new, name)}")
    print(f"{paths.PARAMS} is preset {arguments.preset}; {len(changed)} values changed")
    return 0


def names() -> list[str]:
    """Return the presets there are, the default first."""
    found = sorted(path.stem for path in paths.PRESETS.glob("*.yaml"))
    return sorted(found, key=lambda name: name != DEFAULT)


def combined(name: str) -> str:
    """Return the text of a preset: that of the one below, in the end the default, with its overlay.

    Mappings are merged, all else is replaced. A section that the overlay leaves alone keeps each character. Raises
    ValueError for an unknown preset, for an overlay with a setting that the default does not have, and for presets that
    lie upon each other.
    """
    return _combined(name, ())


def _combined(name: str, above: tuple[str, ...]) -> str:
    if name not in names():
        raise ValueError(f"no preset {name}; expected one of {', '.join(names())}")
    if name in above:
        raise ValueError(f"preset {name} lies upon itself: {' upon '.join([*above, name])}")
    if name == DEFAULT:
        return (paths.PRESETS / f"{DEFAULT}.yaml").read_text(encoding="utf-8")
    overlay = settings.read(paths.PRESETS / f"{name}.yaml")
    below = _combined(str(overlay.pop(UPON, DEFAULT)), (*above, name))
    head, *sections = SECTION.split(below)
    known = {text.partition(":")[0]: text for text in sections}
    if unknown := sorted(overlay.keys() - known.keys()):
        raise ValueError(f"preset {name}: {', '.join(unknown)} is no section of the default")
    known |= {section: _overlaid(known[section], section, values) for section, values in overlay.items()}
    return head + "".join(known.values())


def _overlaid(text: str, section: str, values: Mapping[str, Any]) -> str:
    """Return a section's text with other values; the comments behind it, which are the next one's, stay as they are."""
    body = text[: BEHIND.search(text).start()]  # type: ignore[union-attr]  # it finds the end at least
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = UNFOLDED
    yaml.indent(mapping=2, sequence=4, offset=2)
    document = yaml.load(body)
    _overlay(document, {section: values})
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue() + text[len(body) :]


def _overlay(document: Any, values: Mapping[str, Any], before: str = "") -> None:
    for key, value in values.items():
        if key not in document:
            raise ValueError(f"{before}{key} is no setting of the default, which a preset lies upon")
        if isinstance(value, Mapping) and isinstance(document[key], Mapping):
            _overlay(document[key], value, f"{before}{key}.")
        else:
            document[key] = value


class _Representer(RoundTripRepresenter):
    """Writes null as `null`, where ruamel.yaml writes nothing."""


_Representer.add_representer(
    type(None), lambda representer, _none: representer.represent_scalar("tag:yaml.org,2002:null", "null")
)


def _values(text: str) -> dict[str, Any]:
    return settings.sections(text, paths.PARAMS)


def _before(is_forced: bool) -> dict[str, Any]:
    """Return the values there are; none where params.yaml cannot be read and is to be overwritten anyway."""
    if not paths.PARAMS.exists():
        return {}
    try:
        return settings.read()
    except SettingsError:
        if is_forced:
            return {}
        raise


def _shown(values: Mapping[str, object], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False, default=str) if name in values else "-"
