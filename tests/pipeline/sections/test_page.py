import json

import pytest

from components.page.facts import Text
from components.page.page import html
from pipeline.findings.findings import gather
from pipeline.findings.resampling import Resampling
from pipeline.sections import page, training

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def found(build):
    return gather(HOW)


def test_the_page_has_its_nine_sections_and_gives_the_same_bytes_twice(found):
    facts = page.facts(found)
    assert [section.title for section in facts.sections] == [
        "Headline figures",
        "The graph",
        "The corpus and its tokens",
        "The base model",
        "The classifier",
        "The assistant",
        "Held out and trained on",
        "Data checks",
        "Weights, versions and machine",
    ]
    assert html(facts) == html(page.facts(gather(HOW)))


@pytest.mark.parametrize("text", [None, "step,training_loss,learning_rate,gradient_norm,validation_loss\n"])
def test_no_steps_are_told_in_a_sentence_and_the_page_still_stands(build, text):
    for stage in training.STAGES:
        path = build / f"data/metrics/{stage}.csv"
        path.unlink()
        if text is not None:
            path.write_text(text)
    facts = page.facts(gather(HOW))
    said = Text("pretrain took no step: the first weights stayed as they were.")
    assert said in facts.sections[3].blocks
    assert "finetune_instructions took no step" in html(facts)


def test_a_build_judged_by_a_model_alone_has_a_page_too(judged):
    shown = html(page.facts(gather(HOW)))
    assert "Assistant, llama3:8b" in shown
    assert "tuned 3 of 4" in shown


def test_timings_list_each_stage_but_the_report_in_running_order(build):
    (build / ".work/timings").mkdir(parents=True)
    for stage, elapsed_s in {"download": 1.5, "report": 9.0}.items():
        (build / f".work/timings/{stage}.json").write_text(json.dumps({"stage": stage, "elapsed_s": elapsed_s}))
    (table,) = page.timings().sections[0].blocks
    assert table.rows == (("download", 1.5), ("pretrain", None), ("together", 1.5))
