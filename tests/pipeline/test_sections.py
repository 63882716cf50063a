import json

import pytest

from components.page.facts import ConfusionMatrix, Curves, Graph, Headline, KeyValues, Sample, Table, Text
from components.page.page import html
from pipeline import findings, sections
from pipeline.findings import Resampling

HOW = Resampling(resamples=4000, confidence=0.95, seed=1)


@pytest.fixture
def found(build):
    return findings.gather(HOW)


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_page_has_its_nine_sections_and_gives_the_same_bytes_twice(found):
    facts = sections.facts(found)
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
    assert html(facts) == html(sections.facts(findings.gather(HOW)))


def test_the_headline_holds_each_number_beside_what_it_must_beat(found):
    section = sections.headline(found)
    (headline,) = blocks(section, Headline)
    base, classifier, assistant = headline.figures
    assert (base.value, base.unit, base.note) == (1.5, "bits per byte", "xz on the same held-out text 2.00")
    assert (classifier.value.value, classifier.unit) == (75.0, "%")
    assert classifier.note == "bag of words 50.0, majority 25.0"
    assert (assistant.label, assistant.value.value, assistant.value.low) == ("Assistant, exact match", 75.0, 25.0)
    assert assistant.note == "untuned 0.0, untuned (shown examples) 50.0, best constant 25.0, copied input 25.0"
    (text,) = blocks(section, Text)
    assert text.text == (
        "By exact match, on 4 held-out questions, the tuned model is better than untuned (the interval of the "
        "difference excludes zero). It is not told apart from untuned (shown examples), best constant and copied input "
        "(the interval of the difference does not exclude zero).\n\n"
        "Brackets hold 95 % bootstrap intervals; questions of one group (a module) are drawn together."
    )


def test_the_graph_is_that_of_dvc_yaml(build):
    (drawn,) = blocks(sections.graph(), Graph)
    assert drawn.nodes == ("download", "pretrain", "report")
    assert set(drawn.edges) == {("download", "pretrain"), ("download", "report"), ("pretrain", "report")}


def test_the_corpus_shows_sources_with_licence_and_hash_and_held_out_fertility(build):
    listed, splits, tasks = blocks(sections.corpus(), Table)
    (hashes,) = blocks(sections.corpus(), KeyValues)
    assert listed.rows == (("Tales", "corpus", "CC0-1.0", 1, 1400),)
    assert hashes.items == (("corpus/tales.txt", "dd"),)
    assert splits.note.endswith(
        "Left out: 1 duplicates, 2 near duplicates, 3 that could not be read, 1 that broke the contract."
    )
    assert splits.rows == (("train", 8, 1200, 400, 3, 3.0, None), ("validation", 2, 200, 80, 1, 2.5, 2.25))
    assert tasks.rows == (("classification", 4, 1, 4), ("instructions", 4, 2, 4))


def test_the_vocabulary_stands_beside_gpt2s_or_the_page_says_how_it_would(build):
    (said,) = blocks(sections.corpus(), Text)
    assert said.text.startswith("GPT-2's vocabulary was not at hand: with its two files among download.sources")
    path = build / "data/metrics/tokenize.json"
    gpt2 = {"gpt2_validation_bytes_per_token": 4.0, "gpt2_validation_tokens_per_word": 1.5}
    path.write_text(json.dumps(json.loads(path.read_text()) | gpt2))
    assert blocks(sections.corpus(), Text) == []
    _, _, beside, _ = blocks(sections.corpus(), Table)
    assert beside.rows == (("this build's", 300, 2.5, 2.25), ("GPT-2's", 50_257, 4.0, 1.5))


def test_a_source_of_many_files_is_one_row(build):
    page = {"name": "News", "sha256": "ee", "licence": "CC0-1.0"}
    kept = [page | {"file": f"corpus/news/{number}.txt", "size_bytes": 10} for number in range(1000)]
    tasks = page | {"file": "tasks/news.json", "size_bytes": 5}
    (build / "data/raw/sources.json").write_text(json.dumps([*kept, tasks]))
    listed = blocks(sections.corpus(), Table)[0]
    (hashes,) = blocks(sections.corpus(), KeyValues)
    assert listed.rows == (("News", "corpus", "CC0-1.0", 1000, 10_000), ("News", "tasks", "CC0-1.0", 1, 5))
    assert hashes.items == (("News, 1000 files", "each in data/raw/sources.json"), ("tasks/news.json", "ee"))


def test_the_base_model_stands_beside_xz(build):
    section = sections.base()
    text, curves, scored, sample = section.blocks
    assert text == Text(
        "On 200 bytes of held-out text the base model needs 1.50 bits per byte, and xz -9e on the same text 2.00: "
        "the model needs 25 % less."
    )
    assert isinstance(curves, Curves)
    assert ("loss, nats per token", 2.25) in scored.items
    assert ("bits per byte, xz -9e after 1,200 bytes of training text", 1.75) in scored.items
    assert sample == Sample("Sample, greedy", " upon a time", "Once")


def test_long_runs_of_line_ends_in_a_sample_are_counted_not_shown(build):
    (build / "data/samples.json").write_text('[{"prompt": "p", "kind": "greedy", "text": "a\\n\\n\\nb\\n\\n\\n\\n"}]')
    assert sections.base().blocks[-1].text == "a\n\n\nb\n[4 line ends]\n"


