"""What is laid by comes back as it was, or is not there."""

import errno

import pytest

from components.corpus import spool
from components.corpus.contract import Breach, Limits
from components.corpus.documents import Document
from components.corpus.texts import Refused

FOUND = [
    Document("tale", 0, "Once upon a time,\r\u00e9\U0001f600 \u0085", "train", "tale.txt"),
    Refused("tale.txt", "nothing is read after it"),
    Refused("twin.txt", "the same text as tale.txt", kind="duplicates"),
    Document("tale", 1, "the end.", "validation", "tale.txt", begin=40, encoding="latin_1"),
]


def test_all_comes_back_in_order_as_it_was(tmp_path):
    assert list(spool.keep(FOUND, tmp_path / "kept")) == FOUND
    assert list(spool.read(tmp_path / "kept", lambda _: None)) == FOUND


@pytest.mark.parametrize(("name", "most"), [("_AT_ONCE", 3), ("_AT_ONCE_CHARACTERS", 10)])
def test_it_is_written_and_read_some_at_a_time(tmp_path, monkeypatch, name, most):
    monkeypatch.setattr(spool, name, most)
    list(spool.keep(FOUND * 9, tmp_path / "kept"))
    sizes = []
    assert list(spool.read(tmp_path / "kept", sizes.append)) == FOUND * 9
    assert len(sizes) > 9
    assert 0.9 * (tmp_path / "kept").stat().st_size < sum(sizes) <= (tmp_path / "kept").stat().st_size


def test_a_document_beyond_a_limit_comes_back_as_what_it_is_counted_as(tmp_path):
    breach = Breach("a.txt", "size_bytes is 2; expected at least 5", "size_bytes", 2.0, Limits(5, None, "quarantine"))
    list(spool.keep([breach], tmp_path / "kept"))
    assert list(spool.read(tmp_path / "kept", lambda _: None)) == [Refused("a.txt", breach.reason, kind="breaches")]


def test_nothing_found_is_kept_too(tmp_path):
    list(spool.keep([], tmp_path / "kept"))
    assert list(spool.read(tmp_path / "kept", lambda _: None)) == []


def test_before_all_was_asked_for_there_is_no_file(tmp_path):
    some = spool.keep(FOUND, tmp_path / "kept")
    next(some)
    some.close()
    assert list(tmp_path.iterdir()) == []


def test_after_an_error_there_is_no_file(tmp_path):
    def failing():
        yield FOUND[0]
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(spool.keep(failing(), tmp_path / "kept"))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_no_file(tmp_path, monkeypatch):
    (tmp_path / "kept.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as failed:
        list(spool.keep(FOUND * 100_000, tmp_path / "kept"))
    assert failed.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
