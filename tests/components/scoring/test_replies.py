"""Replies kept on disk, and what is left of them after a kill or damage."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.scoring.replies import Replies, key_of

FIRST, SECOND, THIRD = ({"api": "ollama", "body": {"model": "m", "prompt": prompt}} for prompt in ("1", "2", "3"))


def message(content):
    return {"role": "assistant", "content": content}


@pytest.fixture
def journal(tmp_path):
    """A journal of two replies."""
    path = tmp_path / "work" / "replies.jsonl"
    replies = Replies(path)
    replies.add(FIRST, message("10"))
    replies.add(SECOND, message("20"))
    return path


def test_a_reply_is_on_the_disk_before_the_next_question(journal):
    assert [json.loads(line)["message"]["content"] for line in journal.read_text().splitlines()] == ["10", "20"]
    entry = json.loads(journal.read_text().splitlines()[0])
    # printf '%s' '{"api": "ollama", "body": {"model": "m", "prompt": "1"}}' | sha256sum
    assert entry["key"] == "51ab083c720d0f0dde78716680f525bdaa63ee8be60f5d96929dc9a006bd3f2f"
    assert entry["request"] == FIRST


def test_what_was_asked_by_an_earlier_process_is_found(journal):
    replies = Replies(journal)
    assert (replies.find(FIRST), replies.find(SECOND)) == (message("10"), message("20"))
    assert replies.find(THIRD) is None


def test_a_kill_at_any_byte_loses_the_half_written_line_alone_and_the_next_is_whole(journal):
    written = journal.read_bytes()
    first_ends = written.index(b"\n") + 1
    for size in {*range(0, len(written), 25), first_ends - 1, first_ends, first_ends + 1, len(written) - 1}:
        journal.write_bytes(written[:size])
        replies = Replies(journal)
        assert replies.find(FIRST) == (message("10") if size >= first_ends else None)
        assert replies.find(SECOND) is None
        replies.add(THIRD, message("30"))
        again = Replies(journal)
        assert again.find(THIRD) == message("30")
        assert again.find(FIRST) == replies.find(FIRST)


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"key": "0", "request": {}, "message": {"content": "100"}}',
        json.dumps({"key": key_of(FIRST), "request": FIRST, "message": {"content": 100}}).encode(),
        json.dumps({"key": key_of(FIRST), "request": FIRST, "message": None}).encode(),
        json.dumps({"key": key_of(FIRST), "request": SECOND, "message": message("100")}).encode(),
    ],
)
def test_a_line_that_is_no_reply_is_left_out_and_those_around_it_are_kept(journal, line):
    before = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(before[0] + line + b"\n" + before[1])
    replies = Replies(journal)
    assert (replies.find(FIRST), replies.find(SECOND)) == (message("10"), message("20"))
    assert journal.read_bytes() == b"".join(before)


def test_what_is_written_is_what_was_used_by_key_whatever_was_asked_before(journal, tmp_path):
    replies = Replies(journal)
    replies.add(THIRD, message("30"))
    assert replies.find(FIRST)
    assert replies.write(tmp_path / "out" / "replies.jsonl") == 2
    alone = Replies(tmp_path / "other.jsonl")
    alone.add(FIRST, message("10"))
    alone.add(THIRD, message("30"))
    alone.write(tmp_path / "alone.jsonl")
    written = (tmp_path / "out" / "replies.jsonl").read_bytes()
    assert written == (tmp_path / "alone.jsonl").read_bytes()
    keys = [json.loads(line)["key"] for line in written.splitlines()]
    assert keys == sorted([key_of(FIRST), key_of(THIRD)])


def test_without_a_question_the_file_is_empty(tmp_path):
    assert Replies(tmp_path / "journal.jsonl").write(tmp_path / "replies.jsonl") == 0
    assert (tmp_path / "replies.jsonl").read_bytes() == b""
    assert not (tmp_path / "journal.jsonl").exists()


def test_what_an_earlier_build_has_kept_is_found_without_a_journal(journal, tmp_path):
    replies = Replies(tmp_path / "none.jsonl", kept=journal)
    assert replies.find(SECOND) == message("20")
    assert Replies(tmp_path / "nor here.jsonl", kept=tmp_path / "nor this.jsonl").find(SECOND) is None
    assert not (tmp_path / "nor here.jsonl").exists()


def test_what_an_earlier_build_has_kept_enters_the_journal_behind_what_is_there(journal, tmp_path):
    kept, own = tmp_path / "kept.jsonl", tmp_path / "own.jsonl"
    kept.write_bytes(journal.read_bytes())
    Replies(own).add(SECOND, message("21"))
    with own.open("ab") as file:
        file.write(b'{"key": "half')  # of a line, which a kill has left
    Replies(own, kept=kept)
    kept.unlink()
    replies = Replies(own)
    assert [replies.find(each) for each in (FIRST, SECOND)] == [message("10"), message("21")]
    keys = [json.loads(line)["key"] for line in own.read_text().splitlines()]
    assert keys == [key_of(SECOND), key_of(FIRST)]


def test_the_order_of_a_requests_fields_does_not_matter():
    assert key_of({"api": "a", "body": {"x": 1, "y": 2}}) == key_of({"body": {"y": 2, "x": 1}, "api": "a"})


@given(st.text(), st.text() | st.none())
def test_any_text_comes_back(tmp_path_factory, prompt, content):
    path = tmp_path_factory.mktemp("replies") / "journal.jsonl"
    asked = {"api": "ollama", "body": {"prompt": prompt}}
    Replies(path).add(asked, message(content))
    assert Replies(path).find(asked) == message(content)
