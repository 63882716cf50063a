from collections import Counter
from pathlib import Path

import pytest

from components.tasks import splits
from components.tasks.classification import (
    Batches,
    Labelled,
    at_most,
    balance,
    check_labels,
    label_shares,
    labels_of,
    most_for_share,
    read_sms,
)

SMS = Path(__file__).parents[4] / "shared" / "data" / "book" / "SMSSpamCollection"
needs_sms = pytest.mark.skipif(not SMS.exists(), reason="../shared/data/book is absent")


def labelled(id: str, label: str) -> Labelled:
    return Labelled(id=id, text=f"text {id}", label=label, group=id)


@needs_sms
def test_the_sms_collection_has_its_published_counts():
    # The collection's readme: 5,574 messages, 4,827 ham and 747 spam.
    records = read_sms(SMS)
    assert Counter(record.label for record in records) == {"ham": 4827, "spam": 747}


@needs_sms
def test_the_sms_collection_loses_403_duplicates():
    # sort -u of the texts: 5,171, of which 653 are spam.
    records = splits.dedupe(read_sms(SMS))
    assert len(records) == 5574 - 403
    assert Counter(record.label for record in balance(records, seed=123)) == {"ham": 653, "spam": 653}


@needs_sms
def test_no_sms_stands_in_two_splits():
    shares = splits.Shares(train=0.7, validation=0.1, test=0.2)
    split = splits.by_content(splits.dedupe(read_sms(SMS)), shares, seed=123)
    train, validation, test = ({record.text for record in split[name]} for name in splits.SPLITS)
    assert len(train | validation | test) == len(train) + len(validation) + len(test)