def test_a_base_model_that_needs_more_than_xz_is_said_to(build):
    path = build / "data/metrics/evaluate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"bits_per_byte": 3.0}))
    assert sections.base().blocks[0].text.endswith("the model needs 50 % more.")


def test_curves_hold_both_losses_and_the_learning_rate(build):
    (curves,) = blocks(sections.base(), Curves)
    training, validation = curves.panels[0].lines
    assert (training.label, training.x, training.y) == ("training", (0.0, 1.0), (3.5, 2.5))
    assert (validation.label, validation.x, validation.y) == ("validation", (1.0,), (2.25,))
    assert curves.panels[1].lines[0].y == (0.01, 0.005)


@pytest.mark.parametrize("text", [None, "step,training_loss,learning_rate,gradient_norm,validation_loss\n"])
def test_no_steps_are_told_in_a_sentence_and_the_page_still_stands(build, text):
    for stage in sections.TRAINED:
        path = build / f"data/metrics/{stage}.csv"
        path.unlink()
        if text is not None:
            path.write_text(text)
    facts = sections.facts(findings.gather(HOW))
    said = Text("pretrain took no step: the first weights stayed as they were.")
    assert said in facts.sections[3].blocks
    assert "finetune_instructions took no step" in html(facts)


def test_the_classifier_stands_beside_both_baselines_with_the_gap_in_points(found):
    section = sections.classifier(found)
    (results,) = blocks(section, Table)
    assert results.rows == (
        ("classifier", 75.0, 80.0, 70.0, 60.0),
        ("bag of words", 50.0, 50.0, 50.0, 70.0),
        ("majority", 25.0, 10.0, 50.0, 20.0),
    )
    (text,) = blocks(section, Text)
    assert text.text == (
        "On 4 test texts the classifier is right on 75.0 % (95 % interval 25.0 to 100.0). "
        "Its accuracy is 25.0 points above that of bag of words, its F1 10.0 points below."
    )
    (matrix,) = blocks(section, ConfusionMatrix)
    assert (matrix.labels, matrix.counts) == (("code", "prose"), ((1, 1), (0, 2)))


def test_a_build_judged_by_a_model_alone_has_a_page_too(judged):
    page = html(sections.facts(findings.gather(HOW)))
    assert "Assistant, llama3:8b" in page
    assert "tuned 3 of 4" in page


def test_data_checks_say_what_was_expected_and_whether_it_held(build):
    (table,) = blocks(sections.checks(), Table)
    assert table.rows == (("raw", 1, "number of rows is at least 1\nfile is unique", True),)
    path = build / "data/checks/raw.json"
    path.write_text(path.read_text().replace('"holds": true}]', '"holds": false}]'))
    (table,) = blocks(sections.checks(), Table)
    assert table.rows[0][2:] == ("number of rows is at least 1\nfile is unique: DOES NOT HOLD", False)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("expect_table_row_count_to_be_between", {"min_value": 8, "max_value": 8}, "number of rows is exactly 8"),
        ("expect_column_values_to_be_between", {"column": "count", "min_value": 1.0}, "count is at least 1"),
        (
            "expect_column_values_to_be_between",
            {"column": "max_id", "min_value": 0.0, "max_value": 2047.0},
            "max_id is at least 0 and at most 2,047",
        ),
        ("expect_column_values_to_not_be_null", {"column": "sha256"}, "sha256 is there"),
        ("expect_column_values_to_be_in_set", {"column": "split", "value_set": ["a", "b"]}, "split is one of a; b"),
        (
            "expect_column_distinct_values_to_contain_set",
            {"column": "split", "value_set": ["a", "b"]},
            "split has each of a; b",
        ),
        (
            "expect_compound_columns_to_be_unique",
            {"column_list": ["model", "id"]},
            "model, id are unique together",
        ),
        ("expect_something_else", {"column": "x"}, "x expect_something_else"),
    ],
)
def test_an_expectation_is_put_in_a_few_words(build, name, arguments, words):
    kept = {"border": "raw", "rows": 1, "expectations": [{"expectation": name, "arguments": arguments, "holds": True}]}
    (build / "data/checks/raw.json").write_text(json.dumps(kept))
    (table,) = blocks(sections.checks(), Table)
    assert table.rows[0][2] == words


def test_the_origin_names_weights_versions_and_the_machine_of_each_training(build):
    weights, versions = blocks(sections.origin(), KeyValues)
    (machines,) = blocks(sections.origin(), Table)
    assert dict(weights.items) == {
        "pretrain": "aa",
        "finetune_classifier": "bb",
        "finetune_instructions": "cc",
        "scored by evaluate": "aa",
        "answering in respond": "cc",
    }
    assert {"python", "torch"} <= dict(versions.items).keys()
    titles = ["stage", "system", "device", "threads", "cpu capability", "processor"]
    assert [column.title for column in machines.columns] == titles
    assert machines.rows[1] == ("finetune_classifier", "Linux x86_64", "cuda", "2", "AVX512", "Xeon")


def test_timings_list_each_stage_but_the_report_in_running_order(build):
    (build / ".work/timings").mkdir(parents=True)
    for stage, elapsed_s in {"download": 1.5, "report": 9.0}.items():
        (build / f".work/timings/{stage}.json").write_text(json.dumps({"stage": stage, "elapsed_s": elapsed_s}))
    (table,) = sections.timings().sections[0].blocks
    assert table.rows == (("download", 1.5), ("pretrain", None), ("together", 1.5))
