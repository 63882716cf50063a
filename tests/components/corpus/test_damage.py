"""What a damaged file raises is told from what the system raises."""

import bz2
import errno
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from components.corpus.damage import UNREADABLE, is_systems


@pytest.mark.parametrize("unpacked", [bz2.decompress, lzma.decompress, zlib.decompress, bytes.decode])
def test_what_no_packing_knows_is_damage(unpacked: Callable[[bytes], object]) -> None:
    with pytest.raises(UNREADABLE) as caught:
        unpacked(b"\xff" * 32)
    assert not is_systems(caught.value)


def test_to_lead_before_the_beginning_is_damage(tmp_path: Path) -> None:
    (tmp_path / "short").touch()
    with (tmp_path / "short").open("rb") as opened, pytest.raises(UNREADABLE) as caught:
        opened.seek(-1)
    assert not is_systems(caught.value)


def test_a_file_that_is_not_there_and_a_full_disk_are_the_systems(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "none").open()
    assert is_systems(caught.value)
    assert is_systems(OSError(errno.ENOSPC, "No space left on device"))
