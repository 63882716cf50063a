"""The gate over a finished build, and over what is put into its data by hand."""

import json
import shutil

import numpy as np
import pytest

from components.corpus.documents import Document
from components.tasks.classification import Labelled
from components.tasks.files import read_json_lines, read_records, write_records
from components.tasks.instructions import Instruction
from components.tasks.preferences import Preference
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.tokenizer.decoding import Decoder
from pipeline import dag, encoding, paths
from pipeline.stages import screen
from pipeline.stages.screen import MostOfAlike

TEST, TRAIN = paths.CLASSIFICATION / "test.jsonl", paths.CLASSIFICATION / "train.jsonl"


def copy_into_training(count):
    """Have so many test texts stand in training too."""
    records = read_records(TEST, Labelled)[:count]
    copies = [Labelled(f"copy of {each.id}", each.text, each.label, each.group) for each in records]
    write_records(read_records(TRAIN, Labelled) + copies, TRAIN)
    return [each.id for each in records]


def test_each_held_out_side_is_looked_for_where_a_model_could_have_seen_it(project):
    counts = json.loads(paths.OVERLAP_COUNTS.read_text())
    pairs = {(each["held_out"], each["seen"]) for each in counts}
    splits = [("validation", "train"), ("test", "train"), ("test", "validation")]
    tasks = {(f"{task} {a}", f"{task} {b}") for task in ("classification", "instructions") for a, b in splits}
    corpus = {
        (f"{task} {a}", "corpus train") for task in ("classification", "instructions") for a in ("validation", "test")
    }
    judged = {("judge items", "instructions train, with answers"), ("judge items", "corpus train")}
    assert pairs == tasks | corpus | judged | {("corpus validation", "corpus train")}
    assert {each["items"] for each in counts if each["held_out"] == "classification test"} == {40}
    assert len(counts) == 3 * 8 + 2 * 5


def test_the_numbers_are_the_texts_that_are_listed(project):
    recorded = json.loads(paths.metrics("screen").read_text())
    rows = read_json_lines(paths.OVERLAPS)
    assert rows
    for side in ("classification test", "judge items", "corpus validation"):
        ids = {row["id"] for row in rows if row["held_out"] == side}
        assert recorded[f"{side.replace(' ', '_')}_touched"] == len(ids)
    assert {row["kind"] for row in rows} <= {"exact", "near", "13_gram"}


def test_over_its_threshold_the_build_stops_with_the_list_on_disk(failure):
    ids = copy_into_training(3)
    said = failure("screen")
    assert said == (
        "3 of 40 texts of classification test (7.5%) overlap classification train (exact); expected at most 0.0% "
        "(screen.records.most_exact); each is listed in data/overlap/overlaps.jsonl"
    )
    rows = [row for row in read_json_lines(paths.OVERLAPS) if row["kind"] == "exact"]
    assert [(row["id"], row["place"], row["similarity"]) for row in rows] == [(id, f"copy of {id}", 1.0) for id in ids]
    assert not paths.PASSED.exists()


def test_what_the_settings_let_overlap_passes(run):
    copy_into_training(3)
    run("screen", {"records": {"most_exact": 0.075}})
    assert paths.PASSED.exists()


def test_what_waits_for_the_gate_is_not_made_stale_by_another_count(run):
    before, counts = paths.PASSED.read_bytes(), paths.OVERLAP_COUNTS.read_bytes()
    copy_into_training(1)
    run("screen", {"records": {"most_exact": 1.0}})
    assert paths.OVERLAP_COUNTS.read_bytes() != counts
    assert paths.PASSED.read_bytes() == before
    waiting = [stage.name for stage in dag.stages() if paths.PASSED in stage.deps]
    assert waiting == ["pretrain", "finetune_classifier", "finetune_instructions", "prefer"]


def test_a_test_question_that_a_training_preference_asks_ends_the_build(failure):
    asked = read_records(paths.INSTRUCTIONS / "test.jsonl", Instruction)[0]
    pairs = [
        Preference("p1", "p1", asked.instruction, asked.input, "yes", "no"),
        *(Preference(f"p{k}", f"p{k}", f"Is it number {k}, and what is {k} times {k}?", "", "a", "b") for k in (2, 3)),
    ]
    for split, pair in zip(("train", "validation", "test"), pairs, strict=True):
        write_records([pair], paths.PREFERENCES / f"{split}.jsonl")
    said = failure("screen")
    assert said.startswith("1 of 8 texts of instructions test (12.5%) overlap preferences train (exact); expected ")
    sides = {(each["held_out"], each["seen"]) for each in json.loads(paths.OVERLAP_COUNTS.read_text())}
    assert {("preferences test", "instructions train"), ("preferences test", "corpus train")} <= sides


