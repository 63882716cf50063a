import json

from components.page.facts import KeyValues, Table, Text
from pipeline.sections import corpus


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def test_the_corpus_shows_sources_with_licence_and_hash_and_held_out_fertility(build):
    listed, splits, tasks = blocks(corpus.section(), Table)
    (hashes,) = blocks(corpus.section(), KeyValues)
    assert listed.rows == (("Tales", "corpus", "CC0-1.0", 1, 1400),)
    assert hashes.items == (("corpus/tales.txt", "dd"),)
    assert splits.note.endswith(
        "Left out: 1 duplicates, 2 near duplicates, 3 that could not be read, 1 that broke the contract."
    )
    assert splits.rows == (("train", 8, 1200, 400, 3, 3.0, None), ("validation", 2, 200, 80, 1, 2.5, 2.25))
    assert tasks.rows == (("classification", 4, 1, 4), ("instructions", 4, 2, 4))
    assert tasks.note.endswith("Left out: 3 without text, prompt or answer, 0 of too common a label.")


def test_the_vocabulary_stands_beside_gpt2s_or_the_page_says_how_it_would(build):
    (said,) = blocks(corpus.section(), Text)
    assert said.text.startswith("GPT-2's vocabulary was not at hand: with its two files among download.sources")
    path = build / "data/metrics/tokenize.json"
    gpt2 = {"gpt2_validation_bytes_per_token": 4.0, "gpt2_validation_tokens_per_word": 1.5}
    path.write_text(json.dumps(json.loads(path.read_text()) | gpt2))
    assert blocks(corpus.section(), Text) == []
    _, _, beside, _ = blocks(corpus.section(), Table)
    assert beside.rows == (("this build's", 300, 2.5, 2.25), ("GPT-2's", 50_257, 4.0, 1.5))


def test_documents_that_were_not_utf8_are_told_with_their_encoding(build):
    path = build / "data/metrics/tokenize.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoded_from_cp1252": 3, "decoded_from_utf_16": 1}))
    _, splits, _ = blocks(corpus.section(), Table)
    assert splits.note.endswith(" Decoded from another encoding than UTF-8: 3 from cp1252, 1 from utf_16.")


def test_a_source_of_many_files_is_one_row(build):
    page = {"name": "News", "sha256": "ee", "licence": "CC0-1.0"}
    kept = [page | {"file": f"corpus/news/{number}.txt", "size_bytes": 10} for number in range(1000)]
    tasks = page | {"file": "tasks/news.json", "size_bytes": 5}
    (build / "data/raw/sources.json").write_text(json.dumps([*kept, tasks]))
    listed = blocks(corpus.section(), Table)[0]
    (hashes,) = blocks(corpus.section(), KeyValues)
    assert listed.rows == (("News", "corpus", "CC0-1.0", 1000, 10_000), ("News", "tasks", "CC0-1.0", 1, 5))
    assert hashes.items == (("News, 1000 files", "each in data/raw/sources.json"), ("tasks/news.json", "ee"))
