"""Refusals: damage that becomes one, and the Parquet file that keeps them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.corpus.damage import UNREADABLE, is_systems
from components.corpus.texts import Refused, Text

_ROWS_WRITTEN = 4096
"""Refusals that are written at once."""


def told(place: str, found: Iterator[Text | Refused]) -> Iterator[Text | Refused]:
    """Pass on what is found; what ends it before its time becomes a refusal."""
    last = ""
    try:
        for each in found:
            last = each.place
            yield each
    except (*UNREADABLE, pa.ArrowException) as error:  # ValueError is ours too
        if is_systems(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        yield Refused(place, f"{reason}; nothing is read after {last}" if last else reason)


def or_empty(place: str, found: Iterator[Text | Refused]) -> Iterator[Text | Refused]:
    """Pass on what is found; nothing at all becomes a refusal."""
    first = next(found, None)
    yield first or Refused(place, "no text in it")
    yield from found


@contextmanager
def quarantine(path: Path) -> Iterator[Callable[[Refused], None]]:
    """Yield what adds a refusal to a Parquet file with the columns place and reason; there may be none."""
    schema = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("place", "reason")])
    held: list[dict[str, str]] = []
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(held, schema))
            held.clear()

        def add(refused: Refused) -> None:
            held.append({"place": refused.place, "reason": refused.reason})
            if len(held) == _ROWS_WRITTEN:
                flush()

        yield add
        flush()
