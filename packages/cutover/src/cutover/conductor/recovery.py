"""From a journal to the state it tells of: verify the chain, fold, go on. Every start is this."""

from collections.abc import Iterable

from cutover.conductor.stored import unstored
from cutover.decision.fact import Entry
from cutover.decision.fold import apply
from cutover.decision.run import Run
from cutover.errors import ConfigurationError, JournalError
from cutover.evidence.observation import Adopted
from cutover.journal.chain import Fault
from cutover.journal.reader import Reader
from cutover.runbook.document import Runbook


def adopted(reader: Reader) -> Adopted | None:
    """What the run adopted with its first entry; None for an empty journal.

    Raises:
        JournalError: the journal begins with something else.
    """
    first = next(iter(reader.entries()), None)
    if first is None:
        return None
    if not isinstance(first.fact, Adopted):
        raise JournalError(
            f"{reader.path} begins with {type(first.fact).__name__}, expected Adopted; "
            "it is no run's journal"
        )
    return first.fact


def recover(reader: Reader, runbook: Runbook) -> Run:
    """Fold a verified journal, from its newest bound snapshot on if this version stored one.

    Raises:
        JournalError: the chain is broken.
        ConfigurationError: the run adopted another runbook.
    """
    begun = adopted(reader)
    if begun is not None and begun.runbook != runbook.text:
        raise ConfigurationError(
            f"{reader.path} belongs to a run of another runbook (sha256 {begun.sha256[:16]}…); "
            "a run keeps what it adopted: use that text, or begin a new run with another data "
            "directory"
        )
    found = reader.load_snapshot()
    before = unstored(found[1]) if found else None
    upto = found[0] if found and before else 0
    if isinstance(fault := reader.verify_from(upto + 1), Fault):
        raise JournalError(f"{reader.path}: {fault}; `cutover verify-log` tells more")
    return fold(runbook, before or Run(id=reader.run_id), reader.entries(upto))


def fold(runbook: Runbook, run: Run, entries: Iterable[Entry]) -> Run:
    """The state after more entries."""
    for entry in entries:
        run = apply(runbook, run, entry)
    return run
