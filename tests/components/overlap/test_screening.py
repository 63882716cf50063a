"""Small texts, and the book's own data with the counts that are known of them."""

import json
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from components.overlap import screening
from components.overlap.found import Overlap
from components.overlap.near import NearSettings
from components.overlap.screening import Side, Texts, records, stream

BOOK = Path(__file__).parents[4] / "shared/data/book"
NEAR = NearSettings(threshold=0.8, words=3, permutations=128, seed=123)
LONG = " ".join(f"w{k}" for k in range(100))


def side(name, *texts):
    return Side([f"{name}{k}" for k in range(len(texts))], texts, name)


def kinds(found):
    return [(each.kind, each.id, each.place) for each in found]


def grams(text, n):
    """Return every n words in a row, of fewer all, without hashes: only A to Z have a small letter."""
    words = re.findall(rb"[0-9a-z\x80-\xff]+", text.encode().lower())
    return {tuple(words[at : at + n]) for at in range(max(len(words) - n + 1, 1))} if words else set()


def letters(text):
    """Return every three letters in a row, whatever stands between."""
    return grams(" ".join(text), 3)


def jaccard(one, other):
    return len(one & other) / len(one | other)


def test_a_records_overlaps_are_told_by_kind_with_both_places():
    found = records(side("t", "What is it?", "Where is it now?"), side("r", "Who?", "What is it?", "what is it"), NEAR)
    assert found == [
        Overlap("t", "r", "exact", "t0", "r1", 1.0),
        Overlap("t", "r", "13_gram", "t0", "r1", 1.0),
        Overlap("t", "r", "near", "t0", "r1", 1.0),
    ]


def test_a_short_record_with_one_letter_changed_is_near():
    asked, other = (
        "Convert the 30 kilometres of this long road to metres",
        "Convert the 50 kilometres of this long road to metres",
    )
    (found,) = records(side("t", asked), side("r", other), NEAR)
    assert (found.kind, found.id, found.place) == ("near", "t0", "r0")
    assert 0.8 <= found.similarity < 1


@pytest.mark.parametrize(("held_out", "seen"), [((), ("a",)), (("a",), ()), (("?!",), ("...",))])
def test_a_side_without_texts_or_words_overlaps_nothing(held_out, seen):
    assert records(side("t", *held_out), side("r", *seen), NEAR) == []


def streamed(held_out, documents, batches, threads=2):
    near = NearSettings(threshold=0.8, words=5, permutations=128, seed=123)
    singly = [Texts([place], [text]) for place, text in zip(documents.places, documents.texts, strict=True)]
    kept = screening.documents(documents.name, reading(singly), near, threads)
    return stream(kept, held_out, "train", reading(batches), str.splitlines, near, threads)


def reading(batches):
    return [lambda batch=batch: batch for batch in batches]


@pytest.mark.parametrize("threads", [1, 3])
def test_documents_that_stream_by_are_met_in_their_order_whatever_the_threads(threads):
    changed = LONG.replace("w50 ", "other ")
    batches = [Texts(["a"], ["nothing of it"]), Texts(["b", "c"], [changed, LONG]), Texts(["d"], [LONG])]
    record = " ".join(f"w{k}" for k in range(60, 73))
    found = streamed([side("t", record, "w1 w2")], side("v", LONG), batches, threads)
    assert kinds(found) == [("exact", "v0", "c"), ("13_gram", "v0", "b"), ("13_gram", "t0", "b"), ("near", "v0", "c")]


def test_documents_given_some_at_a_time_are_those_given_at_once():
    texts = Texts(list("abc"), [LONG, "?!", "w1 w2"])
    near = NearSettings(threshold=0.8, words=5, permutations=128, seed=123)
    some = [Texts(["a"], [LONG]), Texts([], []), Texts(["b", "c"], ["?!", "w1 w2"])]
    one, other = (screening.documents("v", parts, near, 1) for parts in (reading([texts]), reading(some)))
    assert one.places == other.places == ["a", "b", "c"]
    assert (one.signatures == other.signatures).all()
    for kind in screening.HASHES:
        ((hashes, _),) = one.hashes[kind]
        assert [each for its, _ in other.hashes[kind] for each in its] == hashes.tolist()


def test_a_text_without_words_that_streams_by_is_met_where_it_is_the_same_to_the_letter():
    found = streamed([], side("v", "?!", "..."), [Texts(["a", "b"], ["What?", "?!"])])
    assert kinds(found) == [("exact", "v0", "b")]


def test_nothing_streams_by_and_nothing_is_met():
    assert streamed([side("t", "a")], side("v", LONG), []) == []
    assert streamed([], side("v"), [Texts(["a"], [LONG])]) == []


@pytest.mark.skipif(not BOOK.exists(), reason="../shared/data is not here")
def test_of_the_books_own_split_of_sms_the_known_texts_stand_in_training():
    frame = pd.read_csv(BOOK / "SMSSpamCollection", sep="\t", header=None, names=["Label", "Text"])
    spam = frame[frame.Label == "spam"]
    frame = pd.concat([frame[frame.Label == "ham"].sample(len(spam), random_state=123), spam])
    texts = list(frame.sample(frac=1, random_state=123).Text)
    parts = side("train", *texts[:1045]), side("validation", *texts[1045:1194]), side("test", *texts[1194:])
    found = [each for held_out in parts[1:] for each in records(held_out, parts[0], NEAR)]
    count = Counter((each.held_out, each.kind) for each in found)
    assert (count["validation", "exact"], count["test", "exact"]) == (13, 37)  # of 149 and 300, as is known
    trained = set().union(*(grams(text, 13) for text in parts[0].texts))
    for held_out in parts[1:]:
        expected = sum(not trained.isdisjoint(grams(text, 13)) for text in held_out.texts)
        assert count[held_out.name, "13_gram"] == expected > count[held_out.name, "exact"]


@pytest.mark.skipif(not BOOK.exists(), reason="../shared/data is not here")
def test_of_the_books_own_split_of_instructions_the_known_prompts_stand_in_training():
    rows = json.loads((BOOK / "instruction-data.json").read_text())
    prompts = [f"{row['instruction']}\n{row['input']}" for row in rows]
    parts = side("train", *prompts[:935]), side("test", *prompts[935:1045]), side("validation", *prompts[1045:])
    found = [each for held_out in parts[1:] for each in records(held_out, parts[0], NEAR)]
    count = Counter((each.held_out, each.kind) for each in found)
    assert (count["validation", "exact"], count["test", "exact"]) == (4, 2)
    # Nearly so are 7 of the test, known from cosines above 0.9 of TF-IDF over 3 to 5 characters.
    lettered = {id: letters(text) for part in parts for id, text in zip(part.places, part.texts, strict=True)}
    near = {each.id: each.place for each in found if each.kind == "near"}
    assert min(jaccard(lettered[id], lettered[place]) for id, place in near.items()) >= 0.7
    alike = {
        id
        for part in parts[1:]
        for id in part.places
        if max(jaccard(lettered[id], lettered[place]) for place in parts[0].places) > 0.8
    }  # at 0.8 itself, where test58 is, the estimate decides
    assert len(alike & set(parts[1].places)) >= 7
    assert alike <= set(near)
