import pytest

from components.overlap.found import KINDS, Count


@pytest.mark.parametrize(
    ("items", "touched", "most", "is_over"),
    [(10, 1, 0.1, False), (10, 2, 0.1, True), (10, 0, 0.0, False), (100, 29, 0.29, False), (0, 0, 0.0, False)],
)
def test_a_side_is_over_where_more_overlap_than_may(items, touched, most, is_over):
    assert Count("a", "b", KINDS[0], items, touched, most, "screen.records.most_exact").is_over is is_over
