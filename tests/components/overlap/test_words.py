"""Equal runs of words have equal hashes, whatever stands between the words."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.overlap import words
from components.overlap.words import ngrams


def plain(text: str, n: int) -> list[tuple[bytes, ...]]:
    """Return the n-grams of a text by Python's own means."""
    found = re.findall(rb"[0-9A-Za-z\x80-\xff]+", text.encode())
    lowered = [word.lower() for word in found]
    if 0 < len(lowered) < n:
        return [tuple(lowered)]
    return [tuple(lowered[at : at + n]) for at in range(len(lowered) - n + 1)]


def assert_as_plain(texts: list[str], n: int) -> None:
    hashes, begins = ngrams(texts, n)
    assert hashes.dtype == np.uint64
    assert begins.dtype == np.int64
    expected = [plain(text, n) for text in texts]
    assert begins.tolist() == [0, *np.cumsum([len(each) for each in expected]).tolist()]
    pairs = set(zip((gram for each in expected for gram in each), hashes.tolist(), strict=True))
    assert len(pairs) == len({gram for gram, _ in pairs}) == len({its for _, its in pairs})


def of(text: str, n: int = 3) -> list[int]:
    hashes, _ = ngrams([text], n)
    return hashes.tolist()


def test_case_and_punctuation_leave_no_trace():
    assert of("To be, or not to be!") == of("to BE -- or\n(not)\tto be")
    assert len(of("To be, or not to be!")) == 4


def test_order_repetition_and_number_of_words_count():
    ways = ["a b c", "c b a", "b a c", "a b b", "a a b", "abc", "a bc", "ab c", "a b", "a", "b"]
    assert len({hashes for text in ways for hashes in of(text)}) == len(ways)


def test_no_n_gram_crosses_a_text():
    together, begins = ngrams(["one two three four", "five six seven"], 3)
    assert begins.tolist() == [0, 2, 3]
    assert together.tolist() == of("one two three four") + of("five six seven")


def test_a_text_of_fewer_words_gives_one_hash_of_all_its_words():
    assert len(of("Yes.")) == 1
    assert of("Yes.") == of("yes!")
    assert of("Yes.") != of("No.")
    assert of("yes sir")[0] not in of("yes sir I can")


def test_texts_without_words_give_none():
    hashes, begins = ngrams(["", "one", " \n", "...", "two", ""], 2)
    assert begins.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert hashes.tolist() == of("one", 2) + of("two", 2)
    for nothing in ([], [""], ["", "?!"]):
        assert [len(each) for each in ngrams(nothing, 5)] == [0, len(nothing) + 1]


def test_characters_beyond_ascii_are_letters_and_keep_their_case():
    assert len(of("na\u00efve caf\u00e9 \u4f60\u597d", 1)) == 3
    assert of("caf\u00e9", 1) != of("cafe", 1)
    assert of("\u00c9t\u00e9", 1) != of("\u00e9t\u00e9", 1)
    assert of("\u00e9T\u00e9", 1) == of("\u00e9t\u00e9", 1)


def test_every_byte_of_a_long_word_counts():
    long = "abcdefghijklmnopqrstuvwxyz"
    changed = [long[:at] + "0" + long[at + 1 :] for at in range(26)] + [long[:size] for size in range(1, 27)]
    assert len({of(word, 1)[0] for word in changed}) == 52
    assert of("abcdefghABCDEFGH", 1) != of("ABCDEFGHabcdefgi", 1)
    assert of("aaaaaaaabbbbbbbb", 1) != of("bbbbbbbbaaaaaaaa", 1)


def test_the_hashes_are_the_same_on_every_machine():
    # SplitMix64's finalizer applied twice to 0x61, by the generator's published constants in plain integers
    def finalized(value: int) -> int:
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    assert of("a", 1) == [finalized(finalized(0x61))]


@settings(max_examples=200)
@given(st.lists(st.text("abB \n.7\u00e9\u4f60", max_size=60), max_size=8), st.integers(1, 6))
def test_equal_n_grams_and_no_others_have_equal_hashes(texts, n):
    assert_as_plain(texts, n)


@settings(max_examples=20)
@given(st.lists(st.text("abB \n.7\u00e9\u4f60", max_size=60), max_size=8), st.integers(1, 40))
def test_blocks_change_nothing(texts, size):
    hashes, begins = ngrams(texts, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "BLOCK", size)
        patch.setattr(words, "AT_ONCE", 2 * size)
        blocks, parted = ngrams(texts, 2)
    assert (blocks == hashes).all()
    assert (parted == begins).all()


def test_the_hash_of_thirteen_words_is_the_sum_of_theirs_by_powers_of_a_step():
    def finalized(value: int) -> int:
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ value >> 27) * 0x94D049BB133111EB % 2**64
        return value ^ value >> 31

    for n in (2, 3, 5, 8, 13):
        letters = "abcdefghijklm"[:n]
        total = 0
        for letter in letters:
            total = (total * 0x9E3779B97F4A7C15 + finalized(ord(letter))) % 2**64
        assert of(" ".join(letters), n) == [finalized(total)]


def test_text_larger_than_a_block_is_hashed_whole():
    random = np.random.default_rng(1)
    vocabulary = ["".join(map(chr, random.integers(97, 123, size))) for size in random.integers(1, 30, 500)]
    assert_as_plain([" ".join(random.choice(vocabulary, 30_000)), " ".join(random.choice(vocabulary, 30_000))], 3)


def test_an_n_gram_has_at_least_one_word():
    with pytest.raises(ValueError, match="n-grams of 0 words; expected at least 1"):
        ngrams(["a"], 0)
