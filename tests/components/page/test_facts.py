"""Facts that do not fit together are refused where they are made."""

import pytest

from components.page.facts import Column, ConfusionMatrix, Curves, Intervals, Line, Table


def test_a_row_narrower_than_the_head_is_refused():
    with pytest.raises(ValueError, match="Scores: row 1 has 1 cells; expected 2"):
        Table("Scores", (Column("a"), Column("b")), ((1, 2), (3,)))


def test_a_line_needs_one_y_for_each_x():
    with pytest.raises(ValueError, match="loss: 2 values of x and 1 of y"):
        Line("loss", (1.0, 2.0), (1.0,))


@pytest.mark.parametrize("counts", [((1, 2),), ((1, 2), (3,)), ()])
def test_a_confusion_matrix_is_square(counts):
    with pytest.raises(ValueError, match="Spam: expected 2 x 2 counts"):
        ConfusionMatrix("Spam", ("ham", "spam"), counts)


def test_empty_charts_are_refused():
    with pytest.raises(ValueError, match="Losses: curves without a panel"):
        Curves("Losses", "step", ())
    with pytest.raises(ValueError, match="Scores: a chart of intervals without a row"):
        Intervals("Scores", "share", ())
    with pytest.raises(ValueError, match="Spam: expected 0 x 0"):
        ConfusionMatrix("Spam", (), ())
