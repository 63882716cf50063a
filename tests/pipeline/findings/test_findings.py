from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling

HOW = Resampling(resamples=10, confidence=0.9, seed=1)


def test_a_standing_is_found_by_its_judge_and_model(build):
    found = gather(HOW)
    assert found.confidence == 0.9
    assert found.standing("exact_match", "untuned, shown examples").mean.mean == 0.5


def test_the_judges_stand_once_each_in_the_order_of_the_scores(likely):
    assert gather(HOW).judges == ["exact_match", "likelihood"]
