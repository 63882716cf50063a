"""Correlations against the book's published ones, SciPy's, and cases that can be told by eye."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from components.scoring.agreement import Agreement, _correlations, _order, agreement
from components.scoring.statistics import Interval

REAL = Path(__file__).parents[4] / "shared/data/judge"
HOW = {"resamples": 2000, "confidence": 0.95, "seed": 1}


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data, the real files, is not here")
def test_llama_3_agrees_with_gpt_4_as_far_as_the_book_says():
    # rasbt/LLMs-from-scratch, ch07/03_model-evaluation/scores/correlation-analysis.ipynb: 0.80489, 0.698406, 0.57292
    gpt4, llama = (json.loads((REAL / f"{name}-model-1-response.json").read_text()) for name in ("gpt4", "llama3-8b"))
    found = agreement(gpt4, llama, **HOW)
    assert found.pearson.mean == pytest.approx(0.80489, abs=5e-6)
    assert found.spearman.mean == pytest.approx(0.698406, abs=5e-7)
    assert found.kendall.mean == pytest.approx(0.57292, abs=5e-6)
    assert found.count == 100
    # The whole of SciPy's own bootstrap, resample by resample.
    theirs = stats.bootstrap(
        (gpt4, llama), lambda a, b: stats.pearsonr(a, b).statistic, paired=True, vectorized=False,
        n_resamples=2000, method="percentile", rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert (found.pearson.low, found.pearson.high) == pytest.approx((theirs.low, theirs.high), abs=0.015)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_each_resample_has_scipys_correlations_of_the_answers_drawn(data):
    n = data.draw(st.integers(2, 12))
    scores = st.lists(st.integers(0, 4), min_size=n, max_size=n)
    x, y = (np.array(data.draw(scores), dtype=float) for _ in range(2))
    times = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any)), dtype=float)
    found = _correlations(times[None], x, y, _order(x), _order(y))[:, 0]
    drawn_x, drawn_y = (np.repeat(each, times.astype(int)) for each in (x, y))
    if len(set(drawn_x)) == 1 or len(set(drawn_y)) == 1:
        assert np.isnan(found).all()
    else:
        theirs = [each(drawn_x, drawn_y).statistic for each in (stats.pearsonr, stats.spearmanr, stats.kendalltau)]
        np.testing.assert_allclose(found, theirs, atol=1e-9)


def test_the_same_order_agrees_wholly_by_rank_and_the_reverse_not_at_all():
    up, steep = [1.0, 2.0, 3.0, 4.0], [1.0, 10.0, 100.0, 1000.0]
    same, reverse = agreement(up, steep, **HOW), agreement(up, steep[::-1], **HOW)
    assert (same.spearman.mean, same.kendall.mean) == pytest.approx((1.0, 1.0))
    assert (reverse.spearman.mean, reverse.kendall.mean) == pytest.approx((-1.0, -1.0))
    assert same.pearson.mean < 0.9
    assert (same.spearman.low, same.spearman.high) == pytest.approx((1.0, 1.0))


def test_a_judge_that_gives_all_answers_the_same_has_no_correlation():
    assert agreement([5.0, 5.0, 5.0], [1.0, 2.0, 3.0], **HOW) == Agreement(None, None, None, 3)
    assert agreement([1.0], [2.0], **HOW) == Agreement(None, None, None, 1)


def test_answers_of_a_group_are_drawn_together():
    # Two groups of two: a resample holds one group twice (each with its own correlation, 1 and -1), or both.
    a, b = [1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 2.0, 1.0]
    together = agreement(a, b, groups=["x", "x", "y", "y"], **HOW)
    assert together.pearson == Interval(pytest.approx(0.0), pytest.approx(-1.0), pytest.approx(1.0), 4)


def test_the_same_seed_gives_the_same_intervals_and_another_seed_others():
    a, b = [0.1, 1.7, 2.2, 4.0, 5.3, 6.1], [2.0, 1.1, 4.5, 3.7, 5.0, 0.3]
    assert agreement(a, b, **HOW) == agreement(a, b, **HOW)
    assert agreement(a, b, **HOW) != agreement(a, b, **HOW | {"seed": 2})


@pytest.mark.parametrize(("a", "b", "groups"), [([], [], None), ([1.0], [1.0, 2.0], None), ([1.0], [1.0], ["x", "y"])])
def test_scores_and_groups_that_are_not_as_many_are_refused(a, b, groups):
    with pytest.raises(ValueError, match="expected as many, at least one"):
        agreement(a, b, groups=groups, **HOW)
