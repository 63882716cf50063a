import pytest

from components.tasks.instructions import Instruction, answer_in, completion, full, prompt
from components.tasks.templates import OwnTemplate, openings

OWN = OwnTemplate("Q: {instruction}\nOf: {input}\nA:", "Q: {instruction}\nA:", " {{{output}}}")


def record(given: str = "1, 2", output: str = "3") -> Instruction:
    return Instruction(id="1", kind="k", group="g", instruction="Add {these}.", input=given, output=output)


def test_an_own_template_is_filled_in_and_braces_of_the_data_stay_as_they_are():
    assert full(record(), OWN) == "Q: Add {these}.\nOf: 1, 2\nA: {3}"
    assert prompt(record("{0} {output}"), OWN) == "Q: Add {these}.\nOf: {0} {output}\nA:"
    assert completion(record(output="{}"), OWN) == " {{}}"


def test_a_record_without_an_input_has_the_shorter_prompt_where_there_is_one():
    assert prompt(record(""), OWN) == "Q: Add {these}.\nA:"
    assert prompt(record(""), OwnTemplate("{instruction} ({input})", None, "{output}")) == "Add {these}. ()"


def test_an_answer_is_freed_of_what_the_response_puts_around_it():
    assert answer_in(" {3}\n", OWN) == "3"
    assert answer_in("3\n", OWN) == "3"  # an untuned model knows nothing of it
    assert answer_in("\nOne.\n\nTwo.\n", "alpaca") == "One.\n\nTwo."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"response": "Yes."}, r"response has no place for \{output\}; expected \{output\}"),
        ({"prompt": "{input}"}, r"prompt has no place for \{instruction\}; expected \{instruction\} and \{input\}"),
        ({"prompt": "{instruction}"}, r"prompt has no place for \{input\}; "),
        ({"no_input": "Go."}, r"no_input has no place for \{instruction\}; expected \{instruction\}"),
        ({"no_input": "{instruction} {input}"}, r"no_input has a place for \{input\}; expected \{instruction\}, and "),
        ({"prompt": "{instruction} {input} {output}"}, r"prompt has a place for \{output\}; "),
        ({"prompt": "{instruction} {input} {question}"}, r"prompt has a place for \{question\}; "),
        ({"prompt": "{instruction!r} {input}"}, r"prompt has a place for \{instruction!r\}; "),
        ({"prompt": "{instruction.id} {input}"}, r"prompt has a place for \{instruction.id\}; "),
        ({"prompt": "{instruction} {input} {}"}, r"prompt has a place for \{\}; "),
        ({"response": "{output} or {output}"}, r"response has 2 places for \{output\}; expected one$"),
        ({"no_input": "{instruction} {instruction}"}, r"no_input has 2 places for \{instruction\}; expected one$"),
        ({"response": "{output"}, r"response cannot be read: expected '\}' before end of string; "),
    ],
    ids=str,
)
def test_a_template_that_cannot_be_used_is_refused(changed: dict[str, str], said: str):
    texts = {"prompt": "{instruction} {input}", "no_input": None, "response": "{output}"} | changed
    with pytest.raises(ValueError, match=said):
        OwnTemplate(**texts)


def test_prompts_open_with_the_line_before_the_record_with_or_without_an_input():
    own = OwnTemplate("Do this {{now}}: {instruction} {input}", "Do:\n{instruction}", "{output}")
    assert openings(own) == ["Do this {now}: ", "Do:"]
    assert openings(OwnTemplate("Q: {instruction} {input}", None, "{output}")) == ["Q: "]
    assert openings("plain") == []
