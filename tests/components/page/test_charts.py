"""Charts hold the numbers and labels they are given, as text, and have the same bytes each time."""

import math
import re
from xml.etree import ElementTree

import pytest

from components.page.charts import confusion, confusion_png, curves, intervals
from components.page.facts import ConfusionMatrix, Curves, Dot, Estimate, Intervals, Line, Panel

MATRIX = ConfusionMatrix("Spam", ("ham", "spam"), ((1893, 64), (0, 41)))


def texts(drawn):
    return [text.text for text in ElementTree.fromstring(drawn).iter("text")]


def curve_of(drawn):
    """Return the path of the only curve, and the number of its points that are marked."""
    paths = [path for path in ElementTree.fromstring(drawn).iter("path") if "series-1" in path.get("style", "")]
    marks = [use for use in ElementTree.fromstring(drawn).iter("use") if "series-1" in use.get("style", "")]
    (path,) = [path for path in paths if path.get("id") is None]
    return path.get("d"), len(marks)


def losses(**changed):
    loss = Panel("loss (nats)", (Line("training", (0, 1, 2), (3.0, 2.0, 1.5)), Line("validation", (0, 2), (3.1, 1.9))))
    rate = Panel("learning rate", (Line("rate", (0, 1, 2), (0.0, 0.01, 0.005)),))
    return Curves(**{"title": "Losses", "x_label": "step", "panels": (loss, rate), **changed})


def test_curves_name_their_axes_and_lines():
    shown = texts(curves(losses(), "f1-"))
    assert {"step", "loss (nats)", "learning rate", "training", "validation"} <= set(shown)
    assert "rate" not in shown  # one line alone needs no legend


def test_steps_are_whole_numbers_and_ticks_have_the_decimals_that_they_need():
    shown = texts(curves(losses(), "f1-"))
    assert [text for text in shown if text[0].isdigit()] == [
        *("1.5", "2.0", "2.5", "3.0"),  # losses
        *("0", "1", "2"),  # steps, once for both panels
        *("0.000", "0.005", "0.010"),  # rates
    ]


def test_a_gap_in_a_curve_is_a_gap():
    panel = Panel("loss", (Line("training", (0, 1, 2, 3), (3.0, math.nan, 2.0, 1.0)),))
    path, points = curve_of(curves(losses(panels=(panel,)), "f1-"))
    assert re.findall("[ML]", path) == ["M", "M", "L"]  # after the gap the pen is put down anew
    assert points == 3


def test_a_curve_of_one_point_is_a_point():
    panel = Panel("loss", (Line("training", (5,), (2.0,)),))
    path, points = curve_of(curves(losses(panels=(panel,)), "f1-"))
    assert re.findall("[ML]", path) == ["M"]
    assert points == 1


def test_intervals_show_groups_labels_and_numbers():
    rows = (
        Dot("tuned", Estimate(0.55, 0.51, 0.59), "all"),
        Dot("untuned", Estimate(0.02, 0.01, 0.03), "all"),
        Dot("tuned", Estimate(0.81, 0.76, 0.86), "count"),
    )
    shown = texts(intervals(Intervals("Scores", "share", rows), "f1-"))
    assert [text for text in shown if text in ("all", "tuned", "untuned", "count")] == [
        *("all", "tuned", "untuned"),
        *("count", "tuned"),
    ]
    assert [text for text in shown if text.startswith("[")] == ["[0.51, 0.59]", "[0.01, 0.03]", "[0.76, 0.86]"]
    assert {"0.55", "0.02", "0.81", "share"} <= set(shown)


def test_a_label_has_one_colour_in_all_groups_and_a_single_group_one_colour():
    rows = [Dot(label, Estimate(0.5, 0.4, 0.6), group) for group in ("a", "b") for label in ("x", "y", "z")]
    many = intervals(Intervals("Scores", "share", tuple(rows)), "f1-")
    assert "series-3" in many
    assert "series-4" not in many
    assert "series-2" not in intervals(Intervals("Scores", "share", tuple(rows[:3])), "f1-")


def test_differences_have_a_line_at_zero():
    row = Dot("minus untuned", Estimate(0.5, 0.4, 0.6))
    with_line = intervals(Intervals("Scores", "share", (row,), reference=0.0), "f1-")
    assert "stroke-dasharray" in with_line
    assert "stroke-dasharray" not in intervals(Intervals("Scores", "share", (row,)), "f1-")


def test_a_confusion_matrix_shows_counts_and_shares_of_the_row():
    shown = texts(confusion(MATRIX, "f1-"))
    assert [text for text in shown if text[0].isdigit()] == ["1,893", "97 %", "64", "3 %", "0", "0 %", "41", "100 %"]
    assert {"predicted label", "true label", "ham", "spam"} <= set(shown)


def test_a_label_without_records_has_no_shares():
    shown = texts(confusion(ConfusionMatrix("Spam", ("ham", "spam"), ((0, 0), (1, 3))), "f1-"))
    assert [text for text in shown if text.endswith("%")] == ["25 %", "75 %"]


@pytest.mark.parametrize("label", ["$x$", "$", "\\frac", "<b>&amp;", "\u6f22\u5b57", "a\x00b", "_nolegend_", ""])
def test_labels_are_text_whatever_they_hold(label):
    shown = "a\u2400b" if label == "a\x00b" else label
    matrix = ConfusionMatrix("Spam", (label, "spam", "x", "y"), ((1,) * 4,) * 4)
    assert texts(confusion(matrix, "f1-")).count(shown) == 2 or not label
    assert confusion_png(matrix).startswith(b"\x89PNG")
    dots = intervals(Intervals(label, label, (Dot(label, Estimate(1, 0, 2), label),)), "f1-")
    assert shown in texts(dots) or not label
    lines = (Line(label, (0, 1), (1.0, 2.0)), Line("other", (0, 1), (1.0, 2.0)))
    named = texts(curves(Curves(label, label, (Panel(label, lines),)), "f1-"))
    assert named.count(shown) == 3 or not label


def test_a_long_label_is_cut_and_leaves_room_for_the_chart():
    label = "a label of many words, " * 10
    matrix = ConfusionMatrix(label, (label, "b"), ((1, 2), (3, 4)))
    assert "a label of many words, a labe..." in texts(confusion(matrix, "f1-"))
    assert "a label of many words, a labe..." in texts(
        intervals(Intervals(label, label, (Dot(label, Estimate(1, 0, 2), label),)), "f1-")
    )


def test_a_matrix_of_many_labels_fits_the_page():
    labels = tuple(f"module_{number}" for number in range(12))
    drawn = confusion(ConfusionMatrix("Modules", labels, ((1,) * 12,) * 12), "f1-")
    width = float(ElementTree.fromstring(drawn).get("viewBox").split()[2])
    assert width <= 7.2 * 72


def test_pictures_have_the_same_bytes_each_time_and_no_date():
    assert confusion_png(MATRIX) == confusion_png(MATRIX)
    assert b"Software" not in confusion_png(MATRIX)
