"""Graphs as SVG: which arrows are drawn, and that nothing lies on anything else."""

import re
from xml.etree import ElementTree

import pytest

from components.page.facts import Graph
from components.page.graph import reduced, svg

BUILD = Graph(
    "The build",
    ("raw", "tokens", "weights", "tasks", "classifier", "assistant", "report"),
    (
        *(("raw", "tokens"), ("tokens", "weights"), ("raw", "tasks"), ("weights", "classifier")),
        *(("tasks", "classifier"), ("weights", "assistant"), ("tasks", "assistant"), ("classifier", "report")),
        *(("assistant", "report"), ("raw", "report"), ("tokens", "report")),
    ),
)


def boxes(graph):
    """Return left, top, right, bottom of every node by its name."""
    root = ElementTree.fromstring(svg(graph))
    sides = [[float(rect.get(key)) for key in ("x", "y", "width", "height")] for rect in root.iter("rect")]
    names = [text.text for text in root.iter("text")]
    return {name: (x, y, x + w, y + h) for name, (x, y, w, h) in zip(names, sides, strict=True)}


def test_an_arrow_that_others_imply_is_left_out():
    graph = Graph("g", ("a", "b", "c"), (("a", "b"), ("a", "c"), ("b", "c"), ("a", "b")))
    assert reduced(graph) == [("a", "b"), ("b", "c")]


def test_every_arrow_points_downwards():
    placed = boxes(BUILD)
    for source, target in BUILD.edges:
        assert placed[source][3] < placed[target][1]


def test_no_node_lies_on_another_and_all_lie_in_the_view():
    root = ElementTree.fromstring(svg(BUILD))
    width, height = (float(number) for number in root.get("viewBox").split()[2:])
    placed = list(boxes(BUILD).values())
    for index, (left, top, right, bottom) in enumerate(placed):
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height
        for other_left, other_top, other_right, other_bottom in placed[:index]:
            assert right < other_left or other_right < left or bottom < other_top or other_bottom < top


def test_a_chain_is_drawn_as_a_straight_line():
    placed = boxes(Graph("g", ("first", "the second one", "3"), (("first", "the second one"), ("the second one", "3"))))
    assert {round((left + right) / 2) for left, _, right, _ in placed.values()} == {
        round((placed["first"][0] + placed["first"][2]) / 2)
    }


def test_crossings_that_need_not_be_are_avoided():
    placed = boxes(Graph("g", ("a", "b", "c", "d"), (("a", "d"), ("b", "c"))))
    assert (placed["a"][0] < placed["b"][0]) == (placed["d"][0] < placed["c"][0])


def test_an_arrow_begins_and_ends_at_its_nodes():
    graph = Graph("g", ("a", "b"), (("a", "b"),))
    (_, _, _, a_bottom), (_, b_top, _, _) = boxes(graph).values()
    drawn = next(
        path.get("d") for path in ElementTree.fromstring(svg(graph)).iter("path") if path.get("class") == "edge"
    )
    numbers = [float(number) for number in re.findall(r"[\d.]+", drawn)]
    assert numbers[1] == pytest.approx(a_bottom)
    assert numbers[-1] == pytest.approx(b_top - 6)  # the head takes the rest


def test_a_name_is_text_and_never_markup():
    root = ElementTree.fromstring(svg(Graph('"<i>"', ("<script>&\x00",), ())))
    assert [text.text for text in root.iter("text")] == ["<script>&\u2400"]
    assert root.get("aria-label") == '"<i>": '


def test_a_graph_of_nothing_is_an_empty_picture():
    assert list(ElementTree.fromstring(svg(Graph("g", (), ())))) == []


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (("a", "b"), (("a", "b"), ("b", "a")), "g: the graph runs in a circle: "),
        (("a",), (("a", "a"),), "g: the graph runs in a circle: a -> a"),
        (("a",), (("a", "z"),), "g: an edge names 'z', which is no node"),
        (("a", "a"), (), "g: a node is named twice"),
    ],
)
def test_what_is_no_graph_without_circles_is_refused(nodes, edges, message):
    with pytest.raises(ValueError, match=message):
        svg(Graph("g", nodes, edges))
