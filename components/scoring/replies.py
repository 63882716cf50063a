"""What a judging model was asked and what it replied, kept on disk, so that nothing is asked twice."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from components.scoring.chat import Message, Request, is_message


class Replies:
    """Replies by the request that they answer.

    `kept` is the file that an earlier scoring has written; it need not be there. `journal` is this machine's own: what
    `kept` alone knows enters it at once, for `write` may replace that file, and each reply is on the disk before `add`
    returns, so that a scoring killed at any moment goes on where it was. A line that was half written, or whose key is
    not that of its request, is left out, and what it answered is asked again.

    One line is one JSON object: `key` (the request's sha256), `request`, `message`.
    """

    def __init__(self, journal: Path, kept: Path | None = None) -> None:
        self._journal = journal
        self._used: set[str] = set()
        self._known, is_whole = _read(journal)
        others = _read(kept)[0] if kept is not None else {}
        new = {key: entry for key, entry in others.items() if key not in self._known}
        self._known |= new
        if new or not is_whole:  # the next line would be glued to half a one
            _write(self._known, journal)

    def find(self, request: Request) -> Message | None:
        """Return the reply to a request, None where there is none yet."""
        found = self._known.get(key := key_of(request))
        if found is None:
            return None
        self._used.add(key)
        message: Message = found["message"]
        return message

    def add(self, request: Request, message: Message) -> None:
        """Keep the reply to a request."""
        key = key_of(request)
        self._known[key] = {"key": key, "request": request, "message": message}
        self._used.add(key)
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        with self._journal.open("a", encoding="ascii") as file:
            file.write(json.dumps(self._known[key]) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def write(self, path: Path) -> int:
        """Write the replies found or added since this began, by key, whole or not at all; return how many.

        The same questions and replies give the same bytes, whatever else was asked before.
        """
        _write({key: self._known[key] for key in sorted(self._used)}, path)
        return len(self._used)


def key_of(request: Request) -> str:
    """Return the name of a request: the sha256 of all of it, fields in order."""
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode("ascii")).hexdigest()


def _read(path: Path) -> tuple[dict[str, dict[str, Any]], bool]:
    """Return the entries of a file by their keys, and whether every line of it is one; no file is an empty one."""
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    found = [entry for line in lines[:-1] if (entry := _entry(line)) is not None]
    return {entry["key"]: entry for entry in found}, lines[-1] == b"" and len(found) == len(lines) - 1


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        is_sound = entry["key"] == key_of(entry["request"]) and is_message(entry["message"])
    except (ValueError, LookupError, TypeError):
        return None
    return entry if is_sound else None


def _write(entries: dict[str, dict[str, Any]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".partial")
    try:
        with unfinished.open("w", encoding="ascii") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries.values())
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
