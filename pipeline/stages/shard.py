"""Lay the ids of each split end to end in memory-mapped shards, over which windows are views."""

import json
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import pandas as pd

from components.tokenizer import table
from components.tokenizer.bpe import Tokenizer
from components.windows import shards
from components.windows.shards import ShardSettings
from components.windows.windows import Windows
from pipeline import checks, dag, machine, paths, tracking
from pipeline.orchestration import io, stage

log = logging.getLogger(__name__)

SPLITS = ("train", "validation")
AHEAD = 2  # row groups that wait for a thread that writes


@stage
def shard(shard: ShardSettings) -> None:
    """Write `data/shards`."""
    write(shard)
    check()
    record()


@io
def write(settings: ShardSettings) -> None:
    """Write the shards and their index."""
    tokenizer = Tokenizer.load(paths.TOKENIZER)
    with paths.whole(paths.SHARDS) as folder:
        lay(paths.TOKENS, folder, settings, end_of_text=tokenizer.end_of_text, vocab_size=tokenizer.vocab_size)


def lay(tokens: Path, folder: Path, settings: ShardSettings, *, end_of_text: int, vocab_size: int) -> None:
    """Lay a table's ids in shards, a thread for each split or on a Ray cluster, and write their index."""
    found = table.sizes(tokens)["size_bytes"]
    sizes = {split: int(found.get(split, 0)) for split in SPLITS}
    separator = end_of_text if settings.separator == "end_of_text" else None
    how = {"vocab_size": vocab_size, "shard_size": settings.shard_size}

    if (address := machine.ray_address()) is None:

        def write_split(split: str, documents: Iterator[shards.Documents]) -> shards.Split:
            return shards.write(documents, folder, split, end_of_text=separator, size_bytes=sizes[split], **how)

        written = in_threads(write_split, table.ids_by_split(tokens))
    else:
        from integrations import ray_data  # late: what it needs is an extra

        log.info("sharding on the Ray cluster at %s", address)
        environment = machine.handed_on()
        written = ray_data.write_shards(tokens, folder, sizes, address, environment, end_of_text=separator, **how)
    shards.write_index(
        folder, written, context_length=settings.context_length, stride=settings.stride, vocab_size=vocab_size
    )


def in_threads(
    write: Callable[[str, Iterator[shards.Documents]], shards.Split], parts: Iterable[tuple[str, shards.Documents]]
) -> list[shards.Split]:
    """Return what each split's thread has written of its parts, which are gone through once."""
    waiting = {split: Queue[shards.Documents | None](AHEAD) for split in SPLITS}

    def work(split: str) -> shards.Split:
        its = iter(waiting[split].get, None)
        try:
            return write(split, its)
        finally:
            deque(its, maxlen=0)  # or, after a failure, the other would wait for room

    with ThreadPoolExecutor(len(SPLITS)) as threads:
        written = [threads.submit(work, split) for split in SPLITS]
        try:
            for split, part in parts:
                waiting[split].put(part)
        finally:
            for queue in waiting.values():
                queue.put(None)
    return [each.result() for each in written]


@io
def check() -> None:
    """Check every shard."""
    index = json.loads((paths.SHARDS / "index.json").read_text(encoding="utf-8"))
    rows = [
        {
            "file": file["name"],
            "split": split,
            "count": len(ids),
            "min_id": int(ids.min()),
            "max_id": int(ids.max()),
            "is_damaged": int([file["sha256"]] != list(dag.hashes([paths.SHARDS / file["name"]]).values())),
        }
        for split in SPLITS
        for file, ids in zip(index["splits"][split]["files"], Windows(paths.SHARDS, split).shards, strict=True)
    ]
    checks.check("shards", pd.DataFrame(rows), checks.shards(index["vocab_size"]))


@io
def record() -> None:
    """Record ids and windows of each split."""
    numbers: dict[str, float | int | str] = {}
    for split in SPLITS:
        windows = Windows(paths.SHARDS, split)
        numbers |= {f"{split}_ids": windows.ids, f"{split}_windows": len(windows)}
    tracking.record("shard", numbers)
