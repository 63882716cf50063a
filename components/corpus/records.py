"""Lines of JSON and rows of Parquet, each a text or a refusal."""

import io
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.corpus.encoding import utf8
from components.corpus.refusals import told
from components.corpus.texts import ReadingSettings, Refused, Text, from_fields

BUFFER_BYTES = 2**20
"""How much is read at once of a row group, and of a line that is too long, to be dropped."""
_ROWS = 64
"""Rows of a Parquet file that are unpacked at once; a text that stands in many rows is stored once and may be large."""


def lines(stream: io.BufferedReader, place: str, stem: str, settings: ReadingSettings) -> Iterator[Text | Refused]:
    """Yield a text or a refusal for each line of .jsonl that is not blank; `stem` is the file without endings."""
    most = settings.most_line_bytes
    for number in itertools.count(1):
        line = stream.readline(most + 1)
        if not line:
            return
        its = f"{place} line {number}"
        if len(line) > most and not line.endswith(b"\n"):
            size = len(line) + _skipped(stream)
            yield Refused(its, f"a line of {size:,} bytes; most_line_bytes is {most:,}")
        elif not line.isspace():
            yield _line(line, its, stem, settings)


def _skipped(stream: io.BufferedReader) -> int:
    """Read to the end of the line and return how many bytes that was, its line feed left out."""
    size = 0
    while part := stream.readline(BUFFER_BYTES):
        size += len(part)
        if part.endswith(b"\n"):
            return size - 1
    return size


def _line(line: bytes, place: str, stem: str, settings: ReadingSettings) -> Text | Refused:
    try:
        record = json.loads(utf8(line).removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        return Refused(place, f"not JSON ({error}); expected one object a line")
    except ValueError as error:
        return Refused(place, str(error))
    except RecursionError:
        return Refused(place, "JSON that is nested too deep; expected one object a line")
    if not isinstance(record, dict):
        return Refused(place, f"{type(record).__name__}; expected an object with a string {settings.text_field!r}")
    return from_fields(record.get(settings.text_field), record.get(settings.source_field or ""), place, stem, settings)


def rows(stream: Any, place: str, stem: str, settings: ReadingSettings) -> Iterator[Text | Refused]:
    """Yield a text or a refusal for each row of a .parquet file; `stem` is the file without endings."""
    with pq.ParquetFile(stream, buffer_size=BUFFER_BYTES, pre_buffer=False) as file:
        columns = [name for name in (settings.text_field, settings.source_field) if name is not None]
        for name in columns:
            _refuse_other_columns(file.schema_arrow, name)
        row = 0
        for number in range(file.num_row_groups):
            its = f"{place} row group {number + 1}"
            yield from told(its, _row_group(file, number, row, columns, place, stem, settings))
            row += file.metadata.row_group(number).num_rows


def _refuse_other_columns(schema: Any, name: str) -> None:
    index = schema.get_field_index(name)
    if index < 0:
        raise ValueError(f"no column {name!r}, or two; it has {', '.join(schema.names)}")
    its = schema.field(index).type
    if pa.types.is_dictionary(its):
        its = its.value_type
    if not (pa.types.is_string(its) or pa.types.is_large_string(its) or pa.types.is_string_view(its)):
        raise ValueError(f"column {name!r} is {its}; expected strings")


def _row_group(
    file: Any, number: int, row: int, columns: list[str], place: str, stem: str, settings: ReadingSettings
) -> Iterator[Text | Refused]:
    # Not the sum over our columns: pyarrow 25 aborts the process where it is asked for one with damaged statistics.
    size = file.metadata.row_group(number).total_byte_size
    if size > settings.most_unpacked_bytes:
        raise ValueError(f"{size:,} bytes unpacked; most_unpacked_bytes is {settings.most_unpacked_bytes:,}")
    for batch in file.iter_batches(batch_size=_ROWS, row_groups=[number], columns=columns):
        # As bytes: one text that is not UTF-8 shall not take 63 others along.
        found = {name: batch.column(name).cast(pa.large_binary()).to_pylist() for name in columns}
        texts = found[settings.text_field]
        sources = found[settings.source_field] if settings.source_field else [None] * len(texts)
        for text, source in zip(texts, sources, strict=True):
            row += 1
            yield _row(text, source, f"{place} row {row}", stem, settings)


def _row(text: bytes | None, source: bytes | None, place: str, stem: str, settings: ReadingSettings) -> Text | Refused:
    if text is not None and len(text) > settings.most_line_bytes:
        return Refused(place, f"a text of {len(text):,} bytes; most_line_bytes is {settings.most_line_bytes:,}")
    try:
        its_text, its_source = [None if each is None else utf8(each) for each in (text, source)]
    except ValueError as error:
        return Refused(place, str(error))
    return from_fields(its_text, its_source, place, stem, settings)
