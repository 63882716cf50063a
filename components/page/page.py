"""Facts as one HTML page that needs nothing else: no network, no script, no font or style of another file."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.page import charts, graph, wording
from components.page.facts import Block, ConfusionMatrix, Curves, Facts, Graph, Intervals


def render(facts: Facts, path: Path) -> None:
    """Write the page, whole or not at all. The same facts give the same bytes.

    Raises ValueError for a graph that cannot be drawn, and OSError where the folder of `path` cannot be written.
    """
    content = html(facts).encode("utf-8")
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def html(facts: Facts) -> str:
    """Return the page's text. Every text of the facts is escaped: what looks like markup is shown, not obeyed.

    Raises ValueError for a graph that cannot be drawn.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cell": wording.cell,
        "cells": wording.cells,
        "is_numeric": wording.is_numeric,
        "kind": lambda block: type(block).__name__,
        "paragraphs": lambda text: [part for part in text.split("\n\n") if part.strip()],
        "printable": wording.printable,
        "svg": _svg,
    }
    return environment.get_template("page.html.j2").render(facts=facts)


def _svg(block: Block, prefix: str) -> Markup:
    """Return a chart's SVG, whose texts are escaped already."""
    match block:
        case Curves():
            drawn = charts.curves(block, prefix)
        case Intervals():
            drawn = charts.intervals(block, prefix)
        case ConfusionMatrix():
            drawn = charts.confusion(block, prefix)
        case Graph():
            drawn = graph.svg(block)
        case _:
            raise AssertionError(f"{type(block).__name__} is no chart")
    return Markup(drawn)  # noqa: S704  escaped where it was drawn
