"""Texts that share most of their words in a row are found, whatever they come with."""

import random
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from components.overlap import near
from components.overlap.near import Match, NearSettings, bands, matches, signatures, similarity

SETTINGS = NearSettings(threshold=0.8, words=5, permutations=128, seed=1)


def made_up(count, words=200, seed=1):
    """Return texts of random words, which share no n-gram."""
    draw = random.Random(seed)
    return [" ".join(f"w{draw.randrange(5000)}" for _ in range(words)) for _ in range(count)]


def changed(text, word):
    """Return the text with one word changed, which changes five n-grams of each."""
    words = text.split()
    return " ".join([*words[:word], "changed", *words[word + 1 :]])


def found(texts, settings=SETTINGS):
    return [match and match.place for match in matches([(text, f"{n}") for n, text in enumerate(texts)], settings)]


def jaccard(one, other, n=5):
    """Return the true similarity, from sets of words in a row."""
    first, second = (
        {tuple(text.split()[at : at + n]) for at in range(len(text.split()) - n + 1)} for text in (one, other)
    )
    return len(first & second) / len(first | second)


def test_a_copy_with_a_word_changed_leads_to_the_first():
    one, other = made_up(2)
    (first, second, third, fourth) = matches(
        [(one, "news.jsonl line 1"), (other, "b.txt"), (changed(one, 100), "c.txt"), (other.upper(), "d.txt")], SETTINGS
    )
    assert (first, second, fourth) == (None, None, Match("b.txt", 1.0))
    assert third.place == "news.jsonl line 1"
    assert third.similarity == pytest.approx(191 / 201, abs=0.06)  # of 196 n-grams each, 5 differ; 3 deviations


def test_what_was_left_out_is_compared_with_nothing():
    (text,) = made_up(1, words=100)  # 96 n-grams; two changes leave 86 of 106, four 76 of 116
    twice = changed(changed(text, 10), 30)
    four = changed(changed(twice, 50), 70)
    settings = NearSettings(threshold=0.75, words=5, permutations=512, seed=1)
    assert found([text, twice], settings) == [None, "0"]
    assert found([twice, four], settings) == [None, "0"]
    assert found([text, twice, four], settings) == [None, "0", None]


def test_the_earliest_of_several_is_named():
    (text,) = made_up(1, words=100)
    left, right = changed(text, 20), changed(text, 70)  # 0.83 of each other, where 0.87 is asked for
    right = changed(changed(right, 80), 90)
    settings = NearSettings(threshold=0.8, words=5, permutations=512, seed=1)
    assert jaccard(left, right) < 0.7
    assert found([left, right, changed(text, 72), text], settings)[3] == "0"


def test_what_is_no_text_matches_none_and_changes_nothing_for_the_others():
    one, other = made_up(2)
    given = [None, (one, "a"), None, (other, "b"), (one, "c"), *[None] * 300, (other, "d"), None]
    assert list(matches(given, SETTINGS)) == [*[None] * 4, Match("a", 1.0), *[None] * 300, Match("b", 1.0), None]


def test_no_more_is_read_ahead_where_nothing_is_a_text():
    read = []
    given = ((read.append(n), None if n else ("a b c d e", "0"))[1] for n in range(10_000))
    assert next(matches(given, SETTINGS)) is None
    assert len(read) == 128


def test_what_came_before_an_error_is_passed_on():
    (one,) = made_up(1)

    def given():
        yield from [(one, "a"), None, (one, "b")]
        raise ValueError("no more")

    left = matches(given(), SETTINGS)
    assert [next(left) for _ in range(3)] == [None, None, Match("a", 1.0)]
    with pytest.raises(ValueError, match="no more"):
        next(left)


def test_texts_without_words_and_short_ones():
    assert found(["...", "***", "", "Yes.", "No.", "yes", "To be or not", "to be, or not!"]) == [
        *(None, None, None, None, None),
        "3",
        None,
        "6",
    ]


