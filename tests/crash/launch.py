"""`cutover` as it is, but for two things that a rehearsal of seconds cannot wait for.

    launch.py run … | gateway …

A snapshot falls due after a few entries. And `CUTOVER_COUNT_POINTS=FILE` has the process write how
often it passed each crash point, to choose passings from.
"""

import atexit
import json
import os
import sys
from collections import Counter
from pathlib import Path

from cutover import crashpoint
from cutover.cli.main import main
from cutover.conductor import engine

SNAPSHOT_EVERY = 150


def count(file):
    passed = Counter()
    crashpoint.arm(lambda name: passed.update([name]))
    atexit.register(lambda: Path(file).write_text(json.dumps(passed)))


if __name__ == "__main__":
    engine.SNAPSHOT_EVERY = SNAPSHOT_EVERY
    if asked := os.environ.pop("CUTOVER_COUNT_POINTS", ""):
        count(asked)
    sys.exit(main())
