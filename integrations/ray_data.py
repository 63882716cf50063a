"""Ray Data as what tokenizes and shards: the components' own functions, called on pieces by a running Ray cluster.

Pieces come back in order, and the bytes are those that one machine makes. A task whose process or machine dies is done
again by Ray; one of which nothing comes for half an hour ends the work (`RAY_DATA_EXECUTION_NO_PROGRESS_TIMEOUT_S`).
"""

import logging
import shutil
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.tokenizer import table
from components.tokenizer.bpe import Ids, Tokenizer
from components.windows import shards
from components.windows.shards import Shard, Split
from integrations import ray_cluster
from integrations.ray_cluster import line

PIECE_CHARACTERS = 2**22
"""Characters that a task encodes; a longer text is a piece by itself."""
PIECES_A_CPU = 4
"""Pieces in a round, for each CPU of the cluster: while one round is encoded the next is read, and no more."""

Row = Mapping[str, Any]
Task = Callable[[pa.Table], pa.Table]


def encode_each(
    texts: Iterable[str], tokenizer: Tokenizer, folder: Path, address: str, environment: Mapping[str, str]
) -> Iterator[Ids]:
    """Yield the ids of each text as the tokenizer's `encode_batch` has them, in order, from the cluster at an address.

    The texts of two rounds lie in `folder` meanwhile, which all machines share and which goes in the end; memory holds
    a piece here, and the cluster's object store the ids of two rounds.

    Raises ValueError for what `encode_batch` refuses, and where the cluster cannot be used; OSError where a machine
    lacks the folder, the modules or room; ChildProcessError where tasks are lost for good.
    """
    ray_cluster.connect(address, environment)
    import ray

    try:
        shutil.rmtree(folder, ignore_errors=True)  # what a run that was killed has left
        tokenizer.save(folder / "tokenizer")
        task = _task(partial(_encode, folder.absolute() / "tokenizer"), Path.cwd())
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if not cpus:
            raise ValueError(f"the Ray cluster at {address} has no CPU; add a machine that has")
        pieces = _pieces(texts, folder.absolute())
        begun: deque[Iterator[Ids]] = deque()
        while some := list(islice(pieces, PIECES_A_CPU * cpus)):
            begun.append(_encoded(some, task, address))
            if len(begun) > 1:
                yield from begun.popleft()
        yield from chain.from_iterable(begun)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def write_shards(
    tokens: Path,
    folder: Path,
    sizes: Mapping[str, int],
    address: str,
    environment: Mapping[str, str],
    *,
    end_of_text: int | None,
    vocab_size: int,
    shard_size: int,
) -> list[Split]:
    """Write the shards of each split of a table, as `shards.write` does, each by a task of the cluster at an address.

    `sizes` has the UTF-8 bytes of each split; the folders are on a disk that all machines share.

    Raises ValueError for what `shards.write` refuses, and where the cluster cannot be used; OSError where a machine
    lacks the folders, the modules or room; ChildProcessError where tasks are lost for good.
    """
    has_separator = end_of_text is not None
    plans = {
        split: shards.plan(table.counts(tokens, split), has_separator=has_separator, shard_size=shard_size)
        for split in sizes
    }
    rows = [
        {"split": split, "n": n, "part": part, "skip": skip}
        for split, (_, places) in plans.items()
        for n, (part, skip) in enumerate(places)
    ]
    how = {"end_of_text": end_of_text, "vocab_size": vocab_size, "shard_size": shard_size}
    folder.mkdir(parents=True, exist_ok=True)
    ray_cluster.connect(address, environment)
    import ray

    try:
        task = _task(partial(_shard, tokens.absolute(), folder.absolute(), how), Path.cwd())
        written = [each for part in _mapped(task, rows, address) for each in part.to_pylist()] if rows else []
    finally:
        ray.shutdown()
    for each in written:
        if not (folder / each["name"]).exists():
            raise OSError(
                f"{folder / each['name']}: written by {each['machine']}, a machine of the Ray cluster, and not here; "
                f"expected {folder.absolute()} on a disk that all machines share"
            )
    return [
        shards.write_starts(
            folder,
            split,
            starts,
            [Shard(each["name"], each["ids"], each["sha256"]) for each in written if each["split"] == split],
            sizes[split],
        )
        for split, (starts, _) in plans.items()
    ]


