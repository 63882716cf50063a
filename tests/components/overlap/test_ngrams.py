"""Texts of letters as words: which of them must be met can be told by eye, or by Python's own `in`."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.overlap.ngrams import Met, Sought, exact, runs

THIRTEEN = "a b c d e f g h i j k l m"
REAL = Path(__file__).parents[4] / "shared/data/corpora/tinyshakespeare.txt"


def met(held_out, seen, hashes=runs):
    """Return what is met of some texts in others, which stream by one at a time and are named by their number."""
    sought = Sought([hashes(held_out)])
    for number, text in enumerate(seen):
        sought.keep(sought.look(hashes([text])), [str(number)])
    return sought.met()


def test_thirteen_words_in_a_row_are_met_in_the_midst_of_a_text():
    assert met([THIRTEEN], ["x", f"x {THIRTEEN} y", THIRTEEN]) == [Met(1.0, "1")]


def test_case_and_punctuation_do_not_hide_a_run():
    assert met(["A, b: c; d. e! f? g (h) i-j/k 'l' M."], [f"x {THIRTEEN}"]) == [Met(1.0, "0")]


def test_twelve_words_in_a_row_are_no_run():
    assert met([f"{THIRTEEN} n"], ["a b c d e f g h i j k l x m n"]) == [None]


def test_the_share_is_that_of_the_runs_met_and_the_place_that_of_the_first():
    # Of 16 words there are four runs: two begin in the one text, two in the other.
    held_out = f"{THIRTEEN} n o p"
    assert met([held_out], ["b c d e f g h i j k l m n x", f"{THIRTEEN} x"]) == [Met(0.5, "1")]
    assert met([held_out], [held_out]) == [Met(1.0, "0")]


def test_a_text_of_fewer_words_is_met_as_a_whole_only():
    assert met(["Yes, sir", "Yes"], ["yes sir I can", "no sir", "YES SIR!"]) == [Met(1.0, "2"), None]


def test_a_text_without_words_is_never_met_as_a_run():
    assert met(["?!", "", "a"], ["?!", "", "a"]) == [None, None, Met(1.0, "2")]


def test_an_exact_text_is_the_same_to_the_character():
    seen = ["Yes", "yes ", "?!", ""]
    assert met(["yes", "yes ", "?!", "", "x"], seen, exact) == [None, *(Met(1.0, n) for n in "123"), None]


def test_what_two_texts_have_in_common_is_met_in_both():
    whole = Met(1.0, "0")
    assert met([f"x {THIRTEEN}", THIRTEEN, THIRTEEN], [f"{THIRTEEN} y"]) == [Met(0.5, "0"), whole, whole]


@pytest.mark.parametrize("hashes", [runs, exact])
def test_nothing_is_met_in_nothing(hashes):
    assert met([THIRTEEN], [], hashes) == [None]
    assert met([], [THIRTEEN], hashes) == []
    sought = Sought([hashes([THIRTEEN])])
    sought.keep(sought.look(hashes([])), [])
    assert sought.met() == [None]


def test_many_texts_at_once_are_met_where_one_by_one_they_are():
    held_out, seen = [f"{THIRTEEN} n", "b c", "q"], ["q", "b c d", f"x {THIRTEEN}", "B C", f"{THIRTEEN} n", "q"]
    sought = Sought([runs(held_out)])
    sought.keep(sought.look(runs(seen)), list("012345"))
    assert sought.met() == met(held_out, seen) == [Met(1.0, "2"), Met(1.0, "3"), Met(1.0, "0")]


def test_among_many_hashes_those_that_are_known_are_found_and_no_others():
    draw = np.random.default_rng(1)
    known = draw.integers(0, 2**64, 40_000, dtype=np.uint64)
    every = np.concatenate([draw.integers(0, 2**64, 60_000, dtype=np.uint64), known[::3]])
    draw.shuffle(every)
    seen = Sought([(known, np.array([0, len(known)]))]).look((every, np.array([0, len(every)])))
    assert (np.sort(known)[seen.numbers] == every[np.isin(every, known)]).all()
    assert len(seen.numbers) == 13_334


def test_texts_sought_in_parts_are_met_as_together():
    held_out, seen = [f"{THIRTEEN} n", "?!", "b c", "q"], runs(["q", THIRTEEN, "b c d"])
    together, parted = Sought([runs(held_out)]), Sought([runs(held_out[:2]), runs([]), runs(held_out[2:])])
    for sought in (together, parted):
        sought.keep(sought.look(seen), list("012"))
    assert together.met() == parted.met() == [Met(0.5, "1"), None, None, Met(1.0, "0")]
    assert Sought([]).met() == []


@given(st.lists(st.text("ab ", max_size=50), max_size=6), st.lists(st.text("ab ", max_size=50), max_size=6))
def test_what_is_met_is_what_python_finds(held_out, seen):
    def grams(text):
        found = text.split()
        return {tuple(found)} - {()} if len(found) < 13 else {tuple(found[k : k + 13]) for k in range(len(found) - 12)}

    expected = [any(grams(text) & grams(other) for other in seen) for text in held_out]
    assert [each is not None for each in met(held_out, seen)] == expected


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data is not here")
def test_the_runs_of_a_real_text_are_met_where_they_stand_and_no_other():
    text = REAL.read_text()
    lines = [" ".join(re.findall("[A-Za-z]+", part)).lower() for part in text.split("\n\n")]
    lines = [line for line in dict.fromkeys(lines) if len(line.split()) >= 13]
    sought = Sought([runs(lines[::2])])
    sought.keep(sought.look(runs(lines[1::2])), [str(n) for n in range(len(lines))])
    others = {" ".join(line.split()[k : k + 13]) for line in lines[1::2] for k in range(len(line.split()) - 12)}
    expected = [
        np.mean([" ".join(line.split()[k : k + 13]) in others for k in range(len(line.split()) - 12)])
        for line in lines[::2]
    ]
    assert len(others) > 50_000
    assert [each.share if each else 0.0 for each in sought.met()] == pytest.approx(expected)
    assert any(expected)


def test_texts_that_are_left_out_have_no_exact_hash():
    hashes, begins = exact(["a", "b", "", "d"])
    some, places = exact(["a", "b", "", "d"], np.array([False, True, False, True]))
    assert begins.tolist() == [0, 1, 2, 3, 4]
    assert some.tolist() == hashes[[1, 3]].tolist()
    assert places.tolist() == [0, 0, 1, 1, 2]
