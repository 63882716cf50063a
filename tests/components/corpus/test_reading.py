"""Files of every kind are read a document at a time; what is bad comes as a refusal, and the rest survives."""

import gzip
import os
from dataclasses import replace
from pathlib import Path

import pytest

from components.corpus.reading import Refused, Text, read, size_bytes
from tests.components.corpus.folders import LINES, SETTINGS, found, parquet, refusal, zipped, zst


def test_files_and_members_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_bytes(b"text of b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/z.v2.md").write_bytes(b"text of z")
    (tmp_path / "a/.hidden.txt").write_bytes(b"not read")
    members = {"y.txt": b"text of y", "n/x.jsonl": LINES, "n/": b"", "__MACOSX/._y.txt": b"\0", "p.parquet": b""}
    members["p.parquet"] = parquet(text=["third"], source=["c"])
    (tmp_path / "c.zip").write_bytes(zipped(members))
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"text of d"))
    assert list(read(tmp_path, SETTINGS)) == [
        Text("z.v2", "text of z", "a/z.v2.md"),
        Text("b", "text of b", "b.txt"),
        Text("a", "first", "c.zip member n/x.jsonl line 1"),
        Text("b", "second", "c.zip member n/x.jsonl line 2"),
        Text("c", "third", "c.zip member p.parquet row 1"),
        Text("y", "text of y", "c.zip member y.txt"),
        Text("d", "text of d", "d.txt.gz"),
    ]


def test_single_files_are_read_without_their_folder(corpus: Path) -> None:
    (corpus / "1.txt").write_bytes(b"one")
    assert list(read([corpus / "1.txt"], SETTINGS)) == [Text("1", "one", f"{corpus}/1.txt")]


def test_a_text_as_large_as_may_be_and_lines_larger_together_are_read(corpus: Path) -> None:
    (corpus / "1.txt").write_bytes(b"x" * 50_000)
    (corpus / "2.jsonl").write_bytes(LINES * 1000)
    assert [len(each.text) for each in found(corpus) if isinstance(each, Text)] == [50_000, *[5, 6] * 1000]


def test_a_file_in_another_encoding_says_in_which(corpus: Path) -> None:
    (corpus / "1.txt").write_bytes("Far away.\n".encode("utf-16"))
    assert found(corpus) == [Text("1", "Far away.\n", "1.txt", "utf_16")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("1.zip", b"no zip", "File is not a zip file"),
        ("1.zip", zipped({}), "no text in it"),
        (
            "1.zip",
            zipped({"a.txt": b"x" * 30_000, "b.txt": b"x" * 30_000}),
            "60,000 bytes unpacked; most_unpacked_bytes is 50,000",
        ),
        ("1.txt", b"x" * 50_001, "50,001 bytes of text; most_unpacked_bytes is 50,000"),
        ("1.MD", b"x" * 50_001, "50,001 bytes of text; most_unpacked_bytes is 50,000"),
        ("1.zip.gz", gzip.compress(zipped({"a.txt": b"a"})), "of no kind that is read; expected .txt"),
        ("1.html", b"<p>text</p>", "of no kind that is read; expected .txt"),
        ("1.tar.gz", b"", "of no kind that is read; expected .txt"),
    ],
)
def test_a_file_of_no_kind_too_large_or_broken_is_refused(corpus: Path, name: str, content: bytes, reason: str) -> None:
    (corpus / name).write_bytes(content)
    place, why = refusal(corpus)
    assert (place, reason in why) == (name, True), why


