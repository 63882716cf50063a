"""Fetch every source of the build: corpus, task files, a vocabulary, published weights; each checked."""

import json
import logging
import platform
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from components.corpus.fetch import Fetched, fetch
from components.corpus.source import Source
from components.corpus.streaming import network
from pipeline import checks, machine, paths, tracking
from pipeline.orchestration import io, stage

log = logging.getLogger(__name__)

FOLDERS = {
    "corpus": paths.RAW_CORPUS,
    "tasks": paths.RAW_TASKS,
    "tokenizer": paths.RAW_TOKENIZER,
    "weights": paths.RAW_WEIGHTS,
}


@dataclass(frozen=True)
class DownloadSettings:
    """What the build reads from outside."""

    sources: tuple[Source, ...]
    """Each file with its role, addresses, hash and licence."""

    def __post_init__(self) -> None:
        """Refuse two sources for one file, and a build without a corpus."""
        files = [(source.role, source.file) for source in self.sources]
        for file in files:
            if files.count(file) > 1:
                raise ValueError(f"sources name the file {file[1]} of role {file[0]} twice; expected each once")
        if not any(source.role == "corpus" for source in self.sources):
            raise ValueError("sources hold no corpus; expected at least one source with role: corpus")


@stage
def download(download: DownloadSettings) -> None:
    """Fetch every source, check the files and put them in their folders, one per role."""
    work = paths.WORK / "download"  # not by params: what has come of a file serves any settings that name it
    inventory = [take(source, work) for source in download.sources]
    check(inventory)
    publish(inventory, work)
    tracking.record(
        "download", {"files": len(inventory), "size_bytes": sum(int(row["size_bytes"]) for row in inventory)}
    )


@io
def take(source: Source, work: Path) -> dict[str, str | int]:
    """Fetch one source into the work folder and return its row of the inventory."""
    target = work / source.role / source.file
    target.parent.mkdir(parents=True, exist_ok=True)
    with network() as ours:
        fetched: Fetched = fetch(source, target, network=ours, mirror=machine.mirror(), partial=work / "partial")
    log.info("%s: %d bytes from %s", source.name, fetched.size_bytes, fetched.address)
    row: dict[str, str | int] = {
        "file": f"{source.role}/{source.file}",
        "name": source.name,
        "sha256": fetched.sha256,
        "size_bytes": fetched.size_bytes,
        "licence": source.licence,
    }
    if fetched.address.startswith("pydocs:"):
        row["python"] = platform.python_version()
    return row


@io
def check(inventory: list[dict[str, str | int]]) -> None:
    """Check the inventory."""
    checks.check("raw", pd.DataFrame(inventory), checks.raw())


@io
def publish(inventory: list[dict[str, str | int]], work: Path) -> None:
    """Move the files into their roles' folders and write the inventory; a role without a source has a bare folder.

    What an earlier run with other sources has left in the work folder stays out.
    """
    for role, target in FOLDERS.items():
        with paths.whole(target) as folder:
            folder.mkdir()
            (folder / ".keep").touch()  # DVC warns of a folder with nothing in it
            for row in inventory:
                if str(row["file"]).startswith(f"{role}/"):
                    place = folder / str(row["file"]).removeprefix(f"{role}/")
                    place.parent.mkdir(parents=True, exist_ok=True)
                    (work / str(row["file"])).rename(place)
    with paths.whole(paths.SOURCES) as temporary:
        temporary.write_text(json.dumps(inventory, indent=1) + "\n", encoding="utf-8")
    paths.remove(work)
