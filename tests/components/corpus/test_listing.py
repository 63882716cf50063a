"""A folder, a pattern and a manifest stand for their files, each named, none of them twice, none elsewhere."""

import os
from pathlib import Path
from typing import Any

import pytest

from components.corpus.listing import listed, manifested
from components.corpus.source import FetchError, Source

ONE, TWO = "1" * 64, "2" * 64


def source(*addresses: str | Path, **more: Any) -> Source:
    return Source(role="corpus", addresses=tuple(map(str, addresses)), **more)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    for name in ("b.txt", "a.md", "old/c.txt", "old/er/d.md", ".git/e.txt", "old/.hidden.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def files(wanted: Source) -> list[str]:
    return [each.file for each in listed(wanted).files]


def test_a_folder_is_its_files_with_their_folders_and_without_hidden_ones(texts: Path) -> None:
    listing = listed(source(texts, licence="mine"))
    assert [each.file for each in listing.files] == [
        "texts/a.md",
        "texts/b.txt",
        "texts/old/c.txt",
        "texts/old/er/d.md",
    ]
    assert listing.files[2] == source(texts / "old/c.txt", name=str(texts), file="texts/old/c.txt", licence="mine")
    assert listing.skipped == ()


def test_a_file_and_an_http_address_stay_as_they_are(texts: Path) -> None:
    for wanted in (source(texts / "b.txt"), source("https://example.org/*.txt", sha256=ONE), source(texts / "no")):
        assert listed(wanted).files == (wanted,)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["texts/b.txt"]),
        ("*", ["texts/a.md", "texts/b.txt"]),
        ("*/*.txt", ["texts/old/c.txt"]),
        ("**/*.txt", ["texts/b.txt", "texts/old/c.txt"]),
        ("**/er/*", ["texts/old/er/d.md"]),
        ("**", ["texts/a.md", "texts/b.txt", "texts/old/c.txt", "texts/old/er/d.md"]),
        ("[ab].?*", ["texts/a.md", "texts/b.txt"]),
    ],
)
def test_a_pattern_is_what_matches_it(texts: Path, pattern: str, expected: list[str]) -> None:
    assert files(source(texts / pattern)) == expected


def test_a_name_with_brackets_is_a_name_where_it_is_there(texts: Path) -> None:
    (texts / "e[1].txt").touch()
    assert files(source(texts / "e[1].txt")) == ["e[1].txt"]


def test_of_several_addresses_the_first_that_is_there_counts(texts: Path) -> None:
    assert files(source("/nowhere/at/all", texts / "old", file="texts")) == ["texts/c.txt", "texts/er/d.md"]


def test_a_pattern_whose_folder_is_missing_gives_way_to_the_next_address(texts: Path) -> None:
    assert files(source("/nowhere/at/all/*.txt", texts / "old", file="texts")) == ["texts/c.txt", "texts/er/d.md"]
    one_file = source("/nowhere/at/all/*.txt", texts / "b.txt", file="b.txt")
    assert listed(one_file).files == (one_file,)
    with pytest.raises(FetchError, match=r": /nowhere/at/all, /nor/here: no such folder; check the path$"):
        listed(source("/nowhere/at/all/*.txt", "/nor/here/*", file="texts"))


def test_links_in_a_circle_and_links_to_nowhere_are_named_and_skipped(texts: Path) -> None:
    (texts / "old/round").symlink_to(texts)
    (texts / "gone.txt").symlink_to(texts / "no.txt")
    os.mkfifo(texts / "pipe")
    (texts / "more.txt").symlink_to(texts / "a.md")
    listing = listed(source(texts))
    assert [each.file for each in listing.files][:3] == ["texts/a.md", "texts/b.txt", "texts/more.txt"]
    assert listing.skipped == (
        f"{texts}/gone.txt: a link that leads nowhere",
        f"{texts}/old/round: a link to a folder, which is not followed",
        f"{texts}/pipe: no file",
    )
    assert files(source(texts / "**/c.txt")) == ["texts/old/c.txt"]


def test_a_folder_without_files_and_a_pattern_without_matches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=f"{tmp_path}: no file in it$"):
        listed(source(tmp_path))
    with pytest.raises(FetchError, match=r"\*\.txt: no file matches$"):
        listed(source(tmp_path / "*.txt"))
    with pytest.raises(FetchError, match="nowhere: no such folder; check the path"):
        listed(source(tmp_path / "nowhere/*.txt"))


@pytest.mark.parametrize("more", [{"sha256": ONE}, {"member": "a.txt"}, {"manifest": True}])
def test_what_is_said_of_one_file_is_refused_for_a_folder(texts: Path, more: dict[str, Any]) -> None:
    with pytest.raises(FetchError, match=f"{next(iter(more))} is of one file, .*texts is many; leave it out"):
        listed(source(texts, **more))


def manifest(folder: Path, text: str) -> Path:
    file = folder / "SHA256SUMS"
    file.write_text(text)
    return file


def test_a_manifest_is_its_files_beside_each_of_its_addresses(tmp_path: Path) -> None:
    lines = manifest(tmp_path, f"{TWO}  deep/two & a half.txt\n\n{ONE} *./one.txt\r\n")
    wanted = source(
        "https://one.org/news/SHA256SUMS", "/mnt/news/SHA256SUMS", sha256="0" * 64, name="News", manifest=True
    )
    two, one = manifested(wanted, lines).files
    assert one == source(
        "https://one.org/news/one.txt", "/mnt/news/one.txt", sha256=ONE, name="News", file="news/one.txt"
    )
    assert two.addresses == ("https://one.org/news/deep/two%20%26%20a%20half.txt", "/mnt/news/deep/two & a half.txt")
    assert (two.file, two.sha256) == ("news/deep/two & a half.txt", TWO)


@pytest.mark.parametrize(
    "line",
    [
        f"{ONE}  ../climbs.txt",
        f"{ONE}  /etc/passwd",
        f"{ONE}  one.txt",
        f"{ONE} one.txt",
        f"\\{ONE}  two\\nlines.txt",
        "not a checksum  three.txt",
        f"{ONE}  ",
    ],
)
def test_a_line_that_is_none_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    lines = manifest(tmp_path, f"{TWO}  one.txt\n{line}\n")
    with pytest.raises(FetchError, match=r"^News: line 2 of the manifest is .*; expected a sha256, two spaces and a"):
        manifested(source("/mnt/SHA256SUMS", name="News", manifest=True, file="news"), lines)


def test_a_manifest_without_a_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="the manifest names no file"):
        manifested(source("/mnt/SHA256SUMS", manifest=True, file="news"), manifest(tmp_path, "\n"))
