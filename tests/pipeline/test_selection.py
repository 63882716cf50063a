import math

import pytest

from pipeline.selection import LAST, Selection


def curve(*losses):
    """Return a row for each step, with a validation loss unless that is None."""
    return [{"step": k} | ({} if loss is None else {"validation_loss": loss}) for k, loss in enumerate(losses)]


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ((3.0, None, 1.0, None, 2.0), 2),
        ((3.0, 1.0, 1.0), 1),  # of equal ones the first
        ((3.0, None, None, None, 2.0), 4),
        ((math.nan, None, 2.0), 2),
        ((), -1),
    ],
)
def test_the_best_weights_are_those_of_the_lowest_validation_loss(losses, best):
    assert Selection("best", None).kept(curve(*losses)) == best


def test_the_last_weights_are_those_of_the_last_step():
    assert LAST.kept(curve(1.0, None, 2.0)) == 2


@pytest.mark.parametrize(
    ("losses", "is_over"),
    [
        ((), False),
        ((None, 3.0, 2.0, 4.0), False),
        ((3.0, None, 2.0, 4.0, None), False),
        ((3.0, 2.0, 4.0, None, 2.0), True),  # twice no lower one
        ((3.0, math.nan, math.nan), True),
    ],
)
def test_it_is_over_when_the_loss_has_not_fallen_in_so_many_evaluations(losses, is_over):
    assert Selection("last", 2).is_over(curve(*losses)) == is_over
    assert not LAST.is_over(curve(*losses))


def test_a_patience_of_nothing_is_refused():
    with pytest.raises(ValueError, match="patience is 0; expected 1 or more, or null"):
        Selection("best", 0)
