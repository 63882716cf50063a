"""A stage's work in progress: one folder for each set of facts that its bytes depend on, and one process at it."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline import dag, machine, paths, settings

log = logging.getLogger(__name__)

FACTS = "facts.json"
NAMED = 4  # changes that a line names


@contextmanager
def work(stage: str) -> Iterator[Path]:
    """Yield the folder of a stage's work in progress, `.work/<key>`; it goes when the block ends well, else it stays.

    The key stands for params, data, code, machine and versions: the same work finds the same folder, no other does. The
    log says whether work goes on, and where unfinished work of the same stage lies that cannot, because of what.

    Raises ValueError where another living process is at the same work.
    """
    described = next(each for each in dag.stages() if each.name == stage)
    facts = dag.facts(described, settings.read())
    folder = machine.root() / paths.WORK / dag.key(facts)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")  # the system's own: it ends with the process, however that ends
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise ValueError(f"{stage}: another process is at this very work ({folder}); wait for it, or stop it") from None
    try:
        _tell(stage, folder, facts)
        with paths.whole(folder / FACTS) as temporary:
            temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        yield folder
        paths.remove(folder)
    finally:
        lock.release()


def _tell(stage: str, folder: Path, facts: Mapping[str, Any]) -> None:
    if (folder / FACTS).exists():
        log.info("work in progress found: %s", folder)
        return
    log.info("work in progress: %s", folder)
    for other in sorted(folder.parent.glob(f"*/{FACTS}")):
        before = json.loads(other.read_text(encoding="utf-8"))
        if before["stage"] == stage:
            changes = _changes(settings.flatten(before), settings.flatten(facts))
            more = f" and {len(changes) - NAMED} more" if len(changes) > NAMED else ""
            log.info("begun anew, not from %s: %s%s", other.parent, "; ".join(changes[:NAMED]), more)


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs; hashes are too long to be shown."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return [
        f"{name} has changed"
        if name.startswith(("deps.", "first_weights."))
        else f"{name} is {now.get(name)}, was {before.get(name)}"
        for name in names
    ]
