import pytest

from components.corpus.documents import Document
from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from pipeline import encoding, machine


@pytest.fixture
def tokenizer():
    return Tokenizer.trained(["Once upon a time"] * 9, 260)


def test_the_table_is_the_same_with_any_number_of_processes(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(encoding, "BATCH_CHARACTERS", 100)
    found = [Document("tale", n, f"Once upon a time {n}. " * n, "train", f"tale.txt line {n}") for n in range(50)]
    for processes in (1, 2, 3):
        encoding.write(iter(found), tokenizer, tmp_path / str(processes), processes)
    first, second, third = ((tmp_path / name / "00000.parquet").read_bytes() for name in "123")
    assert first == second == third
    assert [tokenizer.decode(row.ids) for row in table.read(tmp_path / "1")] == [each.text for each in found]


def test_a_document_is_a_row_with_its_bytes_and_its_replacement_characters(tokenizer, tmp_path):
    text = "caf\ufffd \u20ac \ufffd"
    encoding.write([Document("tale", 7, text, "validation", "tale.txt", begin=40)], tokenizer, tmp_path, 1)
    (row,) = table.read(tmp_path)
    assert (row.document, row.source, row.split, row.place, row.begin) == (7, "tale", "validation", "tale.txt", 40)
    assert (row.size_bytes, row.replacements) == (14, 2)
    assert tokenizer.decode(row.ids) == text


def test_rows_that_the_folder_has_are_not_encoded_again(tokenizer, tmp_path):
    found = [Document("tale", n, f"Once {n}.", "train", "tale.txt") for n in range(3)]
    encoding.write(found[:2], tokenizer, tmp_path, 1)
    encoding.write([*(Document("tale", n, "other", "train", "") for n in range(2)), found[2]], tokenizer, tmp_path, 1)
    assert [tokenizer.decode(row.ids) for row in table.read(tmp_path)] == ["Once 0.", "Once 1.", "Once 2."]


def test_a_small_corpus_begins_no_process():
    assert encoding.processes(2**24 - 1) == 1
    assert encoding.processes(2**24) == machine.cores()
