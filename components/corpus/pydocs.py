"""Python's own documentation as a corpus: the embedded default, for machines without a network.

Two sources, both from the interpreter that runs this: the docstrings of the standard library, read with `ast` and
never imported, each beside the signature that it describes; and the language reference (`pydoc_data.topics`). The text
differs between Python versions; within one it is the same bytes every time.
"""

import ast
import json
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

ADDRESSES = ("pydocs:documents", "pydocs:entries")
"""What `write` can write."""

_NOT_PACKAGES = frozenset({"test", "tests", "idle_test", "site-packages", "__pycache__"})
_SHORTEST_REPEAT = 60
"""Characters from which a paragraph of the reference is dropped when an earlier topic has it: headings and short
phrases ("For example:") repeat by right."""

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class SourceText:
    """One document of the corpus."""

    source: str
    """A top-level module (`json`) or a topic of the language reference (`topic/lambda`)."""
    text: str
    """The document, lines ended by a line feed."""


@dataclass(frozen=True)
class Parameter:
    """One parameter of a function."""

    name: str
    """Its name, without stars."""
    default: str | None
    """Source text of its default, None where it has none."""
    kind: Literal["positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"]
    """As `inspect.Parameter.kind` names it, in lower case."""


@dataclass(frozen=True)
class Entry:
    """One documented thing of the standard library."""

    module: str
    """Top-level module or package that holds it: `json`."""
    name: str
    """Full dotted name: `json.decoder.JSONDecoder.decode`."""
    kind: Literal["module", "class", "function"]
    """What it is; a method is a function."""
    signature: str
    """`def walk(top, topdown=True)`, `class Popen(Base)` or `module json.decoder`; without annotations, on one line."""
    parameters: tuple[Parameter, ...]
    """Parameters of a function in the order of its signature (`self` among them); empty for the other kinds."""
    docstring: str
    """Its docstring, indentation removed; never empty, no two entries have the same words."""


def documents() -> Iterator[SourceText]:
    """Yield one document per top-level module of the standard library, then one per topic of the language reference.

    A module's document is its entries in the order of its files: signature, then docstring. Modules and topics are
    sorted. A paragraph that stands in an earlier topic is left out, since topics quote each other at length, so a topic
    may be missing.
    """
    pieces: dict[str, list[str]] = {}
    for entry in entries():
        pieces.setdefault(entry.module, []).append(f"{entry.signature}\n{entry.docstring}\n")
    for module, texts in pieces.items():
        yield SourceText(module, "\n".join(texts))
    yield from _topics()


def entries(library: Path | None = None) -> Iterator[Entry]:
    """Yield every documented module, class and function of the standard library, sorted by file.

    `library` is the folder to read, by default this interpreter's; only modules that Python lists as its own
    (`sys.stdlib_module_names`) are read, test packages are not. A docstring that an earlier entry has, white space
    aside, is left out with its entry.

    Raises ValueError for a folder without a standard library.
    """
    library = Path(sysconfig.get_path("stdlib")) if library is None else library
    seen: set[str] = set()
    for dotted, file in _files(library):
        for entry in _read(dotted, file):
            words = " ".join(entry.docstring.split())
            if words and words not in seen:
                seen.add(words)
                yield entry
    if not seen:
        raise ValueError(f"{library}: no Python source of the standard library here; take an interpreter that has it")


def write(address: str, destination: Path) -> None:
    """Write what `pydocs:documents` or `pydocs:entries` names to `destination` as JSON lines, whole or not at all.

    Raises ValueError for another address.
    """
    if address not in ADDRESSES:
        raise ValueError(f"{address}: no such part of pydocs; expected {' or '.join(ADDRESSES)}")
    rows: Iterable[SourceText | Entry] = documents() if address == "pydocs:documents" else entries()
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary = destination.with_name(destination.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as lines:
            for row in rows:
                lines.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)


def _files(library: Path) -> Iterator[tuple[str, Path]]:
    """Yield (dotted name, file) for the modules of the standard library, a package before what it holds."""
    for name in sorted(sys.stdlib_module_names):
        if name not in _NOT_PACKAGES:
            yield from _module(name, library / name)


