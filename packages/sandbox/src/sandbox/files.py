"""Files that another process reads while we write them."""

import json
import os
import tempfile
from pathlib import Path


def write_json_atomically(path: Path, value: object, *, mode: int = 0o600) -> None:
    """Replace `path` by the JSON of `value`: a reader sees the old file or the new, never a part.

    Raises:
        OSError: the folder cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1)
            file.write("\n")
            file.flush()
            os.fchmod(file.fileno(), mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
