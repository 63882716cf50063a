"""The numbers are those of conftest.py's scores; correlations are worked out beside each."""

import pytest

from pipeline.findings import calibration, headline
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=500, confidence=0.95, seed=1)


def test_every_judge_stands_beside_the_first_rater_on_the_answers_that_both_have_scored(calibrated):
    chrf, llama, mute = calibration.calibrate(HOW.agreement)
    # GPT-4 gave 0, 100 and 50 where chrF gave 10, 30 and 20: on one line.
    assert (chrf.judge, chrf.reference, chrf.answers, chrf.read) == ("chrf", "GPT-4", 3, 3)
    assert chrf.agreement.pearson.mean == pytest.approx(1.0)
    assert chrf.agreement.kendall.mean == pytest.approx(1.0)
    assert (llama.answers, llama.read, llama.agreement.pearson) == (2, 1, None)
    assert (mute.answers, mute.read, mute.agreement) == (1, 0, None)


def test_a_build_without_calibration_has_none(build):
    assert calibration.calibrate(HOW.agreement) == ()
    assert not [name for name in headline.numbers(gather(HOW)) if name.startswith("calibration")]


def test_the_headlines_have_each_correlation_with_its_ends_and_the_share_scored(calibrated):
    found = headline.numbers(gather(HOW))
    its = {name: value for name, value in found.items() if name.startswith("calibration")}
    ends = [f"{name}{end}" for name in ("pearson", "spearman", "kendall") for end in ("", "_low", "_high")]
    assert its.keys() == {
        "calibration_chrf_coverage",
        *(f"calibration_chrf_{name}" for name in ends),
        "calibration_Llama_coverage",
        "calibration_mute_coverage",
    }
    assert its["calibration_chrf_pearson"] == pytest.approx(1.0)
    assert its["calibration_chrf_coverage"] == 1.0
    assert its["calibration_Llama_coverage"] == 0.5
    assert its["calibration_mute_coverage"] == 0.0
