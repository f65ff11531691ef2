"""Records the traces of a few seeds, for `test_digests.py` to compare with on other machines.

.venv/bin/python tests/simulator/record.py
"""

import json
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cutover.simulator.swarm import Job, play_seed
from simulator.paths import DIGESTS, SWIFT

SEEDS = (0, 7, 22, 49, 80, 104)
"""With one node and with two, and between them most kinds of faults."""


def digests() -> Iterator[tuple[str, dict[str, object]]]:
    """What each seed gives on this machine."""
    job = Job(SWIFT.read_text("utf-8"), "swift.toml")
    for seed in SEEDS:
        verdict, kinds = play_seed(job, seed)
        yield (
            str(seed),
            {
                "digest": verdict.digest,
                "phase": verdict.phase,
                "entries": verdict.entries,
                "requests": verdict.requests,
                "faults": list(kinds),
            },
        )


def main() -> None:
    """Rewrite the file."""
    recorded = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.system()} {platform.machine()}",
        "seeds": dict(digests()),
    }
    DIGESTS.write_text(json.dumps(recorded, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
