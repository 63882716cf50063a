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
    unpack(archive, "../../poem.txt", tmp_path / "deep/er/here", 16)
    assert (tmp_path / "deep/er/here").read_bytes() == b"All that is gold"
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["deep", "er", "here", "poems.zip"]


def test_a_damaged_member_is_refused(archive: Path, tmp_path: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[content.index(b"long.txt") + 12] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(WrongFileError, match=r"^\d+ bytes are no zip archive that can be read \("):
        unpack(archive, "long.txt", tmp_path / "here", 10_000)


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_whose_packing_is_damaged_is_refused(tmp_path: Path, packing: int) -> None:
    with zipfile.ZipFile(tmp_path / "poems.zip", "w", packing) as opened:
        opened.writestr("poem.txt", b"All that is gold does not glitter" * 64)
    content = bytearray((tmp_path / "poems.zip").read_bytes())
    start = content.index(b"poem.txt") + len(b"poem.txt")
    content[start + 9 : start + 32] = b"\xff" * 23
    (tmp_path / "poems.zip").write_bytes(content)
    with pytest.raises(WrongFileError, match=r"^\d+ bytes are no zip archive that can be read \(\w"):
        unpack(tmp_path / "poems.zip", "poem.txt", tmp_path / "here", 10_000)


def test_an_archive_that_lost_its_beginning_or_has_a_name_that_is_not_utf_8_is_refused(
    archive: Path, tmp_path: Path
) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[40:])
    with pytest.raises(WrongFileError, match=r"no zip archive that can be read \(.*Invalid argument"):
        unpack(archive, "../../poem.txt", tmp_path / "here", 10_000)
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("po\u00ebm.txt", b"All that is gold")
    archive.write_bytes(archive.read_bytes().replace("\u00eb".encode(), b"\xff\xff"))
    with pytest.raises(WrongFileError, match=r"no zip archive that can be read \(.*can't decode"):
        unpack(archive, "poem.txt", tmp_path / "here", 10_000)


def test_a_file_that_cannot_be_written_is_not_the_archives_fault(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(IsADirectoryError):
        unpack(archive, "long.txt", tmp_path / "here", 10_000)


def test_a_member_larger_than_stated_is_not_written(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongFileError, match=r"^long.txt unpacks to 1,024 bytes; most_unpacked_bytes is 1,023"):
        unpack(archive, "long.txt", tmp_path / "here", 1023)
    assert not (tmp_path / "here").exists()


def test_a_member_that_lies_about_its_size_is_not_read_beyond_it(archive: Path, tmp_path: Path) -> None:
    true, told = (1024).to_bytes(4, "little"), (16).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(true, told))
    with pytest.raises(WrongFileError, match=r"no zip archive that can be read \(Bad CRC-32"):
        unpack(archive, "long.txt", tmp_path / "here", 16)
    assert (tmp_path / "here").stat().st_size <= 16
