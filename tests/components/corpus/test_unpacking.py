"""What is packed is read up to a limit, and what cannot be unpacked is refused."""

import gzip
from pathlib import Path

import pytest

from tests.components.corpus.folders import refusal, zst


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
    ],
)
def test_a_file_that_cannot_be_unpacked_is_refused(corpus: Path, name: str, content: bytes, reason: str) -> None:
    (corpus / name).write_bytes(content)
    place, why = refusal(corpus)
    assert (place, reason in why) == (name, True), why
