"""What a build starts from: each source with its role, addresses, checksum and licence."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from components.corpus.pydocs import ADDRESSES as PYDOCS

LINKED = "x-linked-etag"
"""Instead of a checksum: what the model hub announces for an address counts, the sha256 in the header of this name."""


class FetchError(ValueError):
    """A source that could not be had: its name, what each address did, what was expected, the next step; one line."""


class WrongFileError(ValueError):
    """A file that came whole and is not the expected one."""


@dataclass(frozen=True)
class Source:
    """A file that the build starts from."""

    name: str
    """What messages call it."""
    file: str
    """Where it goes below its role's folder, parted by slashes: `gpt2-124M/model.safetensors`."""
    role: Literal["corpus", "tasks", "tokenizer", "weights"]
    """What it is for."""
    addresses: tuple[str, ...]
    """Where to ask, in this order: an http(s) address, the path of a file, `pydocs:documents` or `pydocs:entries`."""
    sha256: str | None
    """Expected checksum of the file (with `member`: of the member), 64 hexadecimal digits; `x-linked-etag`: the one
    that the address itself announces, as the model hub does; None only where every address is a path or pydocs."""
    licence: str
    """Under which terms it is published, in a word or two."""
    member: str | None
    """The file to take out of the zip archive that the addresses hold; None: the addresses hold the file itself."""

    def __post_init__(self) -> None:
        place = PurePosixPath(self.file)
        if not place.name or place.is_absolute() or ".." in place.parts or "\\" in self.file:
            raise ValueError(f"file of {self.name} is {self.file!r}; expected a relative path without ..")
        if not self.addresses:
            raise ValueError(f"addresses of {self.name} are empty; expected at least one")
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


def is_http(address: str) -> bool:
    """Tell whether an address is asked over the network."""
    return address.startswith(("http://", "https://"))


def shown(address: str) -> str:
    """Return an address without user and password; a password may hold an @ itself.

    >>> shown("https://me:p@ss@example.org/x@y")
    'https://example.org/x@y'
    """
    return re.sub(r"(?<=://)[^/]*@", "", address)
