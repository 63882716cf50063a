"""Fetch every source of the build: corpus, task files, a vocabulary, published weights; each checked."""

import itertools
import json
import logging
import platform
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pandas as pd

from components.corpus.fetch import Fetched
from components.corpus.listing import listed, manifested
from components.corpus.parallel import fetch_all
from components.corpus.source import Source
from pipeline import checks, machine, paths, tracking
from pipeline.heartbeat import progress
from pipeline.orchestration import io, stage

log = logging.getLogger(__name__)

NAMED = 5  # files that are skipped, each in a line

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
    """Each file, or folder of files, with its role, addresses, hash and licence."""

    def __post_init__(self) -> None:
        """Refuse two sources for one file, one inside the other's folder, and a build without a corpus."""
        places = [PurePosixPath(source.role, source.file) for source in self.sources]
        for number, place in enumerate(places):
            if place in places[:number]:
                file = place.relative_to(place.parts[0])
                raise ValueError(f"sources name the file {file} of role {place.parts[0]} twice; give one another file")
            if outer := next((each for each in places if each in place.parents), None):
                raise ValueError(f"sources name {place}, which is below {outer}; give one another file")
        if not any(source.role == "corpus" for source in self.sources):
            raise ValueError("sources hold no corpus; expected at least one source with role: corpus")


@stage
def download(download: DownloadSettings) -> None:
    """Fetch every source, check the files and put them in their folders, one per role."""
    work = paths.WORK / "download"  # not by params: what has come of a file serves any settings that name it
    inventory = take(expand(download.sources, work), work)
    check(inventory)
    publish(inventory, work)
    tracking.record(
        "download", {"files": len(inventory), "size_bytes": sum(int(row["size_bytes"]) for row in inventory)}
    )


@io
def expand(sources: tuple[Source, ...], work: Path) -> list[Source]:
    """Return a source for each file: those of folders, of patterns and of manifests, which are fetched for that."""
    files: list[Source] = []
    for source in sources:
        if source.manifest:
            listing = manifested(source, bring([replace(source, manifest=False)], work / "manifests", work)[0][0])
        else:
            listing = listed(source)
        for each in listing.skipped[:NAMED]:
            log.warning("%s: skipped %s", source.name, each)
        if len(listing.skipped) > NAMED:
            log.warning("%s: skipped %d more", source.name, len(listing.skipped) - NAMED)
        files += listing.files
    return files


@io
def take(files: list[Source], work: Path) -> list[dict[str, str | int]]:
    """Fetch every file into the work folder and return the inventory, a row for each."""
    came = [fetched for _, fetched in bring(files, work, work)]
    for name, group in itertools.groupby(zip(files, came, strict=True), key=lambda each: each[0].name):
        its = [fetched for _, fetched in group]
        what = f"from {its[0].address}" if len(its) == 1 else f"in {len(its)} files"
        log.info("%s: %d bytes %s", name, sum(each.size_bytes for each in its), what)
    return [row(source, fetched) for source, fetched in zip(files, came, strict=True)]


def row(source: Source, fetched: Fetched) -> dict[str, str | int]:
    """Return a file's row of the inventory."""
    known: dict[str, str | int] = {
        "file": f"{source.role}/{source.file}",
        "name": source.name,
        "sha256": fetched.sha256,
        "size_bytes": fetched.size_bytes,
        "licence": source.licence or "not stated",
    }
    return known | ({"python": platform.python_version()} if fetched.address.startswith("pydocs:") else {})


def bring(files: list[Source], folder: Path, work: Path) -> list[tuple[Path, Fetched]]:
    """Fetch files below a folder, by their roles, some at a time; return where each is and what came."""
    targets = [folder / source.role / source.file for source in files]
    with progress("download", None) as on_bytes:
        fetched = fetch_all(
            list(zip(files, targets, strict=True)),
            threads=machine.downloads(),
            partial=work / "partial",
            mirror=machine.mirror(),
            cache=machine.cache(),
            told=log.info,
            on_bytes=on_bytes,
        )
    return list(zip(targets, fetched, strict=True))


@io
def check(inventory: list[dict[str, str | int]]) -> None:
    """Check the inventory; an empty file of the corpus ends no build: the stage `tokenize` sets it aside."""
    files = pd.DataFrame(inventory)
    is_set_aside = files["file"].str.startswith("corpus/") & (files["size_bytes"] == 0)
    checks.check("raw", files.assign(size_bytes=files["size_bytes"].mask(is_set_aside)), checks.raw())


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
