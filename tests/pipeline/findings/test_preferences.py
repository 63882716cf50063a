from pipeline.findings import headline
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def ends(interval):
    return interval.mean, interval.low, interval.high, interval.count


def test_nothing_is_said_of_preferences_where_none_was_taught(build):
    found = gather(HOW)
    assert found.preferences == ()
    assert not [name for name in headline.numbers(found) if "prefer" in name]


def test_preferences_are_told_by_split_before_and_after(preferred):
    found = gather(HOW)
    first, second = found.preferences
    assert (first.split, second.split) == ("validation", "test")
    # The chosen answer was half a nat less likely in both pairs, and is half a nat likelier now.
    assert (ends(second.likelier_before), ends(second.likelier)) == ((0.0, 0.0, 0.0, 2), (1.0, 1.0, 1.0, 2))
    assert (ends(second.margin), ends(second.accuracy)) == ((1.0, 1.0, 1.0, 2), (1.0, 1.0, 1.0, 2))
    numbers = headline.numbers(found)
    assert (numbers["preferences_test_margin"], numbers["preferences_validation_accuracy_low"]) == (1.0, 1.0)
    assert (numbers["preferred_exact_match"], numbers["tuned_minus_preferred_exact_match"]) == (0.5, 0.25)