def test_a_held_out_text_that_the_corpus_has_is_found_in_its_document(run):
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    row = next(row for row in table.read(paths.TOKENS, "train") if row.size_bytes > 400)
    text = tokenizer.decode(row.ids)
    record = Labelled("leaked", text[100:400], "function", "x")
    write_records([*read_records(TEST, Labelled), record], TEST)
    run("screen")
    (found,) = [
        each for each in read_json_lines(paths.OVERLAPS) if each["id"] == "leaked" and each["seen"] == "corpus train"
    ]
    assert (found["kind"], found["place"]) == ("13_gram", f"document {row.document} ({row.place})")


def test_a_held_out_text_without_words_overlaps_nothing(run):
    write_records([*read_records(TEST, Labelled), Labelled("wordless", "?!", "function", "x")], TEST)
    run("screen")
    assert "wordless" not in {each["id"] for each in read_json_lines(paths.OVERLAPS)}


def test_an_empty_training_side_overlaps_nothing(run):
    write_records([], TRAIN)
    run("screen")
    counts = json.loads(paths.OVERLAP_COUNTS.read_text())
    assert [each["touched"] for each in counts if each["seen"] == "classification train"] == [0] * 6


def test_the_same_data_gives_the_same_bytes(run):
    before = paths.OVERLAPS.read_bytes(), paths.OVERLAP_COUNTS.read_bytes()
    run("screen")
    assert (paths.OVERLAPS.read_bytes(), paths.OVERLAP_COUNTS.read_bytes()) == before


def test_each_side_that_is_over_is_named(failure):
    copy_into_training(3)
    said = failure("screen", {"records": {"most_13_gram": 0.0}})
    assert "3 of 40 texts of classification test (7.5%) overlap classification train (exact); expected at" in said
    assert said.count("texts of classification test") == 2
    assert said.count("screen.records.most_13_gram") >= 1
    assert said.endswith("(screen.records.most_13_gram); each is listed in data/overlap/overlaps.jsonl")


def test_a_held_out_document_counts_in_passages(tmp_path):
    tokenizer = Tokenizer([])
    text = "".join(f"Paragraph {number} is here.\n\n" for number in range(400))  # 9,490 characters
    encoding.write([Document("tale", 7, text, "validation", "tale.txt")], tokenizer, tmp_path, 1)
    (group,) = table.groups(tmp_path, "validation")
    found = screen.in_passages(Decoder(tokenizer), group)
    assert list(found.places) == [f"document 7 (tale.txt), passage {number}" for number in (1, 2, 3)]
    assert "".join(found.texts) == text
    assert [part[-2:] for part in found.texts] == ["\n\n"] * 3


def test_held_out_documents_looked_for_some_at_a_time_are_found_as_all_at_once(run, monkeypatch):
    before = read_json_lines(paths.OVERLAPS)
    counts = paths.OVERLAP_COUNTS.read_bytes()
    monkeypatch.setattr(table, "_ROW_GROUP_IDS", 20_000)
    rows = list(table.read(paths.TOKENS))
    shutil.rmtree(paths.TOKENS)
    table.write(rows, paths.TOKENS, Tokenizer.load(paths.TOKENIZER).vocab_size)
    monkeypatch.setattr(screen, "HELD_OUT_BYTES", 20_000)
    assert len(list(screen.portions(table.groups(paths.TOKENS, "validation")))) > 1
    run("screen")
    assert sorted(map(str, read_json_lines(paths.OVERLAPS))) == sorted(map(str, before))
    assert paths.OVERLAP_COUNTS.read_bytes() == counts


def test_documents_are_parted_where_enough_are_together():
    def group(size_bytes):
        return table.Group([0], [""], size_bytes, np.zeros(0), np.zeros(1))

    half = group(screen.HELD_OUT_BYTES // 2)
    assert [len(each) for each in screen.portions([half] * 4)] == [2, 2]
    assert [len(each) for each in screen.portions([half] * 3)] == [2, 1]
    assert [len(each) for each in screen.portions([])] == [0]


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
@pytest.mark.parametrize("name", ["most_exact", "most_13_gram", "most_near"])
def test_a_share_out_of_range_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}; expected a share, 0..1"):
        MostOfAlike(**{"most_exact": 0.0, "most_13_gram": 0.0, "most_near": 0.0} | {name: value})


def test_a_share_out_of_range_is_named_by_its_dotted_path(failure):
    said = failure("screen", {"pretraining": {"most_exact": 2}})
    assert said == "screen.pretraining.most_exact is 2.0; expected a share, 0..1"
