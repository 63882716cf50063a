from dataclasses import dataclass
from pathlib import Path

import pytest

from components.tasks.files import Empty, numbered, read_json_lines, read_records, read_text, write_records


@dataclass(frozen=True)
class Pair:
    question: str
    answer: str


def test_records_come_back_as_they_were_written(tmp_path: Path):
    # U+2028 ends a line for str.splitlines, not for JSON lines.
    pairs = [Pair("two\nlines\u2028and a half", 'a "quoted" \\ answer'), Pair("\u00e9", "\U0001f600")]
    assert write_records(pairs, tmp_path / "new" / "pairs.jsonl") == 2
    assert read_records(tmp_path / "new" / "pairs.jsonl", Pair) == pairs


@dataclass(frozen=True)
class Vote:
    who: str
    ranks: tuple[int, ...]
    weight: float | None

    def __post_init__(self) -> None:
        if not self.ranks:
            raise ValueError("nothing is ranked")


def test_fields_of_any_type_come_back(tmp_path: Path):
    votes = [Vote("a", (2, 1), 0.1), Vote("b", (1,), None)]
    write_records(votes, tmp_path / "votes.jsonl")
    assert read_records(tmp_path / "votes.jsonl", Vote) == votes
    assert all(type(each.ranks) is tuple for each in read_records(tmp_path / "votes.jsonl", Vote))


def test_what_a_record_itself_refuses_is_named_by_file_and_row(tmp_path: Path):
    (tmp_path / "votes.jsonl").write_text('{"who": "a", "ranks": [], "weight": 1}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"votes\.jsonl, row 1: nothing is ranked$"):
        read_records(tmp_path / "votes.jsonl", Vote)


def test_a_record_is_one_line_of_json(tmp_path: Path):
    write_records([Pair("a", "\u00e9")], tmp_path / "pairs.jsonl")
    assert (tmp_path / "pairs.jsonl").read_bytes() == '{"question": "a", "answer": "\u00e9"}\n'.encode()


def test_an_error_while_writing_leaves_nothing_behind(tmp_path: Path):
    # A lone surrogate cannot be written as UTF-8.
    with pytest.raises(UnicodeEncodeError):
        write_records([Pair("a", "\ud800")], tmp_path / "pairs.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_text_comes_without_byte_order_mark_and_carriage_returns(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    assert read_text(tmp_path / "a.txt") == "one\ntwo\n"


def test_text_that_is_not_utf8_is_refused_by_file_and_byte(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(ValueError, match=r"a\.txt: not UTF-8 at byte 3"):
        read_text(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "a"}', r"pairs\.jsonl, row 2: the field 'answer' is missing; there are \['question'\]"),
        (
            '{"question": "a", "answer": 3}',
            r"pairs\.jsonl, row 2: the field 'answer' is 3; expected a valid string",
        ),
        ('["a", "b"]', r"pairs\.jsonl, row 2: the row is \['a', 'b'\]; expected an object"),
        ('{"question": ', r"pairs\.jsonl, row 2: not JSON \(EOF"),
    ],
)
def test_a_broken_row_is_refused_by_file_and_number(tmp_path: Path, line: str, message: str):
    (tmp_path / "pairs.jsonl").write_text('{"question": "a", "answer": "b"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_records(tmp_path / "pairs.jsonl", Pair)


def test_an_empty_file_has_no_rows(tmp_path: Path):
    (tmp_path / "none.jsonl").write_text("", encoding="utf-8")
    assert read_json_lines(tmp_path / "none.jsonl") == []


def test_only_what_is_empty_can_be_left_out(tmp_path: Path):
    def make(_: int, row: str) -> str:
        if not row:
            raise Empty("nothing in it")
        if row == "bad":
            raise ValueError("bad")
        return row

    left_out: list[tuple[str, str]] = []
    assert numbered(tmp_path / "a", ["x", "", "y", ""], make, left_out.append) == ["x", "y"]
    assert left_out == [("a row 2", "nothing in it"), ("a row 4", "nothing in it")]
    with pytest.raises(ValueError, match="a, row 2: bad"):
        numbered(tmp_path / "a", ["", "bad"], make, left_out.append)
    with pytest.raises(ValueError, match="a, row 1: nothing in it"):
        numbered(tmp_path / "a", ["", "bad"], make)
