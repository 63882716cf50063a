"""The embedded corpus is read from source, in one order, each docstring once."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from components.corpus.pydocs import Parameter, entries, write

SOURCE = '''"""Tools for JSON."""

def dump(obj, /, fp: "file" = None, *args, indent: int = 2 + 1, **options) -> int:
    """Write it."""
    return 1

def keyword(a, *, b): "Only a name."

def positional(a, b=(1, 2), /): "Only places."

class Encoder(Base, metaclass=Meta):
    """Encodes."""

    async def run(self):
        """Run it."""
        def inner():
            return 3

    def repeated(self):
        """Write   it.

        """

    def undocumented(self):
        return 2

try:
    import _json
except ImportError:
    def fallback():
        """Yield one."""
        yield 1

    def nothing():
        """Return nothing."""
        return None
'''


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library with the names of real modules: `json` as a package, `abc` as a file, tests and strangers."""
    for name, text in {
        "json/__init__.py": SOURCE,
        "json/tool.py": '"""A tool."""',
        "json/tests/__init__.py": '"""Tests."""',
        "json/not-a-name.py": '"""Not importable."""',
        "abc.py": '"""First in order."""',
        "site-packages/mine/__init__.py": '"""Mine."""',
        "mine.py": '"""No module of the standard library."""',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


Row = dict[str, Any]


def written(address: str, folder: Path) -> list[Row]:
    """Write a part and read it back, once for all tests: reading the library takes seconds."""
    write(address, folder / "new" / "rows.jsonl")
    assert [file.name for file in (folder / "new").iterdir()] == ["rows.jsonl"]
    lines = (folder / "new" / "rows.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == ""
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return written("pydocs:entries", tmp_path_factory.mktemp("entries"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    return written("pydocs:documents", tmp_path_factory.mktemp("documents"))


def test_entries_are_the_documented_things_of_the_library_in_order(library: Path) -> None:
    assert [(entry.name, entry.kind) for entry in entries(library)] == [
        ("abc", "module"),
        ("json", "module"),
        ("json.dump", "function"),
        ("json.keyword", "function"),
        ("json.positional", "function"),
        ("json.Encoder", "class"),
        ("json.Encoder.run", "function"),
        ("json.fallback", "function"),
        ("json.nothing", "function"),
        ("json.tool", "module"),
    ]


def test_signatures_are_as_written_without_annotations(library: Path) -> None:
    assert [entry.signature for entry in entries(library)] == [
        "module abc",
        "module json",
        "def dump(obj, /, fp=None, *args, indent=2 + 1, **options)",
        "def keyword(a, *, b)",
        "def positional(a, b=(1, 2), /)",
        "class Encoder(Base, metaclass=Meta)",
        "async def run(self)",
        "def fallback()",
        "def nothing()",
        "module json.tool",
    ]


def test_parameters_have_name_default_and_kind(library: Path) -> None:
    dump = next(entry for entry in entries(library) if entry.name == "json.dump")
    assert dump.parameters == (
        Parameter("obj", None, "positional_only"),
        Parameter("fp", "None", "positional_or_keyword"),
        Parameter("args", None, "var_positional"),
        Parameter("indent", "2 + 1", "keyword_only"),
        Parameter("options", None, "var_keyword"),
    )
    assert (dump.module, dump.docstring) == ("json", "Write it.")


def test_a_folder_without_a_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no Python source of the standard library here"):
        list(entries(tmp_path))


def test_the_standard_library_is_read_without_importing_it(real: list[Row]) -> None:
    assert len(real) > 5_000
    assert {"json", "os", "asyncio", "email"} <= {row["module"] for row in real}
    assert "antigravity" not in sys.modules
    assert "this" not in sys.modules


def test_real_entries_have_distinct_words_and_no_tests(real: list[Row]) -> None:
    assert len({" ".join(row["docstring"].split()) for row in real}) == len(real)
    modules = {row["name"] for row in real if row["kind"] == "module"}
    assert not [name for name in modules if {"test", "tests", "idle_test"} & set(name.split("."))]


def test_a_known_function_is_written_with_all_that_is_known_of_it(real: list[Row]) -> None:
    row = next(row for row in real if row["name"] == "os.walk")
    assert row.pop("docstring").startswith("Directory tree generator.")
    defaults = {"top": None, "topdown": "True", "onerror": "None", "followlinks": "False"}
    assert row == {
        "module": "os",
        "name": "os.walk",
        "kind": "function",
        "signature": "def walk(top, topdown=True, onerror=None, followlinks=False)",
        "parameters": [
            {"name": name, "default": default, "kind": "positional_or_keyword"} for name, default in defaults.items()
        ],
    }


def test_documents_are_modules_then_topics_each_sorted_and_named_once(corpus: list[Row]) -> None:
    sources = [row["source"] for row in corpus]
    modules = [source for source in sources if not source.startswith("topic/")]
    topics = [source for source in sources if source.startswith("topic/")]
    assert sources == sorted(modules) + sorted(topics)
    assert len(set(sources)) == len(sources)
    assert {"json", "os"} <= set(modules)
    assert "topic/lambda" in topics


def test_no_long_paragraph_of_the_reference_stands_twice(corpus: list[Row]) -> None:
    paragraphs = [
        " ".join(paragraph.split())
        for row in corpus
        if row["source"].startswith("topic/")
        for paragraph in row["text"].split("\n\n")
    ]
    long = [paragraph for paragraph in paragraphs if len(paragraph) >= 60]
    assert len(set(long)) == len(long) > 500


def test_a_signature_stands_above_its_docstring_in_the_document(corpus: list[Row]) -> None:
    text = next(row["text"] for row in corpus if row["source"] == "os")
    assert "\ndef walk(top, topdown=True, onerror=None, followlinks=False)\nDirectory tree generator.\n" in text


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pydocs:words: no such part of pydocs; expected pydocs:documents or"):
        write("pydocs:words", tmp_path / "words.jsonl")
    assert list(tmp_path.iterdir()) == []
