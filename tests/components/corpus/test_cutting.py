"""A long text is cut where it matters least, and nothing of it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.corpus.cutting import cut


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("short", ["short"]),
        ("ten chars.", ["ten chars."]),
        ("a\n\nb\n\nc d\ne f", ["a\n\nb\n\n", "c d\ne f"]),
        ("a\nb c\nd e f g", ["a\nb c\n", "d e f g"]),
        ("a b c d e f g", ["a b c d e ", "f g"]),
        ("abcdefghijklmnopqrstuvw", ["abcdefghij", "klmnopqrst", "uvw"]),
        ("a\n\n\n\nb c d e f", ["a\n\n\n\n", "b c d e f"]),
        ("abcdefgh\n\nklm", ["abcdefgh\n\n", "klm"]),
        ("abcdefghi\n\nlm", ["abcdefghi\n", "\nlm"]),
        ("", [""]),
    ],
)
def test_a_part_ends_with_a_paragraph_a_line_a_word_or_anywhere(text, parts):
    assert list(cut(text, 10)) == parts


@given(st.text("ab \n\u20ac", max_size=80), st.integers(1, 20))
def test_parts_are_no_longer_than_they_may_and_joined_the_text_again(text, most):
    parts = list(cut(text, most))
    assert "".join(parts) == text
    assert all(len(part) <= most for part in parts)
    assert all(parts) or not text
