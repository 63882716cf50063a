"""Classification metrics against a matrix counted by hand."""

import pytest

from components.scoring.classification import Classification, classification


def test_the_metrics_are_those_counted_by_hand():
    true = ["ham", "ham", "ham", "spam", "spam"]
    predicted = ["ham", "ham", "spam", "spam", "ham"]
    # ham: precision 2/3, recall 2/3; spam: precision 1/2, recall 1/2; F1 as both, being equal
    assert classification(true, predicted, ["ham", "spam"]) == Classification(
        accuracy=pytest.approx(3 / 5),
        precision=pytest.approx((2 / 3 + 1 / 2) / 2),
        recall=pytest.approx((2 / 3 + 1 / 2) / 2),
        f1=pytest.approx((2 / 3 + 1 / 2) / 2),
        labels=("ham", "spam"),
        confusion=((2, 1), (1, 1)),
    )


def test_rows_are_true_and_columns_predicted_labels_in_the_order_given():
    assert classification(["a"] * 3, ["b", "b", "a"], ["b", "a"]).confusion == ((0, 0), (2, 1))


def test_a_label_that_nobody_predicts_counts_zero_without_a_warning():
    result = classification(["a", "b"], ["a", "a"], ["a", "b"])
    assert result.accuracy == 0.5
    assert result.recall == 0.5
    assert result.precision == 0.25


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([], [], "at least one"),
        (["a"], ["a", "b"], "1 true and 2 predicted"),
        (["a"], ["c"], "unknown label 'c'; expected one of a, b"),
    ],
)
def test_records_that_do_not_fit_are_refused(true, predicted, message):
    with pytest.raises(ValueError, match=message):
        classification(true, predicted, ["a", "b"])