def _module(dotted: str, path: Path) -> Iterator[tuple[str, Path]]:
    if (path / "__init__.py").is_file():
        yield dotted, path / "__init__.py"
        names = {child.stem for child in path.iterdir() if child.suffix in ("", ".py")}
        for name in sorted(names - {"__init__"} - _NOT_PACKAGES):
            if name.isidentifier():
                yield from _module(f"{dotted}.{name}", path / name)
    elif path.with_suffix(".py").is_file():
        yield dotted, path.with_suffix(".py")


def _read(dotted: str, file: Path) -> Iterator[Entry]:
    """Yield the documented things of one file in the order of its lines."""
    tree = ast.parse(file.read_bytes(), filename=str(file))
    top = dotted.partition(".")[0]
    docstring = ast.get_docstring(tree)
    if docstring:
        yield Entry(top, dotted, "module", f"module {dotted}", (), docstring)
    for name, node in _definitions(tree, dotted):
        docstring = ast.get_docstring(node)
        if not docstring:
            continue
        if isinstance(node, ast.ClassDef):
            bases = ", ".join(ast.unparse(base) for base in [*node.bases, *node.keywords])
            signature = f"class {node.name}({bases})" if bases else f"class {node.name}"
            yield Entry(top, name, "class", signature, (), docstring)
        else:
            parameters = _parameters(node.args)
            word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
            signature = f"{word} {node.name}({_shown(parameters)})"
            yield Entry(top, name, "function", signature, parameters, docstring)


def _definitions(node: ast.AST, dotted: str) -> Iterator[tuple[str, _Definition]]:
    """Yield (dotted name, node) of every class and function below, also those inside an `if`, a `try` or a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Definition):
            name = f"{dotted}.{child.name}"
            yield name, child
            yield from _definitions(child, name)
        elif not isinstance(child, ast.expr):
            yield from _definitions(child, dotted)


def _parameters(arguments: ast.arguments) -> tuple[Parameter, ...]:
    positional = [*arguments.posonlyargs, *arguments.args]
    # Defaults belong to the last positional parameters.
    defaults = [None] * (len(positional) - len(arguments.defaults)) + [ast.unparse(each) for each in arguments.defaults]
    parameters = [
        Parameter(
            argument.arg,
            default,
            "positional_only" if place < len(arguments.posonlyargs) else "positional_or_keyword",
        )
        for place, (argument, default) in enumerate(zip(positional, defaults, strict=True))
    ]
    if arguments.vararg:
        parameters.append(Parameter(arguments.vararg.arg, None, "var_positional"))
    for argument, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        parameters.append(Parameter(argument.arg, None if value is None else ast.unparse(value), "keyword_only"))
    if arguments.kwarg:
        parameters.append(Parameter(arguments.kwarg.arg, None, "var_keyword"))
    return tuple(parameters)


def _shown(parameters: tuple[Parameter, ...]) -> str:
    """Return parameters as they stand between the brackets of a `def`, without annotations."""
    shown: list[str] = []
    for place, parameter in enumerate(parameters):
        before = parameters[place - 1].kind if place else None
        if before == "positional_only" and parameter.kind != "positional_only":
            shown.append("/")
        if parameter.kind == "keyword_only" and before not in ("keyword_only", "var_positional"):
            shown.append("*")
        stars = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
        default = "" if parameter.default is None else f"={parameter.default}"
        shown.append(f"{stars}{parameter.name}{default}")
    if parameters and parameters[-1].kind == "positional_only":
        shown.append("/")
    return ", ".join(shown)


def _topics() -> Iterator[SourceText]:
    """Yield the language reference, topics sorted, each paragraph once."""
    from pydoc_data.topics import topics  # late: half a megabyte of text

    seen: set[str] = set()
    for name in sorted(topics):
        kept: list[str] = []
        for paragraph in topics[name].strip("\n").split("\n\n"):
            words = " ".join(paragraph.split())
            if words and words not in seen:
                kept.append(paragraph)
            if len(words) >= _SHORTEST_REPEAT:
                seen.add(words)
        if any(len(" ".join(paragraph.split())) >= _SHORTEST_REPEAT for paragraph in kept):
            yield SourceText(f"topic/{name}", "\n\n".join(kept) + "\n")
