"""Settings that ask more of a model than it can read at once, told before hours go into that model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Limited:
    """A setting that counts tokens, of which a model reads so many at once."""

    section: str
    field: str
    model: str
    """The section that names the model's first weights."""
    beside: int = 0
    """Tokens that have to fit beside it."""


LIMITED = (
    Limited("shard", "context_length", "pretrain"),
    Limited("finetune_classifier", "max_length", "finetune_classifier"),
    Limited("finetune_instructions", "row_tokens", "finetune_instructions"),
    Limited("respond", "max_new_tokens", "finetune_instructions", beside=1),
)


def problems(sections: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting that is longer than its model's context, as far as that can be known.

    Not known is the context of a model in a folder: the stage that reads it says so then. Settings that are no numbers
    are passed over here; whoever reads their section refuses them.
    """
    found = []
    for each in LIMITED:
        value = _value(sections, each.section, each.field)
        context, said = _context(sections, each.model)
        if isinstance(value, int) and isinstance(context, int) and value > context - each.beside > 0:
            found.append(
                f"{each.section}.{each.field} is {value}; expected at most {context - each.beside}: its model reads "
                f"{context} tokens at once ({said})"
            )
    return found


def _context(sections: Mapping[str, Any], model: str) -> tuple[object, str]:
    """Return how many tokens the model of a section reads at once, None where that is not known, and what says so."""
    start_from = _value(sections, model, "start_from")
    if start_from == "base" and model != "pretrain":
        return _context(sections, "pretrain")
    if start_from == "scratch":
        return _value(sections, "shard", "context_length"), "shard.context_length"
    from components.gpt.model import PUBLISHED  # late: it takes a second, and most builds need none

    config = PUBLISHED.get(str(start_from))
    return (config.context_length if config else None), f"{model}.start_from: {start_from}"


def _value(sections: Mapping[str, Any], section: str, field: str) -> object:
    values = sections.get(section)
    return values.get(field) if isinstance(values, Mapping) else None
