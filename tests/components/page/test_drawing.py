"""Drawings that share a page: no id twice, no style that leaks, the page's own colours and type."""

import re
from xml.etree import ElementTree

import matplotlib
from matplotlib.figure import Figure

from components.page.drawing import INK, SERIES, inline, style


def drawn(prefix="f1-"):
    with style():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=SERIES[0], marker="o")
        axes.set_title("bold", fontweight="bold", color=INK)
        return inline(figure, 'A "title" <b>', prefix)


def test_ids_are_kept_only_where_used_and_differ_between_drawings():
    ids = [set(re.findall(r'\bid="([^"]*)"', drawn(prefix))) for prefix in ("f1-", "f2-")]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', drawn()))
    assert used == ids[0]


def test_nothing_of_matplotlibs_own_style_is_left():
    text = drawn()
    root = ElementTree.fromstring(text)
    assert not [element for element in root.iter() if element.tag in ("style", "metadata")]
    assert "xmlns" not in text
    assert "http" not in text
    assert "DejaVu" not in text
    assert not re.search(r"#[0-9a-f]{6}", text)
    assert "var(--series-1)" in text
    assert "var(--ink)" in text
    assert "bold" in text or "700" in text


def test_the_title_is_the_name_that_is_read_aloud():
    root = ElementTree.fromstring(drawn())
    assert root.get("aria-label") == 'A "title" <b>'
    assert root.get("role") == "img"
    assert root.get("width") is None


def test_a_users_own_settings_change_nothing_and_are_given_back():
    expected = drawn()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "svg.hashsalt": "other"}):
        assert drawn() == expected
        assert matplotlib.rcParams["font.size"] == 20
