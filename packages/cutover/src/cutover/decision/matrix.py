"""Both planes' health against risk: what may be asked of whom.

    fallback   candidate   low and state            money
    well       well        by the table             by the table
    well       tripped     all to the fallback      all to the fallback
    sick       well        by the table, no rise    refused where the fallback would answer
    sick       sick        by the table, no rise    refused everywhere

A rollback is not carried out into a sick fallback, unless the candidate is not what it should be
(attestation): unavailable is better than untrusted. Sickness is latched and released only after
an equally long well streak, so nothing flips back and forth.
"""

from cutover.decision.run import Phase, Run
from cutover.runbook.document import Runbook


def sick_planes(runbook: Runbook, run: Run) -> tuple[str, ...]:
    """Planes that were not ready for too long and are not yet well again, fallback first."""
    return tuple(plane for plane in runbook.planes if run.plane(plane).sick)


def money_closed_on(runbook: Runbook, run: Run) -> tuple[str, ...]:
    """Planes on which money must be refused now.

    A sick candidate alone is left to the rollback; with a sick fallback there is no way back, so
    money is refused on both.
    """
    if run.phase is Phase.ABORTING:
        return ()
    sick = sick_planes(runbook, run)
    return sick if runbook.fallback in sick else ()
