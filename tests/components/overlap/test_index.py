"""Texts are found again by their keys, in files that grow."""

from pathlib import Path

import numpy as np
import pytest

from components.overlap import index
from components.overlap.index import Index


def added(keys, permutations=2):
    made = Index(permutations, keys.shape[1])
    for begin in range(0, len(keys), 7):
        some = keys[begin : begin + 7]
        places = [f"line {begin + n} \u20ac" for n in range(len(some))]
        numbers = np.arange(begin, begin + len(some), dtype=np.uint32)
        made.add(np.stack([numbers, numbers + 1], axis=1), some, places)
    return made


def having(made, keys):
    rows, numbers = made.having(np.array(keys, np.uint32))
    return list(zip(rows.tolist(), numbers.tolist(), strict=True))


def test_a_text_is_found_by_any_of_its_keys_once_and_in_order():
    with added(np.array([[1, 2], [3, 4], [1, 4]], np.uint32)) as made:
        assert having(made, [[1, 9], [3, 4], [1, 4], [8, 9]]) == [
            (0, 0),
            (0, 2),
            (1, 1),
            (1, 2),
            (2, 0),
            (2, 1),
            (2, 2),
        ]


def test_nothing_is_found_in_an_empty_one():
    with Index(4, 2) as made:
        assert having(made, [[1, 2]]) == []
        made.add(np.zeros((0, 4), np.uint32), np.zeros((0, 2), np.uint32), [])
        assert having(made, [[1, 2]]) == []


def test_signatures_and_places_come_back_by_number():
    with added(np.arange(60, dtype=np.uint32).reshape(30, 2)) as made:
        assert made.signatures(np.array([29, 0, 8])).tolist() == [[29, 30], [0, 1], [8, 9]]
        assert [made.place(number) for number in (0, 1, 29)] == ["line 0 \u20ac", "line 1 \u20ac", "line 29 \u20ac"]


def test_growing_loses_and_invents_nothing(monkeypatch):
    monkeypatch.setattr(index, "_FIRST_BUCKETS", 2)
    monkeypatch.setattr(index, "_RELINKED", 8)
    keys = np.random.default_rng(1).integers(0, 200, (300, 3)).astype(np.uint32)
    expected = [
        (row, number)
        for row in range(300)
        for number in range(300)
        if set(keys[row].tolist()) & set(keys[number].tolist())
    ]
    with added(keys) as made:
        assert having(made, keys) == expected


def test_of_many_texts_with_one_key_the_latest_are_compared():
    with added(np.full((100, 1), 5, np.uint32)) as made:
        assert having(made, [[5]]) == [(0, number) for number in range(100 - index.COMPARED, 100)]


def test_a_full_disk_is_one_line(monkeypatch):
    with Path("/dev/full").open("r+b", buffering=0) as full, Index(2, 1) as made:
        made._entries.close()
        monkeypatch.setattr(made._entries, "_file", full)
        monkeypatch.setattr(made._entries, "array", np.zeros(9, index._ENTRY))
        with pytest.raises(
            OSError, match=r"the index of near duplicates cannot be written: .*; set TMPDIR to a folder"
        ):
            made.add(np.zeros((1, 2), np.uint32), np.zeros((1, 1), np.uint32), ["a"])
