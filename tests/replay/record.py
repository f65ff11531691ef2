"""Records the journals that later versions must replay; see README.md for the rule.

    python tests/replay/record.py            record what this version has not recorded yet

An existing file is never written again.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cutover import __version__
from cutover.runbook.load import load_text
from decision.scenario import runbook_text
from replay.recording import Recording
from replay.stories import STORIES

JOURNALS = Path(__file__).parent / "journals"
SEED = 20_260_101


def record(name: str, output: Path) -> None:
    """Play one story and seal its journal; the same bytes every time."""
    base, changes, story = STORIES[name]
    with tempfile.TemporaryDirectory() as folder:
        runbook = load_text(runbook_text(base, repr(changes)), base)
        world = Recording(runbook, Path(folder) / "journal.db", SEED)
        story(world)
        world.seal(output)


def main() -> None:
    JOURNALS.mkdir(exist_ok=True)
    for name in STORIES:
        output = JOURNALS / f"{name}-{__version__}.zip"
        if output.exists():
            sys.stdout.write(f"{output.name}: kept\n")
            continue
        record(name, output)
        sys.stdout.write(f"{output.name}: recorded, {output.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
