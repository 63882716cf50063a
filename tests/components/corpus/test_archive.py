"""A member is taken out of an archive into the file that is named, and nowhere else."""

import zipfile
from pathlib import Path

import pytest

from components.corpus.archive import unpack
from components.corpus.source import WrongFileError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "poems.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("../../poem.txt", b"All that is gold")
        opened.writestr("long.txt", b"does not glitter" * 64)
    return file


def test_a_members_name_decides_no_path(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "deep/er").mkdir(parents=True)
    unpack(archive, "../../poem.txt", tmp_path / "deep/er/here")
    assert (tmp_path / "deep/er/here").read_bytes() == b"All that is gold"
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["deep", "er", "here", "poems.zip"]


def test_a_damaged_member_is_refused(archive: Path, tmp_path: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[content.index(b"long.txt") + 12] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(WrongFileError, match=r"^\d+ bytes are no zip archive that can be read \("):
        unpack(archive, "long.txt", tmp_path / "here")
