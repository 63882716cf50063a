from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.tasks.splits import Shares, by_content, by_group, by_position, by_side, capped, dedupe, draw, halve


@dataclass(frozen=True)
class Note:
    content: str
    group: str = "g"


SHARES = Shares(train=0.7, validation=0.1, test=0.2)


def test_of_equal_contents_the_first_stays():
    a, b, again = Note("a", "first"), Note("b"), Note("a", "second")
    told = []
    assert dedupe([a, b, again], lambda copy, first: told.append((copy, first))) == dedupe([a, b, again]) == [a, b]
    assert told == [(again, a)]


@settings(max_examples=25)
@given(st.lists(st.text(), max_size=20), st.integers(0, 5))
def test_no_content_stands_on_two_sides(contents: list[str], seed: int):
    splits = by_content([Note(content) for content in contents + [str(k) for k in range(200)]], SHARES, seed)
    sides = [{note.content for note in notes} for notes in splits.values()]
    assert len(set().union(*sides)) == sum(map(len, sides))


def test_shares_are_met_on_average():
    splits = by_content([Note(str(k)) for k in range(10_000)], SHARES, seed=1)
    # Five standard deviations of a binomial of 10,000 draws: at most 230.
    assert {name: len(notes) for name, notes in splits.items()} == {
        "train": pytest.approx(7000, abs=230),
        "validation": pytest.approx(1000, abs=150),
        "test": pytest.approx(2000, abs=200),
    }


def test_a_new_record_moves_no_other():
    notes = [Note(str(k)) for k in range(100)]
    before, after = by_content(notes[1:], SHARES, seed=1), by_content(notes, SHARES, seed=1)
    assert all(set(before[name]) <= set(after[name]) for name in before)


def test_another_seed_is_another_split():
    notes = [Note(str(k)) for k in range(100)]
    assert by_content(notes, SHARES, seed=1)["test"] != by_content(notes, SHARES, seed=2)["test"]


def test_the_books_order_is_train_then_test_then_the_rest():
    # Section 7.2: int(1100 * 0.85) = 935 train, int(1100 * 0.1) = 110 test, 55 validation.
    splits = by_position([Note(str(k)) for k in range(1100)], train=0.85, test=0.1)
    assert [len(splits[name]) for name in ("train", "test", "validation")] == [935, 110, 55]
    assert (splits["test"][0].content, splits["validation"][0].content) == ("935", "1045")


def test_a_duplicate_across_the_books_order_is_refused():
    with pytest.raises(ValueError, match=r"'0' stands in train and validation; dedupe first"):
        by_position([Note(str(k % 19)) for k in range(20)], train=0.5, test=0.3)


def test_a_mapping_sends_each_group_to_its_split():
    a, b, c, d = Note("1", "os"), Note("2", "re"), Note("3", "json"), Note("4", "os")
    splits = by_group([a, b, c, d], {"os": "train", "re": "validation", "json": "test"})
    assert splits == {"train": [a, d], "validation": [b], "test": [c]}


def test_a_content_is_on_the_side_that_a_mapping_says_and_what_it_lacks_as_drawn():
    notes = [Note(str(k)) for k in range(100)]
    drawn = {note.content: name for name, its in by_content(notes, SHARES, seed=1).items() for note in its}
    given = {"5": "test", "6": "train", "7": "validation", "elsewhere": "test"}
    splits = by_side(notes, given, SHARES, seed=1)
    assert {note.content: name for name, its in splits.items() for note in its} == drawn | {
        "5": "test",
        "6": "train",
        "7": "validation",
    }


def test_a_side_that_nothing_is_on_is_refused():
    with pytest.raises(ValueError, match=r"the test split is empty \(train 1, validation 1, test 0 records\)"):
        by_side([Note("a"), Note("b")], {"a": "train", "b": "validation"}, SHARES, seed=1)


def test_a_group_without_a_split_is_refused():
    with pytest.raises(ValueError, match=r"group 'os' has the split None; expected one of train, validation, test"):
        by_group([Note("1", "os")], {"re": "train"})


def test_an_empty_split_is_refused_with_the_counts():
    with pytest.raises(ValueError, match=r"the validation split is empty \(train 2, validation 0, test 0 records\)"):
        by_group([Note("1", "os"), Note("2", "os")], {"os": "train"})


def test_halves_hold_about_as_many_records_and_whole_groups():
    # By hand: a test 50; d validation 40; b validation 70; c test 80; e validation 80; f test 85.
    assert halve({"a": 50, "b": 30, "c": 30, "d": 40, "e": 10, "f": 5}) == {
        "a": "test",
        "d": "validation",
        "b": "validation",
        "c": "test",
        "e": "validation",
        "f": "test",
    }


def test_halves_do_not_depend_on_the_order_of_the_groups():
    sizes = {"a": 5, "b": 3, "c": 3, "d": 4}
    assert halve(sizes) == halve(dict(reversed(sizes.items())))


@pytest.mark.parametrize(
    ("shares", "message"),
    [((0.9, 0.0, 0.1), "validation is 0.0; expected a share above 0"), ((0.9, 0.1, 0.1), "is 1.1; expected 1")],
)
def test_shares_that_leave_a_split_empty_or_do_not_sum_to_one_are_refused(shares: tuple[float, ...], message: str):
    with pytest.raises(ValueError, match=message):
        Shares(*shares)


def test_groups_are_drawn_by_their_names_alone():
    few, many = draw(["os", "re"], SHARES, seed=1), draw([str(k) for k in range(1000)] + ["os", "re"], SHARES, seed=1)
    assert {name: many[name] for name in few} == few
    counts = Counter(many.values())
    assert counts == {
        "train": pytest.approx(700, abs=75),
        "validation": pytest.approx(100, abs=50),
        "test": pytest.approx(200, abs=65),
    }


def test_held_out_splits_are_capped_and_training_is_not():
    parts = {name: [Note(f"{name} {k}") for k in range(20)] for name in ("train", "validation", "test")}
    few = capped(parts, most=5, most_per_group=None, seed=1)
    assert {name: len(notes) for name, notes in few.items()} == {"train": 20, "validation": 5, "test": 5}
    assert few["test"] == [note for note in parts["test"] if note in few["test"]]  # order kept
    assert few["test"] != parts["test"][:5]
    assert capped(parts, most=5, most_per_group=None, seed=2)["test"] != few["test"]
    assert capped(parts, most=None, most_per_group=None, seed=1) == parts


def test_no_group_speaks_for_all():
    notes = [Note(f"large {k}", "large") for k in range(30)] + [Note(f"small {k}", "small") for k in range(2)]
    few = capped({"train": notes, "test": notes}, most=None, most_per_group=3, seed=1)
    assert [note.group for note in few["test"]] == ["large"] * 3 + ["small"] * 2
    assert few["train"] == notes


def test_capping_draws_apart_from_the_split():
    # Of the half that a split has taken by its hash, a cap by the same hash and seed would take one end.
    notes = [Note(str(k)) for k in range(400)]
    ordered = by_content(notes, Shares(0.1, 0.1, 0.8), seed=1)["test"]
    few = {note.content for note in capped({"test": ordered}, most=40, most_per_group=None, seed=1)["test"]}
    near = {note.content for note in by_content(notes, Shares(0.2, 0.1, 0.7), seed=1)["validation"]}
    assert len(few & near) < 20
