import pytest

from pipeline.comparison.builds import git, opened
from pipeline.comparison.comparison import compare
from pipeline.comparison.seeds import _full_name
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def found(two_builds):
    with opened("before") as a, opened("HEAD") as b:
        return compare(a, b, HOW, 0)


def test_what_is_a_mean_over_records_is_compared_in_pairs(found):
    named = {each.name: each for each in found.numbers}
    assert list(named) == ["bits_per_byte", "classifier_accuracy", "tuned_exact_match"]
    score = named["tuned_exact_match"]
    assert (score.a, score.b) == (0.25, 0.75)
    # Two of four rise by one; Binomial(4, 1/2): P(0) = P(4) = 6.3 %.
    its = score.pairs.difference
    assert (its.mean, its.low, its.high, its.count, score.pairs.left_out) == (0.5, 0.0, 1.0, 4, 0)


def test_a_single_number_has_no_interval(found):
    (bits,) = [each for each in found.numbers if each.name == "bits_per_byte"]
    assert (bits.a, bits.b, bits.pairs) == (1.75, 1.25, None)


def test_what_one_build_alone_has_is_named(two_builds):
    path = two_builds / "data/metrics/report.json"
    path.write_text(path.read_text().replace('"bits_per_byte"', '"new"'))
    with opened("before") as a, opened("workspace") as b:
        assert compare(a, b, HOW, 0).only_in_one == ("bits_per_byte", "new")


def test_a_number_that_no_run_with_other_seeds_has_is_named(two_builds):
    path = two_builds / "data/metrics/report.json"
    path.write_text(path.read_text().replace('"bits_per_byte"', '"new"'))
    git("commit", "-qam", "another number")
    with opened("HEAD") as a, opened("HEAD~1") as b:
        git("update-ref", _full_name(a, 1), git("rev-parse", "before"))
        found = compare(a, a, HOW, 1)
        assert compare(a, b, HOW, 1).without_runs == ()
    assert [each.name for each in found.over_seeds] == ["classifier_accuracy", "tuned_exact_match"]
    assert found.without_runs == ("new",)


def test_runs_with_other_seeds_are_held_against_each_other(two_builds):
    before, head = git("rev-parse", "before"), git("rev-parse", "HEAD")
    with opened("before") as a, opened("HEAD") as b:
        git("update-ref", _full_name(a, 1), before)
        git("update-ref", _full_name(b, 1), before)  # a run of B that knows as little as A
        git("update-ref", _full_name(b, 2), head)
        found = {each.name: each for each in compare(a, b, HOW, 2).over_seeds}["tuned_exact_match"]
    assert (found.a.mean, found.a.deviation, found.a.count) == (0.25, 0.0, 2)
    # 0.75, 0.25 and 0.75: mean 7/12, squares 1/6; s^2 = 1/18, error sqrt(1/18 x 5/6) = 0.215166, t(3) = 3.182446.
    assert (found.b.mean, found.b.count) == (pytest.approx(7 / 12), 3)
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (1 / 3 - 0.684754, 1 / 3 + 0.684754), abs=1e-5
    )
