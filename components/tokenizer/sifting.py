"""A table without the parts of its row groups whose ids differ too little."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from components.tokenizer import table
from components.tokenizer.summary import part, summary
from components.tokenizer.table import Row


def sift(
    tokens: Path, folder: Path, vocab_size: int, least_bits: float, leave_out: Callable[[Row, float], None]
) -> Path:
    """Return where a table lies that has only parts of enough entropy: the one given, or a new one in a folder.

    A part is what a row group has of a split; `summary` tells its entropy, of 1,024 ids or more. Of one below
    `least_bits` no row is kept: `leave_out` is given each, and the part's entropy. The rows behind move up, and the
    parts that they come to are judged in their turn. The given table stays as it is; memory holds a row group, the disk
    two tables more.
    """
    kept, turn = tokens, 0
    while low := _low(kept, vocab_size, least_bits):
        before, kept, turn = kept, folder / str(turn), turn + 1
        table.write(_others(before, low, leave_out), kept, vocab_size)
        if before != tokens:
            shutil.rmtree(before)
    return kept


def _low(tokens: Path, vocab_size: int, least_bits: float) -> dict[str, float]:
    """Return the parts of too little entropy, with that."""
    parts, _ = summary(tokens, vocab_size)
    low: dict[str, float] = parts[parts["bits_per_token"] < least_bits].set_index("part")["bits_per_token"].to_dict()
    return low


def _others(tokens: Path, low: Mapping[str, float], leave_out: Callable[[Row, float], None]) -> Iterator[Row]:
    for name, group in table.row_groups(tokens):
        for row in table.rows(group):
            if (bits := low.get(part(name, row.split))) is None:
                yield row
            else:
                leave_out(row, bits)