def _pieces(texts: Iterable[str], folder: Path) -> Iterator[Path]:
    """Write the texts in files of a column, in order, and yield each file once it is whole."""
    held: list[str] = []
    size, number = 0, 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= PIECE_CHARACTERS:
            yield _piece(held, folder, number)
            held, size, number = [], 0, number + 1
    if held:
        yield _piece(held, folder, number)


def _piece(texts: Sequence[str], folder: Path, number: int) -> Path:
    path = folder / f"{number:06d}.parquet"
    pq.write_table(pa.table({"text": pa.array(texts, pa.large_string())}), path)
    return path


def _encoded(pieces: Sequence[Path], task: Task, address: str) -> Iterator[Ids]:
    """Have the cluster begin to encode the pieces, and return the ids of each of their texts."""
    found = _mapped(task, [{"piece": str(path)} for path in pieces], address)
    first = next(found)  # without which nothing would begin

    def ids() -> Iterator[Ids]:
        for part in chain([first], found):
            lists = part["ids"].combine_chunks()
            yield from np.split(lists.flatten().to_numpy(), np.cumsum(lists.value_lengths())[:-1])
        for path in pieces:
            path.unlink()

    return ids()


def _encode(tokenizer: Path, row: Row) -> pa.Table:
    """Return the ids of a piece's texts: what a task does."""
    texts = pq.read_table(row["piece"])["text"].to_pylist()
    found = _loaded(tokenizer).encode_batch(texts)
    ends = np.cumsum([0, *map(len, found)])
    return pa.table({"ids": pa.LargeListArray.from_arrays(ends, np.concatenate(found))})


@lru_cache(maxsize=1)
def _loaded(tokenizer: Path) -> Tokenizer:
    """Return a saved tokenizer, read once in a process; another run has other processes."""
    return Tokenizer.load(tokenizer)


def _shard(tokens: Path, folder: Path, how: Mapping[str, Any], row: Row) -> pa.Table:
    """Write one shard and return what it is: what a task does."""
    documents = table.ids(tokens, row["split"], row["part"])
    shard = shards.write_shard(documents, folder, row["split"], row["n"], skip=row["skip"], **how)
    said = {"split": row["split"], "machine": socket.gethostname()}
    return pa.Table.from_pylist([{**said, "name": shard.name, "ids": shard.ids, "sha256": shard.sha256}])


def _mapped(task: Task, rows: Sequence[Row], address: str) -> Iterator[pa.Table]:
    """Yield what the cluster's tasks make of each row, in order."""
    import ray
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what goes wrong is said here, in a line
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.raise_original_map_exception = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    made = ray.data.from_items([dict(row) for row in rows], override_num_blocks=len(rows)).map_batches(
        task, batch_size=None, batch_format="pyarrow"
    )
    try:
        yield from made.iter_batches(batch_size=None, batch_format="pyarrow")
    except (ray.exceptions.RayError, ray.data.exceptions.ExecutionTimeoutError) as error:
        raise _reason(error, address) from None


def _reason(error: Exception, address: str) -> Exception:
    """Return what says in a line why the cluster did not do a task: what the task raised, or that it was lost."""
    import ray

    if not isinstance(error, ray.exceptions.RayTaskError):
        return ChildProcessError(f"the Ray cluster at {address} has lost a task: {line(error)}; start again")
    for kind in (ValueError, OSError):
        if isinstance(error.cause, kind):
            return kind(line(error.cause))
    return RuntimeError(f"a task of the Ray cluster at {address} failed: {error.cause!r}")


def _task(call: Callable[[Row], pa.Table], folder: Path) -> Task:
    """Return what a task does with the one row that it gets: call a function, in a folder that all machines share."""
    unpack = ray_cluster.packed(call, folder)

    def task(rows: pa.Table) -> pa.Table:
        import socket

        call = unpack()
        try:
            (row,) = rows.to_pylist()
            return call(row)
        except OSError as error:
            raise OSError(f"{socket.gethostname()}, a machine of the Ray cluster: {error}") from None

    return task
