"""Logs of one JSON object a line, which stay small: a full file becomes its own predecessor."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_runtime.log import logger

FILE_BYTES_MAX = 16 * 1024 * 1024
TAIL_BYTES = 1024 * 1024
_APPENDING = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class LineLog:
    """One such log: the file, and its predecessor of the same name with `.1`.

    Args:
        file: where; its directory is made when the first line is written. Above `FILE_BYTES_MAX`
            it becomes the predecessor, whose own lines are gone then.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._older = file.with_name(file.name + ".1")
        self._torn = False

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one line.

        Raises:
            OSError: it was not written, or not whole.
        """
        text = json.dumps(line, separators=(",", ":"), ensure_ascii=False)
        begin = "\n" if self._torn else ""  # half a line must not spoil the next one
        log = self._open()
        try:
            data = f"{begin}{text}\n".encode()
            written = os.write(log, data)  # in one piece: a reader never meets half a line
            self._torn = written < len(data)
            full = os.lseek(log, 0, os.SEEK_CUR) > FILE_BYTES_MAX
        finally:
            os.close(log)
        if full:
            self.file.replace(self._older)
        if self._torn:
            raise OSError(f"only {written} of {len(data)} bytes were written; is the disk full?")

    def newest(self, of_each: int = TAIL_BYTES) -> list[dict[str, Any]]:
        """The lines at the end of both files, oldest first; what is no JSON object is left out.

        Args:
            of_each: how many bytes of each file are read.
        """
        return [*_tail(self._older, of_each), *_tail(self.file, of_each)]

    def _open(self) -> int:
        try:
            return os.open(self.file, _APPENDING, 0o600)
        except FileNotFoundError:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.file, _APPENDING, 0o600)


def _tail(path: Path, most: int) -> list[dict[str, Any]]:
    """The newest whole lines of a file; none if there is no file."""
    try:
        with path.open("rb") as log:
            log.seek(0, 2)
            begin = max(0, log.tell() - most)
            log.seek(begin)
            lines = log.read().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        logger().warning("log_not_read", file=path.name, error=type(error).__name__)
        return []
    found = []
    for line in lines[1:] if begin else lines:
        try:
            found.append(json.loads(line))
        except ValueError:  # half a line, from a process that was killed while it wrote
            logger().warning("log_line", file=path.name, fault="no JSON")
    return [line for line in found if isinstance(line, dict)]
