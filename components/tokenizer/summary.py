"""Scalars of a table of tokenized documents, for data checks: they hold what they judge, and misjudge lists."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.tokenizer import table

Integers = npt.NDArray[np.integer[Any]]

_EXTREMES = ("least_count", "most_count", "least_bytes", "most_bytes", "most_replaced_share", "min_id", "max_id")
_PART = ("part", "schema", "split", "documents", "disordered", "count", "size_bytes", "bits_per_token")
_COLUMNS = [*_PART, *_EXTREMES, *(f"{name}_place" for name in _EXTREMES), "disordered_place"]
_SPLIT_COLUMNS = ["split", "documents", "count", "size_bytes", "characters", "replacements", "bits_per_token"]
_SUMS = ("documents", "count", "size_bytes", "characters", "replacements")
_ENTROPY_IDS = 1024
"""Ids below which no entropy is told: that of a few says little."""
_REPLACEMENT_BYTES = 3
"""Bytes of U+FFFD in UTF-8."""


def summary(folder: Path, vocab_size: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a row of scalars for each row group and split, and one for each split.

    Columns of the first: part (such as "00000.parquet group 1 train"), schema (as `table.described` tells it), split,
    documents, disordered (documents whose number is not above that of the one before), count and size_bytes (sums),
    bits_per_token (entropy of the ids inside the vocabulary; null below 1,024 of them), and, each of one document,
    least_count, most_count, least_bytes, most_bytes, most_replaced_share (of its bytes, U+FFFD), min_id and max_id
    (null where there are no ids). Where a document decides, its place stands beside, as in min_id_place. Where
    the schema is not `table.columns`, all but part and schema are null.

    Columns of the second: split, documents, count, size_bytes, characters and replacements (sums), bits_per_token.

    Memory holds a row group. Raises ValueError for a file that is no table of tokens.
    """
    parts: list[dict[str, Any]] = []
    sums: dict[str, dict[str, int]] = {}
    frequencies: dict[str, Integers] = {}
    last = -1
    for name, group in table.row_groups(folder):
        schema = table.described(group.schema)
        if schema != table.columns(vocab_size):
            parts.append({"part": name, "schema": schema})
            continue
        numbers = group["document"].to_numpy()
        group = group.append_column("is_disordered", pa.array(np.diff(numbers, prepend=last) <= 0))
        last = numbers[-1]
        for split in sorted(pc.unique(group["split"]).to_pylist()):
            rows = group.filter(pc.equal(group["split"], split))
            offsets, ids = table.lists(rows)
            its, its_frequencies = _sums(rows), np.bincount(ids[ids < vocab_size], minlength=vocab_size)
            told = {
                "part": part(name, split),
                "schema": schema,
                "split": split,
                "bits_per_token": _entropy(its_frequencies),
            }
            parts.append(told | its | _disordered(rows) | _extremes(rows, offsets, ids))
            before = sums.get(split, {})
            sums[split] = {each: before.get(each, 0) + its[each] for each in _SUMS}
            frequencies[split] = frequencies.get(split, 0) + its_frequencies
    splits = [{"split": each, "bits_per_token": _entropy(frequencies[each])} | sums[each] for each in sorted(sums)]
    frame = pd.DataFrame(parts, columns=_COLUMNS).astype({"min_id": "Int64", "max_id": "Int64"})
    return frame, pd.DataFrame(splits, columns=_SPLIT_COLUMNS)


def part(group: str, split: str) -> str:
    """Return what a row group has of a split as it is called, such as "00000.parquet group 1 train"."""
    return f"{group} {split}"


def _sums(rows: pa.Table) -> dict[str, int]:
    sums = {name: pc.sum(rows[name]).as_py() for name in _SUMS if name != "documents"}
    return {"documents": len(rows), **sums}


def _disordered(rows: pa.Table) -> dict[str, Any]:
    (which,) = rows["is_disordered"].to_numpy().nonzero()
    return {"disordered": len(which), "disordered_place": _place(rows, which[0]) if len(which) else None}


def _extremes(rows: pa.Table, offsets: Integers, ids: Integers) -> dict[str, Any]:
    """Return each extreme and the place of the first document that has it."""
    sizes = rows["size_bytes"].to_numpy()
    replaced = _REPLACEMENT_BYTES * rows["replacements"].to_numpy() / np.maximum(sizes, 1)
    told: dict[str, Any] = {}
    for name, values in (("count", rows["count"].to_numpy()), ("bytes", sizes)):
        told |= _told(f"least_{name}", rows, values, values.argmin()) | _told(
            f"most_{name}", rows, values, values.argmax()
        )
    told |= _told("most_replaced_share", rows, replaced, replaced.argmax())
    if len(ids):
        for name, at in (("min_id", ids.argmin()), ("max_id", ids.argmax())):
            row = np.searchsorted(offsets, at, side="right") - 1
            told |= {name: ids[at].item(), f"{name}_place": _place(rows, row)}
    return told


def _told(name: str, rows: pa.Table, values: npt.NDArray[Any], row: np.integer[Any]) -> dict[str, Any]:
    return {name: values[row].item(), f"{name}_place": _place(rows, row)}


def _place(rows: pa.Table, row: np.integer[Any]) -> str:
    place: str = rows["place"][row.item()].as_py()
    return place


def _entropy(frequencies: Integers) -> float | None:
    """Return Shannon's entropy, bits (A Mathematical Theory of Communication, 1948, section 6)."""
    total = frequencies.sum()
    if total < _ENTROPY_IDS:
        return None
    shares = frequencies[frequencies > 0] / total
    return float(abs((shares * np.log2(shares)).sum()))
