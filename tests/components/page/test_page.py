"""The page: everything on it, nothing from outside, every text as text, the same bytes each time."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from components.page.facts import (
    Column,
    ConfusionMatrix,
    Curves,
    Dot,
    Estimate,
    Facts,
    Figure,
    Graph,
    Headline,
    Intervals,
    KeyValues,
    Line,
    Panel,
    Sample,
    Section,
    Table,
    Text,
)
from components.page.page import html, render

EVIL = "<script>alert('x')</script>&amp;\"'{{ 7 * 7 }}"
VOID = {"meta", "link", "br", "img", "hr", "input"}


def facts(text="plain"):
    """Return facts of every kind, with one text in every place that takes one."""
    blocks = (
        Text(f"{text}\n\nA second paragraph."),
        Headline((Figure(text, Estimate(0.5, 0.4, 0.6), text, 2, text), Figure("count", 1234), Figure(text, text))),
        Graph(text, (text, "report"), ((text, "report"),), text),
        KeyValues(text, ((text, text), ("seed", 123), ("fast", True)), text),
        Table(text, (Column(text, text), Column("share", digits=2)), ((text, 0.5), (None, 0.25)), text),
        Sample(text, f"\n  {text}\n", text, text),
        Curves(text, text, (Panel(text, (Line(text, (0, 1), (2.0, 1.0)), Line("b", (0, 1), (2.0, 1.5)))),), text),
        ConfusionMatrix(text, (text, "other"), ((3, 1), (0, 4)), text),
        Intervals(text, text, (Dot(text, Estimate(0.5, 0.4, 0.6), text),), note=text),
    )
    return Facts(text, text, (Section(text, blocks), Section("Two", ()), Section("Three", ())), text)


class Reader(HTMLParser):
    """Reads a page: its elements, its text, and whether every element is closed."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))


def test_every_kind_of_block_is_on_the_page():
    read = Reader(html(facts()))
    assert read.open == []
    tags = [tag for tag, _ in read.elements]
    assert tags.count("svg") == 4
    assert tags.count("h2") == 3
    assert tags.count("table") == 1
    assert tags.count("pre") == 1
    shown = " ".join(text for _, text in read.texts)
    for expected in ("A second paragraph.", "Table 1.", "Table 2.", "Figure 1.", "Figure 4.", "1,234", "[0.40, 0.60]"):
        assert expected in shown


def test_numbers_in_a_column_are_aligned_and_a_missing_value_is_a_dash():
    page = html(facts())
    assert '<td class="number">0.50</td>' in page
    assert "<td>\u2013</td>" in page


def test_a_sample_keeps_its_first_line_end_and_its_spaces():
    assert '<pre><span class="prompt">plain</span>\n  plain\n</pre>' in html(facts())


def test_markup_in_a_text_is_shown_and_never_obeyed():
    read = Reader(html(facts(EVIL)))
    assert "script" not in [tag for tag, _ in read.elements]
    assert [tag for tag, _ in read.elements] == [tag for tag, _ in Reader(html(facts())).elements]
    for tag in ("title", "h1", "h2", "p", "dt", "span", "dd", "b", "th", "td", "pre", "figcaption", "footer", "a"):
        assert any(EVIL in text for parent, text in read.texts if parent == tag), tag
    assert any(text.startswith(EVIL[:28]) for parent, text in read.texts if parent == "text")


def test_no_attribute_can_be_broken_out_of():
    for _, attributes in Reader(html(facts('" onload="x'))).elements:
        assert "onload" not in attributes


def test_the_page_takes_nothing_from_elsewhere_and_runs_no_script():
    page = html(facts())
    read = Reader(page)
    for tag, attributes in read.elements:
        assert tag not in ("script", "iframe", "object", "embed", "img", "base", "form")
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "srcset", "xlink:href")]
        assert attributes.get("href", "#").startswith("#") or attributes["href"] == "data:,"
    style = next(text for tag, text in read.texts if tag == "style")
    assert "@import" not in style
    assert "url(" not in style
    assert "http:" not in page
    assert "https:" not in page
    assert "default-src 'none'" in page


def test_ids_are_unique_and_links_lead_somewhere():
    elements = Reader(html(facts())).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"][1:] for _, attributes in elements if attributes.get("href", "").startswith("#")]
    assert set(links) <= set(ids)


def test_the_style_has_a_light_a_dark_and_a_printed_form_and_every_colour_that_is_used():
    page = html(facts())
    assert "@media screen and (prefers-color-scheme: dark)" in page
    assert "@media print" in page
    defined = re.findall(r"(--[\w-]+):", page)
    assert set(re.findall(r"var\((--[\w-]+)\)", page)) <= set(defined)
    dark = page[page.index("prefers-color-scheme: dark") :].split("}")[0]
    assert set(re.findall(r"(--[\w-]+):", dark)) >= {f"--series-{n}" for n in range(1, 7)} | {"--paper", "--ink"}


def test_the_same_facts_give_the_same_bytes_in_another_process(tmp_path):
    program = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from test_page import facts; from components.page.page import render\n"
        "render(facts(), Path(sys.argv[2]))"
    )
    render(facts(), tmp_path / "here.html")
    subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "there.html")],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert (tmp_path / "here.html").read_bytes() == (tmp_path / "there.html").read_bytes()


def test_a_page_that_cannot_be_drawn_leaves_what_was_there(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("yesterday's", encoding="utf-8")
    circle = Section("s", (Graph("g", ("a",), (("a", "a"),)),))
    with pytest.raises(ValueError, match="circle"):
        render(replace(facts(), sections=(circle,)), path)
    assert path.read_text(encoding="utf-8") == "yesterday's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_put_in_place_leaves_nothing(tmp_path):
    path = tmp_path / "report.html"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        render(facts(), path)
    assert list(tmp_path.iterdir()) == [path]


def test_any_byte_that_a_model_may_write_can_stand_on_the_page(tmp_path):
    render(facts("\x00\x1b[31m\r\ud800\u202e\ufffe"), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_bytes().decode("utf-8")
    assert "\u2400\u241b[31m\u240d\ufffd" in text
    assert "\x00" not in text


def test_whoever_may_read_the_folders_other_files_may_read_the_page(tmp_path):
    render(facts(), tmp_path / "report.html")
    (tmp_path / "other.txt").touch()
    assert (tmp_path / "report.html").stat().st_mode == (tmp_path / "other.txt").stat().st_mode
