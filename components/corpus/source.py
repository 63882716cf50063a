"""What a build starts from: each source with its role, addresses, checksum and licence."""

import glob
import itertools
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from components.corpus.pydocs import ADDRESSES as PYDOCS

LINKED = "x-linked-etag"
"""Instead of a checksum: what the model hub announces for an address counts, the sha256 in the header of this name."""


class FetchError(ValueError):
    """A source that could not be had: its name, what each address did, what was expected, the next step; one line."""


class WrongFileError(ValueError):
    """A file that came whole and is not the expected one."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that the build starts from, or several that one address names; role and addresses are enough."""

    role: Literal["corpus", "tasks", "tokenizer", "weights"]
    """What it is for."""
    addresses: tuple[str, ...]
    """Where to ask, in this order: an http(s) address, a path (of a file, of a folder with all that is in it, or with
    *, ? and ** for what matches), `pydocs:documents` or `pydocs:entries`."""
    name: str = ""
    """What messages and the report call it; empty: its first address."""
    file: str = ""
    """Where it goes below its role's folder, parted by slashes: `gpt2-124M/model.safetensors`; several files go below
    it. Empty: the last part of the first address."""
    sha256: str | None = None
    """Expected checksum of the file (with `member`: of the member), 64 hexadecimal digits; `x-linked-etag`: the one
    that the address itself announces, as the model hub does; None only where every address is a path or pydocs."""
    licence: str | None = None
    """Under which terms it is published, in a word or two; None: not stated."""
    member: str | None = None
    """The file to take out of the zip archive that the addresses hold; None: the addresses hold the file itself."""
    most_unpacked_bytes: int = 2_000_000_000
    """Bytes that the member may unpack to."""
    manifest: bool = False
    """Whether the addresses hold a list of files as sha256sum writes it, a checksum and a path a line: these are
    wanted, each from its path beside the list."""

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError(f"addresses of {self.name or 'a source'} are empty; expected at least one")
        # A frozen dataclass has no other way to work out a default from its other fields.
        object.__setattr__(self, "name", self.name or shown(self.addresses[0]))
        object.__setattr__(self, "file", self.file or _last_part(self))
        place = PurePosixPath(self.file)
        if not place.name or place.is_absolute() or ".." in place.parts or "\\" in self.file:
            raise ValueError(f"file of {self.name} is {self.file!r}; expected a relative path without ..")
        for address in self.addresses:
            if "://" in address and not is_http(address):
                raise ValueError(f"addresses of {self.name} have {address!r}; expected http(s) or a path")
            if address.startswith("pydocs:") and address not in PYDOCS:
                raise ValueError(f"addresses of {self.name} have {address!r}; expected {' or '.join(PYDOCS)}")
        if self.sha256 not in (None, LINKED) and not re.fullmatch("[0-9a-f]{64}", self.sha256 or ""):
            raise ValueError(
                f"sha256 of {self.name} is {self.sha256!r}; expected 64 lower-case hexadecimal digits, or {LINKED}"
            )
        if self.sha256 == LINKED and self.member is not None:
            raise ValueError(f"sha256 of {self.name} is {LINKED}, which is the archive's; expected the member's own")
        if self.sha256 is None and any(is_http(address) for address in self.addresses):
            raise ValueError(f"sha256 of {self.name} is null; a file that comes over the network needs one")
        if self.manifest and self.member is not None:
            raise ValueError(f"member of {self.name} is {self.member!r}; expected null, for a manifest lists files")
        if self.most_unpacked_bytes < 1:
            raise ValueError(f"most_unpacked_bytes of {self.name} is {self.most_unpacked_bytes}; expected at least 1")


def is_http(address: str) -> bool:
    """Tell whether an address is asked over the network."""
    return address.startswith(("http://", "https://"))


def shown(address: str) -> str:
    """Return an address without user and password; a password may hold an @ itself.

    >>> shown("https://me:p@ss@example.org/x@y")
    'https://example.org/x@y'
    """
    return re.sub(r"(?<=://)[^/]*@", "", address)


def local(address: str) -> Path:
    """Return the path that an address is; `~` is the user's folder, `~ann` that of the user ann.

    Raises ValueError where that is not known.
    """
    try:
        return Path(address).expanduser()
    except RuntimeError:
        raise ValueError(
            f"addresses have {address!r}, in a user's folder that is not known here; expected ~/ or the whole path"
        ) from None


def fixed_part(path: Path) -> Path:
    """Return a path up to its first part with *, ? or [.

    >>> fixed_part(Path("/texts/new/*/page-?.txt")).as_posix()
    '/texts/new'
    """
    parts = list(itertools.takewhile(lambda part: not glob.has_magic(part), path.parts))
    return Path(*parts)


def _last_part(source: Source) -> str:
    """Return what the first address says that the file is called, and several files' folder."""
    address = source.addresses[0]
    if address.startswith("pydocs:"):
        return "pydocs.jsonl"
    if source.member is not None:
        return PurePosixPath(source.member).name
    if not is_http(address):
        path = local(address).absolute()
        path = path if _is_there(path) else fixed_part(path)  # "[1].txt" may be a name
        return (path.parent if source.manifest else path).name
    there = PurePosixPath(unquote(urlsplit(address).path))
    return (there.parent if source.manifest else there).name


def _is_there(path: Path) -> bool:
    """Tell whether a path is there, as far as it may be looked at: a machine that has the outputs need not."""
    try:
        return path.exists()
    except OSError:
        return False
