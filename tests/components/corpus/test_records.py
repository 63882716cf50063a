"""A line of JSON and a row of Parquet is a document; a bad one is refused, and the others survive."""

import gzip
import io
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.corpus.reading import Refused, Text, read
from tests.components.corpus.folders import LINES, SETTINGS, parquet, refusal, zst


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


def test_fields_and_columns_have_the_names_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "news.jsonl.gz").write_bytes(gzip.compress(b'{"body": "first"}\n'))
    (tmp_path / "old.parquet").write_bytes(parquet(body=["second"]))
    assert list(read(tmp_path, replace(SETTINGS, text_field="body", source_field=None))) == [
        Text("news", "first", "news.jsonl.gz line 1"),
        Text("old", "second", "old.parquet row 1"),
    ]


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
