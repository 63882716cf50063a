from benchmarks import leakage
from benchmarks.tokenizing import Turn


def turns(*seconds):
    return [Turn(each, 0, 500.0) for each in seconds]


def test_the_median_turn_of_the_gate_is_held_against_that_of_tokenizing():
    assert leakage.share(turns(9, 10, 30), turns(4, 5, 60)) == 0.5
    said = leakage.report(turns(9, 10, 30), turns(4, 5, 60), 10**8)
    assert "| the gate | 20.00 | 4.0..60.0 | 500 |" in said
    assert said.endswith("The gate takes 0.50 of tokenizing's time.")
