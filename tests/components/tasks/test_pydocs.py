import json
from pathlib import Path

import pytest

from components.tasks.pydocs import Entry, classification, instructions, read
from components.tasks.splits import by_group


def function(signature: str, *parameters: str, name: str = "os.walk", **changes: object) -> Entry:
    fields = {"module": "os", "kind": "function", "docstring": "Walk.", **changes}
    return Entry(name=name, signature=signature, parameters=parameters, **fields)  # type: ignore[arg-type]


WALK = function("def walk(top, topdown=True)", "top", "topdown")


def entry(**changes: object) -> dict[str, object]:
    return {
        "module": "os",
        "name": "os.walk",
        "kind": "function",
        "signature": "def walk(top, topdown=True)",
        "parameters": [{"name": "top", "default": None}, {"name": "topdown", "default": "True"}],
        "docstring": "Walk.",
        **changes,
    }


def write(path: Path, *entries: object) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in entries), encoding="utf-8")
    return path


def test_every_entry_is_read(tmp_path: Path):
    module = entry(kind="module", name="os", signature="", parameters=[], docstring="OS routines.")
    assert read(write(tmp_path / "entries.jsonl", module, entry())) == [
        function("", name="os", kind="module", docstring="OS routines."),
        WALK,
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"signature": None}, "entries.jsonl, row 2: the field 'signature' is NoneType"),
        ({"parameters": 2}, "entries.jsonl, row 2: expected a list of parameters"),
        ({"parameters": [{"default": "1"}]}, "entries.jsonl, row 2: the field 'name' is missing"),
    ],
)
def test_a_broken_entry_is_refused_by_file_and_row(tmp_path: Path, changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        read(write(tmp_path / "entries.jsonl", entry(), entry(**changes)))


def test_the_label_is_whose_docstring_it_is():
    module = function("", name="os", kind="module", docstring="OS routines.")
    queue = function("class Queue", name="queue.Queue", kind="class", docstring="A queue.", module="queue")
    assert [(record.text, record.label, record.group) for record in classification([module, WALK, queue])] == [
        ("OS routines.", "class or module", "os"),
        ("Walk.", "function", "os"),
        ("A queue.", "class or module", "queue"),
    ]


def test_only_functions_are_asked_about():
    queue = function("class Queue(maxsize=0)", "maxsize", name="queue.Queue", kind="class")
    assert instructions([queue], ("count", "name")) == []


def test_each_question_about_a_signature_has_its_answer():
    records = instructions([WALK], ("count", "name", "last", "next"))
    assert [(record.instruction, record.output) for record in records] == [
        ("How many parameters does it take?", "2"),
        ("What is it called?", "walk"),
        ("Which parameter comes last?", "topdown"),
        ("Which parameter follows top?", "topdown"),
    ]
    assert {record.input for record in records} == {"def walk(top, topdown=True)"}


def test_what_follows_is_asked_of_any_parameter_but_the_last():
    names = [f"p{k}" for k in range(5)]
    asked = [instructions([function(f"def f{k}({', '.join(names)})", *names)], ("next",))[0] for k in range(60)]
    assert {(record.instruction, record.output) for record in asked} == {
        (f"Which parameter follows p{k}?", f"p{k + 1}") for k in range(4)
    }


def test_one_parameter_is_neither_last_nor_followed():
    kinds = [record.kind for record in instructions([function("def f(a)", "a")], ("count", "name", "last", "next"))]
    assert kinds == ["count", "name"]


def test_only_the_wanted_kinds_are_asked():
    assert [record.kind for record in instructions([WALK], ("last",))] == ["last"]


def test_equal_signatures_ask_each_question_once():
    records = instructions([WALK, function(WALK.signature, *WALK.parameters, name="pathlib.walk")], ("name", "next"))
    assert [record.id for record in records] == ["os.walk/name", "os.walk/next"]


def test_a_name_defined_twice_gets_two_ids():
    again = function("def walk(top)", "top")
    assert [record.id for record in instructions([WALK, again], ("count",))] == ["os.walk/count", "os.walk#2/count"]


def test_records_of_a_module_stay_together():
    other = function("def loads(s)", "s", name="json.loads", module="json")
    third = function("def match(p)", "p", name="re.match", module="re")
    records = instructions([WALK, other, third], ("count",))
    splits = by_group(records, {"os": "train", "json": "test", "re": "validation"})
    assert [record.group for record in splits["test"]] == ["json"]
