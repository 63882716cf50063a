"""What a damaged file makes its readers raise, whatever packs it."""

import errno
import lzma
import struct
import zipfile
import zlib

UNREADABLE = (
    *(ValueError, NotImplementedError, EOFError, OSError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)
"""ValueError: also a name that is not UTF-8. Of OSErrors, those that are not the system's."""


def is_systems(error: Exception) -> bool:
    """Tell whether an error is the system's, such as a full disk, and not the file's: a damaged bz2's has no number.

    EINVAL is the file's: a zip archive that lost its beginning leads before byte 0.
    """
    return isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
