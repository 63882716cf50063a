import numpy as np
import pytest

from components.overlap.near import NearSettings, signatures
from components.overlap.nearest import Nearest
from components.overlap.ngrams import Met

NONE = 2**32 - 1


def met(held_out, seen, least=0.5):
    nearest = Nearest(np.array(held_out, np.uint32))
    nearest.keep(np.array(seen, np.uint32).reshape(-1, len(held_out[0])), "abcdefgh"[: len(seen)])
    return nearest.met(least)


def test_the_similarity_is_the_share_of_numbers_that_are_the_same_at_their_place():
    assert met([[1, 2, 3, 4]], [[4, 3, 2, 1], [1, 2, 3, 9]]) == [Met(0.75, "b")]
    assert met([[1, 2, 3, 4], [5, 6, 7, 8]], [[5, 6, 0, 0], [9, 9, 9, 9]]) == [None, Met(0.5, "a")]


def test_what_is_less_near_than_the_least_is_not_met():
    assert met([[1, 2, 3, 4]], [[1, 2, 3, 9]], 0.75) == [Met(0.75, "a")]
    assert met([[1, 2, 3, 4]], [[1, 2, 3, 9]], 0.76) == [None]


def test_the_nearest_is_kept_and_of_two_as_near_the_first():
    assert met([[1, 2, 3, 4]], [[1, 2, 9, 9], [1, 2, 3, 9], [9, 2, 3, 4]]) == [Met(0.75, "b")]
    nearest = Nearest(np.array([[1, 2, 3, 4]], np.uint32))
    for place, signature in {"a": [1, 2, 9, 9], "b": [9, 9, 3, 4], "c": [1, 2, 3, 4], "d": [1, 2, 3, 4]}.items():
        nearest.keep(np.array([signature], np.uint32), [place])
    assert nearest.met(0.1) == [Met(1.0, "c")]


def test_a_text_without_words_is_near_none():
    assert met([[NONE, NONE], [1, NONE]], [[NONE, NONE], [1, NONE]]) == [None, Met(1.0, "b")]


def test_nothing_is_near_nothing():
    assert met([[1, 2]], []) == [None]
    empty = Nearest(np.zeros((0, 2), np.uint32))
    empty.keep(np.array([[1, 2]], np.uint32), ["a"])
    assert empty.met(0.5) == []


def test_texts_with_a_word_changed_are_met_about_as_near_as_they_are():
    how = NearSettings(threshold=0.8, words=2, permutations=512, seed=1)
    text = [f"w{k}" for k in range(101)]
    nearest = Nearest(signatures([" ".join(text)], how))
    nearest.keep(signatures(["something else", " ".join([*text[:50], "x", *text[51:]])], how), ["a", "b"])
    (found,) = nearest.met(0.8)
    # Of 100 pairs of words two are others: 98 of 102 are in both.
    assert found.place == "b"
    assert found.share == pytest.approx(98 / 102, abs=4 * (0.96 * 0.04 / 512) ** 0.5)
