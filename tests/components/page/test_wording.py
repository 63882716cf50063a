"""Values as short text, written out."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.page.facts import Column, Estimate, Table
from components.page.wording import Cell, cell, cells, decimals, is_numeric, number, printable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (1234567, "1,234,567"),
        (0.0, "0.00"),
        (0.8126, "0.813"),
        (0.9996, "1.00"),
        (2.734, "2.73"),
        (15.39, "15.4"),
        (123456.7, "123,457"),
        (-0.05, "\u22120.050"),
        (3e-4, "3e\u22124"),
        (3.214e-7, "3.21e\u22127"),
        (math.inf, "\u221e"),
        (-math.inf, "\u2212\u221e"),
        (math.nan, "\u2013"),
    ],
)
def test_a_number_has_three_significant_digits_and_commas(value, text):
    assert number(value) == text


def test_digits_given_are_kept_and_nothing_is_negative_zero():
    assert number(0.8, 3) == "0.800"
    assert number(-0.001, 2) == "0.00"
    assert number(1234, 1) == "1,234.0"


@pytest.mark.parametrize(("values", "places"), [([15.39, 2.734], 2), ([0.81, 0.02], 3), ([7, 1938], 0), ([250.5], 0)])
def test_the_smallest_number_decides_the_decimals_of_all(values, places):
    assert decimals(values) == places


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, Cell("\u2013")),
        (True, Cell("\u2713", mark="yes")),
        (False, Cell("\u2717", mark="no")),
        ("text", Cell("text")),
        (Estimate(0.5, 0.4, 0.6), Cell("0.500", "[0.400, 0.600]")),
        (Estimate(0.00045, 0.0003, 0.0006), Cell("4.5e\u22124", "[3e\u22124, 6e\u22124]")),
    ],
)
def test_every_kind_of_value_has_its_way_to_be_written(value, shown):
    assert cell(value) == shown


def test_a_column_of_numbers_has_the_same_decimals():
    table = Table(
        "Scores",
        (Column("who"), Column("share", digits=2), Column("loss"), Column("rate"), Column("records"), Column("right")),
        (("a", Estimate(0.5, 0.41, 0.6), 15.39, 0.01, 1938, True), ("b", 1, 2.734, 3e-4, None, False)),
    )
    assert [[each.text for each in row] for row in cells(table)] == [
        ["a", "0.50", "15.39", "0.010", "1,938", "\u2713"],
        ["b", "1.00", "2.73", "3e\u22124", "\u2013", "\u2717"],
    ]
    assert cells(table)[0][1].interval == "[0.41, 0.60]"
    assert [is_numeric(table, column) for column in range(6)] == [False, True, True, True, True, False]


def test_a_table_without_rows_has_no_cells():
    table = Table("Nothing", (Column("a"),), ())
    assert cells(table) == []
    assert not is_numeric(table, 0)


def test_control_characters_become_visible():
    assert printable("a\tb\n\x00\x1b\r\x7f\x85\ud800") == "a\tb\n\u2400\u241b\u240d\u2421\ufffd\ufffd"


@given(st.text(st.characters(codec=None)))
def test_what_is_printable_can_be_written_as_utf_8(text):
    assert len(printable(text)) == len(text)
    printable(text).encode("utf-8")