@pytest.mark.parametrize(("texts", "characters"), [(1, 10**6), (7, 10**6), (128, 3000)])
def test_how_many_are_read_at_once_changes_nothing(monkeypatch, texts, characters):
    draw = random.Random(3)
    many = made_up(150, words=60)
    many += [changed(draw.choice(many), draw.randrange(60)) for _ in range(150)]
    many += [changed(draw.choice(many), draw.randrange(60)) for _ in range(150)]
    draw.shuffle(many)
    expected = found(many)
    assert sum(place is not None for place in expected) > 100
    monkeypatch.setattr(near, "_AT_ONCE_TEXTS", texts)
    monkeypatch.setattr(near, "_AT_ONCE_CHARACTERS", characters)
    assert found(many) == expected


def test_what_is_found_is_what_comparing_all_finds():
    draw = random.Random(5)
    many = made_up(80, words=80)
    for _ in range(240):
        text = draw.choice(many)
        for _ in range(draw.randrange(4)):
            text = changed(text, draw.randrange(80))
        many.append(text)
    draw.shuffle(many)
    made = signatures(many, SETTINGS)
    expected, kept = [], []
    for row in range(len(many)):
        alike = [other for other in kept if (made[row] == made[other]).mean() >= 0.8]
        expected.append(str(alike[0]) if alike else None)
        kept += [] if alike else [row]
    differing = [pair for pair in zip(found(many), expected, strict=True) if pair[0] != pair[1]]
    assert len(differing) <= 3  # RECALL is 0.99 at the threshold, more above


def test_the_estimate_is_close_to_the_true_similarity():
    (text,) = made_up(1, words=300)
    texts = [text]
    for _ in range(12):
        texts.append(changed(texts[-1], random.Random(len(texts)).randrange(300)))
    settings = NearSettings(threshold=0.8, words=5, permutations=1024, seed=1)
    rows, others = (np.array(each) for each in zip(*combinations(range(13), 2), strict=True))
    made = signatures(texts, settings)
    true = [jaccard(texts[row], texts[other]) for row, other in zip(rows, others, strict=True)]
    assert min(true) < 0.75
    assert similarity(made[rows], made[others]) == pytest.approx(true, abs=4 * 0.5 / 1024**0.5)


def test_a_text_has_the_same_signature_in_any_company_and_another_with_another_seed():
    texts = [*made_up(40), "", "one two"]
    made = signatures(texts, SETTINGS)
    assert made.dtype == np.uint32
    assert made.shape == (42, 128)
    assert all((signatures([text], SETTINGS) == row).all() for text, row in zip(texts, made, strict=True))
    assert (made[40] == 2**32 - 1).all()
    assert signatures([], SETTINGS).shape == (0, 128)
    assert (signatures(texts[:1], NearSettings(0.8, 5, 128, 2)) != made[:1]).mean() > 0.9


def test_threads_and_processes_change_nothing():
    script = (
        "import hashlib; from components.overlap.near import *;"
        "texts = [' '.join(str(n * n % m) for n in range(400)) for m in range(3, 300)];"
        "print(hashlib.sha256(signatures(texts, NearSettings(0.8, 5, 128, 1)).tobytes()).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"RAYON_NUM_THREADS": threads, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "3")
    }
    assert len(told) == 1
    assert len(told.pop()) == 65


@pytest.mark.parametrize(
    ("threshold", "permutations", "expected"),
    [(0.8, 128, (16, 6)), (0.5, 128, (35, 3)), (0.9, 256, (18, 14)), (1.0, 64, (1, 64)), (0.05, 90, (90, 1))],
)
def test_bands_find_nearly_all_at_the_threshold_with_the_most_rows(threshold, permutations, expected):
    count, rows = bands(threshold, permutations)
    assert (count, rows) == expected
    assert 1 - (1 - threshold**rows) ** count >= 0.99
    assert count * rows <= permutations


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.0, 5, 128, 1), "threshold is 0.0; expected above 0, at most 1"),
        ((1.1, 5, 128, 1), "threshold is 1.1; expected above 0, at most 1"),
        ((float("nan"), 5, 128, 1), "threshold is nan"),
        ((0.8, 0, 128, 1), "words is 0; expected at least 1"),
        ((0.8, 5, 0, 1), "permutations is 0; expected at least 1"),
        ((0.8, 5, 128, -1), "seed is -1; expected at least 0"),
        ((0.8, 5, 2, 1), "permutations is 2; expected at least 3 for a threshold of 0.8"),
    ],
)
def test_settings_that_cannot_be_are_refused(values, said):
    with pytest.raises(ValueError, match=said):
        NearSettings(*values)
