"""How a record is written as a prompt and an answer: three templates by name, and own ones."""

from dataclasses import dataclass
from string import Formatter
from typing import Literal

Name = Literal["alpaca", "phi3", "plain"]


@dataclass(frozen=True)
class OwnTemplate:
    """A prompt and a response with a place for each of a record's texts, once; `{{` and `}}` are braces."""

    prompt: str
    """What the model is shown, with `{instruction}` and `{input}`."""
    no_input: str | None
    """The same for a record without an input, with `{instruction}`; null is `prompt` with nothing for its input."""
    response: str
    """What the model learns to write after it, with `{output}`; the end token follows."""

    def __post_init__(self) -> None:
        """Refuse a template that loses a text of the record or has it twice, or has a place for something else."""
        places = {"prompt": ("instruction", "input"), "no_input": ("instruction",), "response": ("output",)}
        for field, wanted in places.items():
            text = getattr(self, field)
            if text is not None:
                _check(field, text, wanted)


def _check(field: str, text: str, wanted: tuple[str, ...]) -> None:
    """Raise ValueError unless each wanted place is in the text once and no other is."""
    expected = " and ".join(f"{{{name}}}" for name in wanted)
    try:
        parts = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise ValueError(
            f"{field} cannot be read: {error}; expected {expected}, and {{{{ or }}}} for a brace"
        ) from None
    for name, spec, conversion in parts:
        if name not in wanted or spec or conversion:
            written = "".join([name, f"!{conversion}" if conversion else "", f":{spec}" if spec else ""])
            raise ValueError(
                f"{field} has a place for {{{written}}}; expected {expected}, and {{{{ or }}}} for a brace"
            )
    for name in wanted:
        count = sum(found == name for found, _, _ in parts)
        if count == 0:
            raise ValueError(f"{field} has no place for {{{name}}}; expected {expected}")
        if count > 1:
            raise ValueError(f"{field} has {count} places for {{{name}}}; expected one")


Template = Name | OwnTemplate

BUILT_IN: dict[Name, OwnTemplate] = {
    "alpaca": OwnTemplate(
        prompt=(
            "Below is an instruction that describes a task. Write a response that appropriately completes the request."
            "\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
        ),
        no_input=(
            "Below is an instruction that describes a task. Write a response that appropriately completes the request."
            "\n\n### Instruction:\n{instruction}\n\n### Response:\n"
        ),
        response="{output}",
    ),
    "phi3": OwnTemplate(
        prompt="<|user|>\n{instruction}\n{input}\n<|assistant|>:\n",
        no_input="<|user|>\n{instruction}\n<|assistant|>:\n",
        response="{output}",
    ),
    "plain": OwnTemplate(
        prompt="{instruction}\n{input}\nAnswer:", no_input="{instruction}\nAnswer:", response=" {output}"
    ),
}
"""Sources: alpaca: github.com/tatsu-lab/stanford_alpaca, without its second preamble, as the book writes it (section
7.2); phi3: the book's exercise 7.1 (rasbt/LLMs-from-scratch, ch07/01_main-chapter-code/exercise_experiments.py). plain:
three lines, for a small model with a short context; its response begins with a space, as words do in running text: what
is copied from the prompt has the same tokens."""


def spelled_out(template: Template) -> OwnTemplate:
    """Return a template's texts, of a built-in one those of its name."""
    return template if isinstance(template, OwnTemplate) else BUILT_IN[template]


def openings(template: Template) -> list[str]:
    r"""Return the first lines of its prompts, with and without an input, up to the record's own text; none is empty.

    >>> openings("phi3")
    ['<|user|>']
    """
    texts = spelled_out(template)
    prompts = [texts.prompt, *([] if texts.no_input is None else [texts.no_input])]
    begins = [each.format(instruction="\0", input="\0").partition("\0")[0].partition("\n")[0] for each in prompts]
    return list(dict.fromkeys(filter(None, begins)))
