"""Sealing a run: write the archive of a journal, and verify what was written.

Run as a program it takes an `Order` on standard input and answers on standard output, so that a
conductor can have millions of entries folded beside itself; secrets never stand in an argument.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Final

import msgspec

from cutover.attestation.kept_folder import KeptFolder
from cutover.attestation.recheck import Recheck
from cutover.errors import CutoverError
from cutover.journal import archive
from cutover.journal.kept import Evidence
from cutover.journal.redecide import redecide

FOUND_SHOWN_MAX: Final = 3
NICENESS: Final = 10
"""The conductor and its gateway come first."""


class Order(msgspec.Struct, frozen=True):
    """What is to be sealed.

    Attributes:
        journal: path of a journal.db.
        target: the file to write.
        versions: of what makes the archive.
        secrets: name to value; none of them may be in it.
        evidence: path of the folder of kept evidence; need not exist.
    """

    journal: str
    target: str
    versions: dict[str, str]
    secrets: dict[str, str]
    evidence: str

    def __repr__(self) -> str:
        return f"Order({self.journal!r}, {self.target!r})"


class Answer(msgspec.Struct, frozen=True):
    """How it ended: the journal's head, or why there is no archive."""

    head: str = ""
    error: str = ""


def seal(order: Order) -> str:
    """Write and verify; returns the journal's head.

    Raises:
        CutoverError: it could not be made, or does not verify.
    """
    target = Path(order.target)
    made = archive.create(
        Path(order.journal), target,
        versions=order.versions, replay=redecide, secrets=order.secrets,
        evidence=Evidence(KeptFolder(Path(order.evidence)), Recheck()),
    )  # fmt: skip
    if found := archive.verify(target, redecide=redecide, recheck=Recheck()):
        first = "; ".join(map(str, found[:FOUND_SHOWN_MAX]))
        raise CutoverError(f"{target} does not verify: {first}")
    return made.head


def main() -> None:
    """Be the program."""
    os.nice(NICENESS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # tidy up on the way
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    try:
        answer = Answer(head=seal(order))
    except (CutoverError, OSError) as error:
        answer = Answer(error=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
