"""Files kept by their checksum in a folder that builds share: fetched once, by whoever comes first."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from components.corpus.streaming import StoppedError


@contextmanager
def entry(
    cache: Path, sha256: str, stop: threading.Event, told: Callable[[str], object] = lambda _: None
) -> Iterator[Path]:
    """Yield the path of the file with a checksum in a shared folder; nobody else is at it for the time of the block.

    A file that is there has the checksum: one that is damaged is removed, and `told` says so, as it does before we wait
    for somebody else. The lock is the system's own: it ends with its process, however that ends.

    Raises StoppedError once `stop` is set while we wait.
    """
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / sha256
    lock = FileLock(cache / f"{sha256}.lock", thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        told(f"{kept}: another build is fetching it; waiting")
        try:
            lock.acquire(cancel_check=stop.is_set)
        except Timeout:
            raise StoppedError from None
    try:
        if kept.is_file() and checksum(kept) != sha256:
            told(f"{kept}: damaged; it is removed and fetched again")
            kept.unlink()
        yield kept
    finally:
        lock.release()


def checksum(file: Path) -> str:
    """Return the sha256 of a file's bytes, hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
