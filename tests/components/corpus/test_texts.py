"""Texts come out as models shall see them; what is no text is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.corpus.reading import Text, read
from tests.components.corpus.folders import SETTINGS, refusal

CORPORA = Path(__file__).parents[4] / "shared/data/corpora"


def test_byte_order_marks_and_paired_carriage_returns_are_gone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\r\n")
    (tmp_path / "b.jsonl").write_bytes(b'{"source": "b", "text": "\\ufeffone\\r\\ntwo\\rthree\\r\\n"}')
    assert [each.text for each in read(tmp_path, SETTINGS)] == ["one\ntwo\rthree\n"] * 2  # type: ignore[union-attr]


def test_project_gutenbergs_header_and_footer_are_left_out_when_asked(tmp_path: Path) -> None:
    book = "Title: X\n\n***START OF THE PROJECT GUTENBERG EBOOK X,\nOR Y ***\n\n\nOnce.\n\n*** A ***\n\nEnd.\n\n\n"
    book += "End of Project Gutenberg's X\n\n*** END OF THE PROJECT GUTENBERG EBOOK X, OR Y ***\nLicence\n"
    (tmp_path / "x.txt").write_bytes(book.replace("\n", "\r\n").encode())
    (text,) = read(tmp_path, replace(SETTINGS, gutenberg=True))
    assert text == Text("x", "Once.\n\n*** A ***\n\nEnd.\n", "x.txt")
    (text,) = read(tmp_path, SETTINGS)
    assert isinstance(text, Text)
    assert text.text == book


@pytest.mark.skipif(not CORPORA.is_dir(), reason="no ../shared/data on this machine")
def test_real_books_lose_their_licence_and_dracula_its_encoding() -> None:
    settings = replace(SETTINGS, gutenberg=True, most_unpacked_bytes=1_000_000)
    dracula, pride, frankenstein = (
        next(read([CORPORA / f"{name}.txt"], settings))
        for name in ("pg345_dracula_latin1", "pg1342_pride_and_prejudice", "pg84_frankenstein")
    )
    for book in (dracula, pride, frankenstein):
        assert isinstance(book, Text)
        assert "Gutenberg" not in book.text
    assert isinstance(dracula, Text)
    assert (dracula.encoding, "put in the cal\u00e8che." in dracula.text) == ("latin_1", True)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("caf\u00e9 and more".encode("latin-1"), "not UTF-8 (byte 0xe9 at offset 3)"),
        (b"one\0two", "a NUL at character 3; expected text"),
        (b" \r\n\r\n", "blank; expected text"),
        (b"", "blank; expected text"),
    ],
)
def test_a_text_file_that_is_no_text_is_refused(corpus: Path, content: bytes, reason: str) -> None:
    (corpus / "1.txt").write_bytes(content)
    place, why = refusal(corpus)
    assert (place, reason in why) == ("1.txt", True), why


@pytest.mark.parametrize("name", ["most_unpacked_bytes", "most_line_bytes"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; expected at least 1"):
        replace(SETTINGS, **{name: 0})
