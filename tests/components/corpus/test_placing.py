"""A file is in its place whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from components.corpus.placing import copy, move


def test_a_copy_is_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"first" * 1000)
    copy(tmp_path / "file", tmp_path / "deep/er/copy")
    (tmp_path / "file").write_bytes(b"second")
    assert (tmp_path / "deep/er/copy").read_bytes() == b"first" * 1000
    assert [each.name for each in (tmp_path / "deep/er").iterdir()] == ["copy"]


def test_where_the_system_copies_nothing_it_is_copied_byte_by_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: int) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refused, raising=False)
    (tmp_path / "file").write_bytes(b"first" * 1000)
    copy(tmp_path / "file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"first" * 1000


def test_a_copy_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    (tmp_path / "file").write_bytes(b"new")
    (tmp_path / "there").write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        copy(tmp_path / "file", tmp_path / "there")
    assert (tmp_path / "there").read_bytes() == b"old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "there"]


def test_a_file_is_moved_into_a_folder_that_is_made_for_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    move(tmp_path / "file", tmp_path / "deep/er/there")
    assert (tmp_path / "deep/er/there").read_bytes() == b"text"
    assert not (tmp_path / "file").exists()
