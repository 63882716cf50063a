"""Items read, asked behind worked examples, and judged; expected texts and choices written out."""

import json
from pathlib import Path

import pytest

from components.tasks.files import read_records, write_records
from components.tasks.multiple_choice import Choice, Item, context, drawn, pair, read_hellaswag

REAL = Path(__file__).parents[3].parent / "shared/data/hellaswag/hellaswag_1000.jsonl"

ROW = {
    "ind": 4,
    "activity_label": "Home and Garden",
    "ctx_a": "How to clean a pan [title] Boil water in it. [step] Wait  a bit.",
    "ctx_b": "then you",
    "endings": ["scrub it [substeps] twice.", " eat the pan."],
    "label": "0",
    "source_id": "wikihow~7",
}


def written(tmp_path, *rows):
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_item_is_its_activity_and_both_halves_without_marks(tmp_path):
    (item,) = read_hellaswag(written(tmp_path, ROW))
    assert item == Item(
        id="hellaswag-1",
        group="wikihow~7",
        context="Home and Garden: How to clean a pan. Boil water in it. Wait a bit. Then you",
        endings=("scrub it twice.", "eat the pan."),
        answer=0,
    )


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data, the real files, is not here")
def test_the_real_file_holds_a_thousand_items_of_four_endings():
    items = read_hellaswag(REAL)
    assert len(items) == 1000
    assert {len(item.endings) for item in items} == {4}
    assert items[0].context == (
        "Pole vault: Pole vault is a sport where you run with a pole and stop and swing your body. A few women"
    )
    assert items[0].endings[items[0].answer].startswith("are in the gym practicing")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": ""}, "row 2: the label is ''; expected the place of the right ending, from 0"),
        ({"label": 2}, r"row 2: the label is 2; expected 0\.\.1"),
        ({"label": -1}, "row 2: the label is '-1'"),
        ({"endings": ["one", " "]}, r"row 2: the endings are \['one', ' '\]; expected a list of texts, none"),
        ({"endings": ["one"]}, "row 2: there are 1 endings; expected two or more"),
        ({"endings": None}, "row 2: the endings are None"),
        ({"ctx_b": None}, "row 2: the field 'ctx_b' is NoneType, expected text"),
    ],
)
def test_a_row_that_is_no_item_is_refused_by_its_number(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_hellaswag(written(tmp_path, ROW, ROW | changes))


def test_an_item_without_a_context_is_refused():
    with pytest.raises(ValueError, match="the context is empty"):
        Item("1", "g", " ", ("a", "b"), 0)


ITEMS = [
    Item(str(number), str(number // 2), f"Context {number}:", (f"right {number}.", "wrong."), 0) for number in range(20)
]


def test_more_items_hold_the_fewer_in_the_files_order():
    five, ten = drawn(ITEMS, 5, seed=1), drawn(ITEMS, 10, seed=1)
    assert [item for item in ten if item in five] == five
    assert [int(item.id) for item in ten] == sorted(int(item.id) for item in ten)
    assert drawn(ITEMS, None, seed=1) == ITEMS
    assert drawn(ITEMS, 5, seed=2) != five


def test_without_shots_the_context_is_the_items_own():
    assert context(ITEMS[3], ITEMS, 0, seed=1) == "Context 3:"


def test_worked_examples_end_rightly_and_none_is_of_the_items_group():
    for shots in (1, 5, 18):
        for item in ITEMS:
            *worked, last = context(item, ITEMS, shots, seed=1).split("\n\n")
            assert last == item.context
            by_text = {f"{each.context} {each.endings[0]}": each for each in ITEMS}
            examples = [by_text[text] for text in worked]
            assert len(set(examples)) == shots
            assert item.group not in {each.group for each in examples}


def test_fewer_shots_are_the_first_of_more_and_other_seeds_draw_others():
    five = context(ITEMS[0], ITEMS, 5, seed=1)
    assert five.startswith(context(ITEMS[0], ITEMS, 2, seed=1).removesuffix(ITEMS[0].context))
    assert five != context(ITEMS[0], ITEMS, 5, seed=2)


def test_too_few_others_for_the_shots_are_refused():
    with pytest.raises(ValueError, match="0: 2 other items to draw 3 worked examples from; add items"):
        context(ITEMS[0], ITEMS[:4], 3, seed=1)


def test_an_ending_begins_with_the_space_before_it_and_with_those_that_end_the_context():
    def encode(text):
        return list(text.encode())

    assert pair("ab", "cd", encode) == ([*b"ab"], [*b" cd"])
    assert pair("ab \n", "cd", encode) == ([*b"ab"], [*b" \n cd"])


CHOICE = Choice("1", "g", 0, 0, nats=(-6.0, -5.0, -9.0), characters=(12, 5, 30), tokens=(3, 2, 3), is_cut=False)


def test_the_whole_the_character_and_the_token_choose_apart():
    # Per character -0.5, -1.0, -0.3; per token -2.0, -2.5, -3.0.
    assert (CHOICE.likeliest, CHOICE.likeliest_by_character, CHOICE.likeliest_by_token) == (1, 2, 0)
    assert (CHOICE.longest, CHOICE.shortest) == (2, 1)


def test_an_ending_that_cleaning_has_emptied_is_never_chosen_by_character():
    choice = Choice("1", "g", 0, 0, nats=(-1.0, -50.0), characters=(0, 5), tokens=(1, 2), is_cut=False)
    assert (choice.likeliest, choice.likeliest_by_character) == (0, 1)


def test_choices_are_read_as_they_were_written(tmp_path):
    write_records([CHOICE], tmp_path / "choices.jsonl")
    assert read_records(tmp_path / "choices.jsonl", Choice) == [CHOICE]
