from pipeline.findings import headline
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


def ends(interval):
    return interval.mean, interval.low, interval.high, interval.count


def test_without_items_nothing_was_chosen(build):
    assert gather(HOW).multiple_choice == ()
    assert not [name for name in headline.numbers(gather(HOW)) if "multiple_choice" in name]


def test_right_choices_are_counted_by_shots_beside_what_knows_nothing(chosen):
    zero, one = gather(HOW).multiple_choice
    assert (zero.shots, one.shots) == (0, 1)
    # Binomial(4, 3/4): P(0) = 1/256, P(<= 1) = 13/256 = 5.1 %, P(4) = 31.6 %: the middle 95 % are 1..4 of 4.
    assert ends(zero.accuracy) == (0.75, 0.25, 1.0, 4)
    assert ends(zero.accuracy_norm) == (0.0, 0.0, 0.0, 4)
    assert ends(zero.accuracy_by_token) == (1.0, 1.0, 1.0, 4)
    assert (zero.chance, zero.longest, zero.shortest) == (0.5, 0.0, 1.0)
    assert (zero.cut, one.cut) == (1, 0)
    found = headline.numbers(gather(HOW))
    assert found["multiple_choice_0_shot_accuracy"] == 0.75
    assert found["multiple_choice_0_shot_accuracy_low"] == 0.25
    assert found["multiple_choice_1_shot_accuracy_norm_high"] == 0.0
