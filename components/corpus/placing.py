"""Files put in their places, whole: by rename, or by a copy that shares its blocks where the file system can."""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from components.corpus.streaming import refuse_without_space

_AT_ONCE_BYTES = 2**30
"""What the system is asked to copy by one call; as much as any takes."""


def move(file: Path, destination: Path) -> None:
    """Put a file in its place by rename, through a copy beside it where the place is on another disk."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        file.replace(destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy(file, destination)


def copy(file: Path, destination: Path) -> None:
    """Put a copy of a file in a place, where it appears whole or not at all.

    Raises DiskFullError where there is no room for it.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    refuse_without_space(destination.parent, file.stat().st_size)
    temporary = destination.with_name(destination.name + ".tmp")
    try:
        with file.open("rb") as source, temporary.open("wb") as out:
            with suppress(OSError, AttributeError):  # what the system cannot do so is done below, or fails there
                while os.copy_file_range(source.fileno(), out.fileno(), _AT_ONCE_BYTES):
                    pass
            shutil.copyfileobj(source, out)
        temporary.replace(destination)
    finally:
        temporary.unlink(missing_ok=True)
