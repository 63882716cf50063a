"""One member taken out of a zip archive."""

import shutil
import zipfile
from pathlib import Path

from components.corpus.answers import first_line
from components.corpus.damage import UNREADABLE, is_systems
from components.corpus.source import WrongFileError
from components.corpus.streaming import DiskFullError, refuse_without_space


def unpack(archive: Path, member: str, file: Path, most_bytes: int) -> None:
    """Write one member of a zip archive to a file; its name in the archive decides no path.

    Raises WrongFileError for what is no archive that can be read, has no such member, or one of more than `most_bytes`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            if member not in opened.namelist():
                names = ", ".join(opened.namelist()[:5]) or "nothing"
                raise WrongFileError(f"the archive has no member {member}; it has {names}")
            size = opened.getinfo(member).file_size  # zipfile reads no more of it than it announces
            if size > most_bytes:
                raise WrongFileError(f"{member} unpacks to {size:,} bytes; most_unpacked_bytes is {most_bytes:,}")
            refuse_without_space(file.parent, size)
            with opened.open(member) as content, file.open("wb") as out:
                shutil.copyfileobj(content, out)
    except (WrongFileError, DiskFullError):
        raise
    except (*UNREADABLE, RuntimeError) as error:  # RuntimeError: it wants a password
        if is_systems(error):
            raise
        raise WrongFileError(
            f"{archive.stat().st_size:,} bytes are no zip archive that can be read ({first_line(error)})"
        ) from error
