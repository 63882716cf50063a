import json
from pathlib import Path

import pytest

from benchmarks import duplicates
from benchmarks.duplicates import Turn

SHARED = Path(__file__).parents[3] / "shared/data"


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_every_copy_is_found_and_nothing_else_is_left_out(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    size_bytes, copies = duplicates.write_corpus(SHARED, corpus, 1)
    lines = [json.loads(line) for file in corpus.iterdir() for line in file.read_text().splitlines()]
    assert sum(len(each["text"].encode()) for each in lines) == size_bytes >= 1_000_000
    assert sum(each["source"].startswith("copy of ") for each in lines) == copies > 10
    without = duplicates.turn(SHARED, corpus, tmp_path / "without", None)
    found = duplicates.turn(SHARED, corpus, tmp_path / "with", duplicates.NEAR)
    assert (without.documents, without.copies, without.left_out) == (len(lines), copies, 0)
    assert (found.documents, found.copies, found.left_out) == (len(lines) - copies, 0, copies)


def turns(seconds, memory_mib, copies=0, left_out=5):
    return {
        "without": [Turn(each, 1000, 5, 0, 100.0) for each in (9.0, 10.0, 30.0)],
        "with": [Turn(seconds, 1000 - left_out, copies, left_out, memory_mib)],
    }


def test_the_median_turn_and_the_memory_that_comes_on_top_are_held_against_the_targets():
    assert duplicates.missed(turns(19.0, 100.9), copies=5) == []
    assert "| with | 5.00 | 20.0..20.0 | 995 | 5 | 101 |" in duplicates.report(turns(20.0, 100.9), 10**8)
    assert duplicates.missed(turns(21.0, 101.0), copies=5) == [
        "2.10 times the time without; expected at most 2.0",
        "1,049 bytes a document; expected at most 1,000",
    ]


def test_a_copy_that_is_not_found_and_a_document_that_is_none_are_told():
    assert duplicates.missed(turns(9.0, 100.0, copies=2, left_out=3), copies=5) == ["2 of 5 copies were not found"]
    assert duplicates.missed(turns(9.0, 100.0, left_out=6), copies=5) == [
        "1 documents were left out that are no copies"
    ]
