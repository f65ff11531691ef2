"""Where what simulations are tried with lies."""

from pathlib import Path

from cutover.runbook.load import load_text

ROOT = Path(__file__).parents[2]
SWIFT = ROOT / "runbooks/swift.toml"
SCHEDULES = Path(__file__).parent / "schedules"
DIGESTS = Path(__file__).parent / "digests.json"


def swift():
    """The runbook that simulations of half a minute execute."""
    return load_text(SWIFT.read_text("utf-8"), "swift.toml")