@pytest.mark.parametrize(
    ("member", "content", "reason"),
    [
        ("../x.txt", b"a", "its name leads out of the archive"),
        ("a/../../x.txt", b"a", "its name leads out of the archive"),
        ("/etc/x.txt", b"a", "its name leads out of the archive"),
        ("..\\x.txt", b"a", "its name leads out of the archive"),
        ("x.zip", zipped({"a.txt": b"a"}), "packed inside an archive"),
        ("x.txt.gz", gzip.compress(b"a"), "packed inside an archive"),
        ("x.html", b"a", "of no kind that is read"),
        ("x.txt", b"", "blank"),
    ],
)
def test_a_bad_member_is_refused_and_the_others_survive(
    tmp_path: Path, member: str, content: bytes, reason: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/all.zip").write_bytes(zipped({member: content, "good.txt": b"good"}))
    place, why = refusal(tmp_path / "in")
    assert (place, why[: len(reason)]) == (f"all.zip member {member}", reason)
    assert Text("good", "good", "all.zip member good.txt") in list(read(tmp_path / "in", SETTINGS))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_member_with_a_wrong_checksum_or_a_password_is_refused(tmp_path: Path) -> None:
    archive = bytearray(zipped({"a.txt": b"first", "b.txt": b"second", "c.txt": b"third"}))
    directory = archive.index(b"PK\x01\x02")
    archive[directory + 16] ^= 255  # the checksum of a.txt
    archive[archive.index(b"PK\x01\x02", directory + 1) + 8] |= 1  # b.txt is encrypted, or so it says
    (tmp_path / "all.zip").write_bytes(archive)
    assert list(read(tmp_path, SETTINGS)) == [
        Refused("all.zip member a.txt", "Bad CRC-32 for file 'a.txt'"),
        Refused("all.zip member b.txt", "encrypted; expected it without a password"),
        Text("c", "third", "all.zip member c.txt"),
    ]


def test_a_zip_whose_beginning_is_lost_is_refused(corpus: Path) -> None:
    (corpus / "1.zip").write_bytes(zipped({"a.txt": b"a"})[1:])
    assert refusal(corpus) == ("1.zip member a.txt", "[Errno 22] Invalid argument")


def test_a_link_that_leads_in_a_circle_is_refused(corpus: Path) -> None:
    (corpus / "sub").mkdir()
    (corpus / "sub/loop").symlink_to(corpus)
    assert refusal(corpus) == (
        "sub/loop",
        "a link to a folder, which may lead in a circle; expected the folder itself",
    )


def test_a_link_to_nowhere_and_a_pipe_are_refused(corpus: Path) -> None:
    (corpus / "1.txt").symlink_to(corpus / "missing")
    (corpus / "self.txt").symlink_to("self.txt")
    os.mkfifo(corpus / "2.txt")
    assert [each.place for each in found(corpus)] == ["1.txt", "2.txt", "self.txt"]
    assert {each.reason for each in found(corpus) if isinstance(each, Refused)} == {
        "no file; expected one, or a link to one"
    }


def test_a_name_that_is_not_utf8_is_shown_with_marks(corpus: Path) -> None:
    Path(os.fsdecode(os.fsencode(corpus) + b"/caf\xe9.txt")).write_bytes(b"text")
    assert found(corpus) == [Text("caf\ufffd", "text", "caf\ufffd.txt")]


def test_a_corpus_without_text_is_refused_as_a_whole(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing: no such folder"):
        list(read(tmp_path / "missing", SETTINGS))
    with pytest.raises(ValueError, match=r"the corpus is empty; expected \.txt, \.md, \.jsonl or \.parquet"):
        list(read(tmp_path, SETTINGS))
    (tmp_path / "a.html").touch()
    (tmp_path / "b.txt").touch()
    with pytest.raises(ValueError, match=r"nothing can be read; 2 refused, first a\.html: of no kind that is read"):
        list(read(tmp_path, SETTINGS))


def test_the_bytes_read_of_each_kind_of_file_are_told_and_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first " * 1_000_000, encoding="utf-8")
    (tmp_path / "b.jsonl").write_bytes(LINES * 1000)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "d.jsonl.zst").write_bytes(zst(LINES))
    told: list[int] = []
    list(read(tmp_path, replace(SETTINGS, most_unpacked_bytes=6_000_000), told.append))
    assert sum(told) == size_bytes(tmp_path) == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert len(told) > 4  # not a file at once


def test_the_bytes_of_files_that_are_read_from_their_end_are_told(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(parquet(source=["a"] * 5, text=["first"] * 5))
    (tmp_path / "f.zip").write_bytes(zipped({"a.txt": b"first"}))
    told: list[int] = []
    list(read(tmp_path, SETTINGS, told.append))
    assert sum(told) >= size_bytes(tmp_path)
