"""Files of every kind are read a document at a time; what is bad comes as a refusal, and the rest survives."""

import gzip
import io
import json
import os
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.corpus.reading import ReadingSettings, Refused, Text, quarantine, read, size_bytes

SETTINGS = ReadingSettings(
    text_field="text", source_field="source", gutenberg=False, most_unpacked_bytes=50_000, most_line_bytes=1000
)
CORPORA = Path(__file__).parents[4] / "shared/data/corpora"

LINES = b'{"source": "a", "text": "first"}\n{"source": "b", "text": "second"}\n'


def parquet(**columns: object) -> bytes:
    """A file with two rows in a row group."""
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, row_group_size=2)
    return out.getvalue()


def zst(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as packed:
        packed.write(content)
    return bytes(out.getvalue().to_pybytes())


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder in which one document is good, so that the corpus as a whole can be read."""
    (tmp_path / "0.txt").write_text("good", encoding="utf-8")
    return tmp_path


def found(folder: Path, settings: ReadingSettings = SETTINGS) -> list[Text | Refused]:
    """What is found besides the good document."""
    return [each for each in read(folder, settings) if each != Text("0", "good", "0.txt")]


def refusal(folder: Path, settings: ReadingSettings = SETTINGS) -> tuple[str, str]:
    """The place and the reason of the one thing that is refused."""
    (only,) = [each for each in read(folder, settings) if isinstance(each, Refused)]
    return only.place, only.reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("news.jsonl", LINES),
        ("news.JSONL.gz", gzip.compress(LINES)),
        ("two.jsonl.gz", gzip.compress(LINES[:33]) + gzip.compress(LINES[33:])),
        ("news.jsonl.zst", zst(LINES)),
        ("bom.jsonl", b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\r\n")),
    ],
)
def test_a_line_of_jsonl_is_a_document(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert [(each.source, each.text) for each in read(tmp_path, SETTINGS)] == [("a", "first"), ("b", "second")]  # type: ignore[union-attr]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zst], ids=["plain", "gz", "zst"])
@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_a_row_of_parquet_is_a_document(tmp_path: Path, pack, kind) -> None:
    texts = pa.array(["first", "second", "third"]).cast(kind)
    ending = {bytes: "", gzip.compress: ".gz", zst: ".zst"}[pack]
    (tmp_path / f"news.parquet{ending}").write_bytes(pack(parquet(text=texts, source=["a", "b", "c"], more=[1, 2, 3])))
    assert list(read(tmp_path, SETTINGS)) == [
        Text("a", "first", f"news.parquet{ending} row 1"),
        Text("b", "second", f"news.parquet{ending} row 2"),
        Text("c", "third", f"news.parquet{ending} row 3"),
    ]


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


def test_fields_and_columns_have_the_names_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl.gz").write_bytes(gzip.compress(b'{"body": "first"}\n'))
    (tmp_path / "old.parquet").write_bytes(parquet(body=["second"]))
    assert list(read(tmp_path, replace(SETTINGS, text_field="body", source_field=None))) == [
        Text("news", "first", "news.jsonl.gz line 1"),
        Text("old", "second", "old.parquet row 1"),
    ]


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
    settings = replace(SETTINGS, gutenberg=True)
    dracula, pride, frankenstein = (
        next(read([CORPORA / f"{name}.txt"], settings))
        for name in ("pg345_dracula_latin1", "pg1342_pride_and_prejudice", "pg84_frankenstein")
    )
    for book in (dracula, pride, frankenstein):
        assert isinstance(book, Text)
        assert "Gutenberg" not in book.text
    assert isinstance(dracula, Text)
    assert (dracula.encoding, "put in the cal\u00e8che." in dracula.text) == ("latin_1", True)


def test_a_file_in_another_encoding_says_in_which(corpus: Path) -> None:
    (corpus / "1.txt").write_bytes("Far away.\n".encode("utf-16"))
    assert found(corpus) == [Text("1", "Far away.\n", "1.txt", "utf_16")]


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


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"source": "a", "text": ', "not JSON ("),
        (b"[" * 999, "JSON that is nested too deep"),
        (b"9" * 999, "int; expected an object with a string 'text'"),
        (b'["a"]', "list; expected an object with a string 'text'"),
        (b'{"source": "a"}', "expected a string named 'text', got none"),
        (b'{"text": "a"}', "expected a string named 'source', got none"),
        (b'{"source": "a", "text": 3}', "expected a string named 'text', got int"),
        (b'{"source": "a", "text": "x\\ud800"}', "character 1 of 'text' is half a surrogate pair"),
        (b'{"source": "\\ud800", "text": "x"}', "character 0 of 'source' is half a surrogate pair"),
        (b'{"source": "a", "text": "x\\u0000"}', "a NUL at character 1"),
        (b'{"source": "a", "text": "\\n"}', "blank; expected text"),
        (b'{"source": "a", "text": "caf\xe9"}', "not UTF-8 (byte 0xe9 at offset 28)"),
        (b'{"source": "a", "text": "' + b"x" * 974 + b'"}', "a line of 1,001 bytes; most_line_bytes is 1,000"),
        (b"x" * 3_000_000, "a line of 3,000,000 bytes; most_line_bytes is 1,000"),
    ],
)
def test_a_bad_line_is_refused_and_the_others_survive(tmp_path: Path, line: bytes, reason: str) -> None:
    first, second = LINES.splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_bytes(first + line + b"\n\n" + second)
    one, bad, other = read(tmp_path, SETTINGS)
    assert (one, other) == (Text("a", "first", "rows.jsonl line 1"), Text("b", "second", "rows.jsonl line 4"))
    assert isinstance(bad, Refused)
    assert (bad.place, bad.reason[: len(reason)]) == ("rows.jsonl line 2", reason)


def test_a_line_of_the_most_bytes_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b'{"source": "a", "text": "' + b"x" * 973 + b'"}\n' + LINES)
    assert len([each for each in read(tmp_path, SETTINGS) if isinstance(each, Text)]) == 3


def test_a_long_line_is_not_held_in_memory(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(b"x" * 40_000_000 + b"\n" + LINES, compresslevel=1))
    settings = replace(SETTINGS, most_unpacked_bytes=50_000_000)
    tracemalloc.start()
    place, reason = refusal(tmp_path, settings)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (place, reason) == ("rows.jsonl.gz line 1", "a line of 40,000,000 bytes; most_line_bytes is 1,000")
    assert peak_bytes < 5_000_000


def test_a_bad_row_is_refused_and_the_others_survive(tmp_path: Path) -> None:
    texts: list[bytes | None] = [b"first", None, b"caf\xe9", b"a\0b", b"x" * 1001, b"last"]
    plain = pa.array(texts)
    column = pa.Array.from_buffers(
        pa.string(), len(plain), plain.cast(pa.binary()).buffers()
    )  # pyarrow checks no UTF-8
    (tmp_path / "rows.parquet").write_bytes(parquet(text=column, source=["a"] * 6))
    assert list(read(tmp_path, SETTINGS)) == [
        Text("a", "first", "rows.parquet row 1"),
        Refused("rows.parquet row 2", "expected a string named 'text', got none"),
        Refused("rows.parquet row 3", "not UTF-8 (byte 0xe9 at offset 3)"),
        Refused("rows.parquet row 4", "a NUL at character 1; expected text"),
        Refused("rows.parquet row 5", "a text of 1,001 bytes; most_line_bytes is 1,000"),
        Text("a", "last", "rows.parquet row 6"),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (parquet(words=["a"], source=["b"]), "no column 'text', or two; it has words, source"),
        (parquet(text=["a"]), "no column 'source', or two; it has text"),
        (parquet(text=[1], source=["b"]), "column 'text' is int64; expected strings"),
        (parquet(text=[["a"]], source=["b"]), "column 'text' is list<element: string>; expected strings"),
        (parquet(text=["a"], source=["b"])[:-9], "Parquet magic bytes not found"),
        (b"", "Parquet file size is 0 bytes"),
        (parquet(text=pa.array([], pa.string()), source=pa.array([], pa.string())), "no text in it"),
    ],
)
def test_parquet_of_another_schema_or_damaged_is_refused(corpus: Path, content: bytes, reason: str) -> None:
    (corpus / "1.parquet").write_bytes(content)
    place, why = refusal(corpus)
    assert (place, why[: len(reason)]) == ("1.parquet", reason)


def test_a_damaged_row_group_is_refused_and_the_others_survive(tmp_path: Path) -> None:
    content = bytearray(parquet(text=["first", "second", "third"], source=["a", "b", "c"]))
    start = pq.read_metadata(io.BytesIO(content)).row_group(0).column(0).dictionary_page_offset
    content[start : start + 8] = b"\xff" * 8
    (tmp_path / "rows.parquet").write_bytes(content)
    bad, good = read(tmp_path, SETTINGS)
    assert (bad.place, good) == ("rows.parquet row group 1", Text("c", "third", "rows.parquet row 3"))


def test_a_row_group_that_explodes_is_refused(corpus: Path) -> None:
    (corpus / "1.parquet").write_bytes(parquet(text=["x" * 90_000], source=["a"]))
    place, reason = refusal(corpus)
    assert place == "1.parquet row group 1"
    assert reason.endswith("bytes unpacked; most_unpacked_bytes is 50,000")


@pytest.mark.parametrize("pack", [gzip.compress, zst])
def test_what_stands_before_a_files_damage_survives(tmp_path: Path, pack) -> None:
    rows = [{"source": "a", "text": f"{n} {n * 7919 % 10_007}"} for n in range(10_000)]
    packed = pack("".join(json.dumps(row) + "\n" for row in rows).encode())
    (tmp_path / f"rows.jsonl.{'gz' if pack is gzip.compress else 'zst'}").write_bytes(packed[:-5])
    *good, bad = read(tmp_path, replace(SETTINGS, most_unpacked_bytes=1_000_000))
    assert len(good) > 7000  # zstd gives whole blocks of 128 kB alone
    assert [each.text for each in good if isinstance(each, Text)] == [row["text"] for row in rows[: len(good)]]
    assert isinstance(bad, Refused)
    assert f"; nothing is read after {good[-1].place}" in bad.reason


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("1.txt.gz", gzip.compress(b"whole")[:-3], "Compressed file ended before the end-of-stream marker"),
        ("1.txt.gz", b"no gzip", "Not a gzipped file"),
        ("1.jsonl.gz", b"", "no text in it"),
        ("1.md.zst", zst(b"whole")[:-3], "Truncated compressed stream"),
        ("1.txt.zst", b"no zstd", "ZSTD decompress failed"),
        (
            "1.txt.gz",
            gzip.compress(b"x" * 60_000),
            "packed bytes become more than 50,000, which is most_unpacked_bytes",
        ),
        ("1.txt.zst", zst(b"x" * 60_000), "packed bytes become more than 50,000, which is most_unpacked_bytes"),
        ("1.zip", b"no zip", "File is not a zip file"),
        ("1.zip", zipped({}), "no text in it"),
        (
            "1.zip",
            zipped({"a.txt": b"x" * 30_000, "b.txt": b"x" * 30_000}),
            "60,000 bytes unpacked; most_unpacked_bytes is 50,000",
        ),
        ("1.zip.gz", gzip.compress(zipped({"a.txt": b"a"})), "of no kind that is read; expected .txt"),
        ("1.html", b"<p>text</p>", "of no kind that is read; expected .txt"),
        ("1.tar.gz", b"", "of no kind that is read; expected .txt"),
    ],
)
def test_a_file_that_cannot_be_unpacked_is_refused(corpus: Path, name: str, content: bytes, reason: str) -> None:
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


@pytest.mark.parametrize("name", ["most_unpacked_bytes", "most_line_bytes"])
def test_a_limit_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; expected at least 1"):
        replace(SETTINGS, **{name: 0})


@pytest.mark.parametrize(
    "rows", [[], [("a.txt", "blank"), ("b.jsonl line 2", "not JSON")], [(f"{n}.txt", "blank") for n in range(10_000)]]
)
def test_refusals_are_kept_as_parquet_also_when_there_are_none(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    with quarantine(tmp_path / "new/documents.parquet") as add:
        for row in rows:
            add(Refused(*row))
    table = pq.read_table(tmp_path / "new/documents.parquet")
    assert table.schema.names == ["place", "reason"]
    assert list(zip(*table.to_pydict().values(), strict=True)) == rows


def test_the_bytes_read_of_each_kind_of_file_are_told_and_add_up(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first " * 1_000_000, encoding="utf-8")
    (tmp_path / "b.jsonl").write_bytes(LINES * 1000)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(LINES))
    (tmp_path / "d.jsonl.zst").write_bytes(zst(LINES))
    told: list[int] = []
    list(read(tmp_path, SETTINGS, told.append))
    assert sum(told) == size_bytes(tmp_path) == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert len(told) > 4  # not a file at once


def test_the_bytes_of_files_that_are_read_from_their_end_are_told(tmp_path: Path) -> None:
    (tmp_path / "e.parquet").write_bytes(parquet(source=["a"] * 5, text=["first"] * 5))
    (tmp_path / "f.zip").write_bytes(zipped({"a.txt": b"first"}))
    told: list[int] = []
    list(read(tmp_path, SETTINGS, told.append))
    assert sum(told) >= size_bytes(tmp_path)