def test_a_quotation_mark_is_text(tmp_path: Path):
    (tmp_path / "sms").write_text('ham\t"Oh\nspam\tWin" now\n', encoding="utf-8")
    assert [record.text for record in read_sms(tmp_path / "sms")] == ['"Oh', 'Win" now']


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ham no tab", r"sms, row 2: expected 2 columns \(label, tab, text\), got 1: 'ham no tab'"),
        ("eggs\ttext", r"sms, row 2: unknown label 'eggs'; expected 'ham' or 'spam'"),
        ("ham\t ", r"sms, row 2: the text is empty"),
        ("", r"sms, row 2: expected 2 columns"),
    ],
)
def test_a_broken_line_is_refused_by_file_and_row(tmp_path: Path, line: str, message: str):
    (tmp_path / "sms").write_text(f"ham\tfine\n{line}\nham\talso fine\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_sms(tmp_path / "sms")


def test_an_empty_text_can_be_left_out_with_its_row_and_reason(tmp_path: Path):
    (tmp_path / "sms").write_text("ham\tfine\nspam\t \nham\talso fine\n", encoding="utf-8")
    left_out: list[tuple[str, str]] = []
    assert [record.id for record in read_sms(tmp_path / "sms", left_out.append)] == ["sms-1", "sms-3"]
    assert left_out == [("sms row 2", "the text is empty")]
    (tmp_path / "sms").write_text("eggs\ttext\n", encoding="utf-8")
    with pytest.raises(ValueError, match="unknown label"):
        read_sms(tmp_path / "sms", left_out.append)


def test_balancing_keeps_as_many_of_each_label_in_order():
    records = [labelled(str(k), "spam" if k in (3, 7) else "ham") for k in range(10)]
    balanced = balance(records, seed=1)
    assert Counter(record.label for record in balanced) == {"ham": 2, "spam": 2}
    assert [record.id for record in balanced] == sorted(record.id for record in balanced)


def test_balancing_draws_others_with_another_seed():
    records = [labelled(str(k), "spam" if k < 5 else "ham") for k in range(50)]
    assert balance(records, seed=1) != balance(records, seed=2)


def test_a_batch_is_padded_to_its_longest_text():
    batches = Batches([[1, 2, 3], [4]], [0, 1], 2, seed=1, pad_id=9, max_length=8)
    ids, lengths, labels = next(batches.in_order())
    assert ids.tolist() == [[1, 2, 3], [4, 9, 9]]
    assert lengths.tolist() == [3, 1]
    assert labels.tolist() == [0, 1]


def test_every_batch_can_be_padded_to_one_length():
    # The book pads all texts to one length and reads the last position.
    batches = Batches([[1, 2, 3], [4]], [0, 1], 1, seed=1, pad_id=9, max_length=4, pad="max_length")
    assert [ids.tolist() for ids, _, _ in batches.in_order()] == [[[1, 2, 3, 9]], [[4, 9, 9, 9]]]


def test_a_long_text_keeps_its_beginning():
    ids, lengths, _ = Batches([[1, 2, 3]], [0], 1, seed=1, pad_id=9, max_length=2)(0)
    assert (ids.tolist(), lengths.tolist()) == ([[1, 2]], [2])


def test_the_same_seed_and_index_give_the_same_batch():
    texts, labels = [[k] for k in range(1, 10)], list(range(1, 10))
    one, other = (Batches(texts, labels, 4, seed=5, pad_id=0, max_length=1) for _ in range(2))
    ids, _, shown = one(7)
    assert ids.equal(other(7)[0])
    assert ids.flatten().tolist() == shown.tolist()


def test_a_text_without_tokens_is_refused():
    with pytest.raises(ValueError, match="text 1 has no tokens"):
        Batches([[1], []], [0, 1], 1, seed=1, pad_id=0, max_length=4)


def test_texts_and_labels_must_be_as_many():
    with pytest.raises(ValueError, match="2 texts and 1 labels"):
        Batches([[1], [2]], [0], 1, seed=1, pad_id=0, max_length=4)


def test_what_balancing_leaves_is_split_alike_for_each_label():
    # 60 rare and 600 frequent records: drawn by the split's own hash, the frequent ones would all train.
    records = [labelled(f"a{k}", "rare") for k in range(60)] + [labelled(f"b{k}", "frequent") for k in range(600)]
    parts = splits.by_content(balance(records, seed=123), splits.Shares(0.5, 0.25, 0.25), seed=123)
    held_out = Counter(record.label for record in parts["validation"] + parts["test"])
    assert held_out == {"rare": pytest.approx(30, abs=12), "frequent": pytest.approx(30, abs=12)}


def test_where_batches_are_padded_to_their_longest_text_hardly_anything_is_padding():
    texts = [[1] * length for length in range(1, 41) for _ in range(4)]
    batches = Batches(texts, [0] * 160, 8, seed=1, pad_id=0, max_length=40)
    shown = [batches(index) for index in range(batches.steps_per_epoch)]
    tokens, places = sum(int(lengths.sum()) for _, lengths, _ in shown), sum(ids.numel() for ids, _, _ in shown)
    assert tokens == sum(len(text) for text in texts)
    assert places < 1.03 * tokens  # texts drawn at random would take 1.7 times as many


def test_a_batch_of_a_later_epoch_can_be_asked_for_first():
    texts = [[k] * (k % 7 + 1) for k in range(30)]
    one, other = (Batches(texts, list(range(30)), 4, seed=5, pad_id=0, max_length=9) for _ in range(2))
    in_turn = [one.chosen(index) for index in range(20)]
    assert [other.chosen(index) for index in reversed(range(20))] == in_turn[::-1]


def test_a_label_needs_a_record_for_each_split():
    records = [labelled(str(k), "ham") for k in range(9)] + [labelled("x", "spam")]
    with pytest.raises(ValueError, match=r"the label 'spam' has 1 record\(s\), the first is x; expected 3 or more"):
        check_labels(records)
    check_labels([*records, labelled("y", "spam"), labelled("z", "spam")])


@pytest.mark.parametrize(("labels", "said"), [([], "none"), (["ham"] * 5, "ham")])
def test_one_label_is_no_task(labels: list[str], said: str):
    with pytest.raises(ValueError, match=f"the labels are {said}; expected two or more"):
        check_labels([labelled(str(k), label) for k, label in enumerate(labels)])


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_label_that_training_never_saw_is_refused_by_its_record(split: str):
    parts = {name: [labelled(f"{name}-1", "ham"), labelled(f"{name}-2", "spam")] for name in splits.SPLITS}
    assert labels_of(parts) == ["ham", "spam"]
    parts[split].append(labelled("r7", "eggs"))
    with pytest.raises(ValueError, match=rf"record r7 of the {split} split has the label 'eggs', which no training"):
        labels_of(parts)


@pytest.mark.parametrize(
    ("counts", "least", "most"),
    [
        ({"a": 95, "b": 5}, 0.05, 95),  # it has it already
        ({"a": 95, "b": 5}, 0.06, 78),  # 5 / 83
        ({"a": 95, "b": 5}, 0.5, 5),
        ({"a": 95, "b": 5}, 0.6, 5),  # there is no more
        ({"a": 80, "b": 15, "c": 5}, 0.1, 30),  # 5 / (30 + 15 + 5)
        ({"a": 80, "b": 15, "c": 5}, 0.2, 10),  # 5 / (10 + 10 + 5)
    ],
)
def test_so_many_of_each_label_let_the_rarest_have_its_share(counts, least, most):
    records = [
        Labelled(f"{label}{n}", f"{label} {n}", label, "") for label, count in counts.items() for n in range(count)
    ]
    assert most_for_share(records, least) == most
    kept = at_most(records, most, seed=1)
    assert Counter(each.label for each in kept) == {label: min(count, most) for label, count in counts.items()}
    assert [each for each in records if each in kept] == kept


def test_label_shares_are_those_of_all_records():
    records = [Labelled(str(n), "x", label, "") for n, label in enumerate("aaab")]
    assert label_shares(records) == {"a": 0.75, "b": 0.25}
