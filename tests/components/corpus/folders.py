"""What files of a corpus are made of, and what is found in their folder."""

import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.corpus.reading import ReadingSettings, Refused, Text, read

SETTINGS = ReadingSettings(
    text_field="text", source_field="source", gutenberg=False, most_unpacked_bytes=50_000, most_line_bytes=1000
)
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


def found(folder: Path, settings: ReadingSettings = SETTINGS) -> list[Text | Refused]:
    """What is found besides the good document."""
    return [each for each in read(folder, settings) if each != Text("0", "good", "0.txt")]


def refusal(folder: Path, settings: ReadingSettings = SETTINGS) -> tuple[str, str]:
    """The place and the reason of the one thing that is refused."""
    (only,) = [each for each in read(folder, settings) if isinstance(each, Refused)]
    return only.place, only.reason
