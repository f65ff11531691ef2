"""What a plane's records say that it runs, gathered for one look.

A declared image and a compose file are read once, at the start. The engine's record is of a
moment, so it is read anew at every look: an operator renews the file, and the next look finds it.
"""

import asyncio
from dataclasses import dataclass

from cutover.attestation.strict import MalformedError
from cutover.conductor.config import PlaneAccess
from cutover.conductor.preconditions.finding import Finding, fails, unknown
from cutover.conductor.preconditions.record import Limits, judge_record, read_record
from cutover.evidence.planes import Answer


@dataclass(frozen=True, slots=True)
class Deployment:
    """What was found.

    Attributes:
        image: reference by the record; empty where none is declared or it cannot be believed.
        findings: about the record itself; empty for a declared image.
    """

    image: str
    findings: tuple[Finding, ...] = ()


async def deployment(
    plane: str, access: PlaneAccess, health: Answer, wall_ms: int, limits: Limits
) -> Deployment:
    """Read what the records of a plane say now.

    Args:
        plane: its name.
        access: where the records are.
        health: its `/health`, which must be that of the container that was recorded.
        wall_ms: the wall clock, milliseconds.
        limits: what a record is judged by.
    """
    if access.inspected is None:
        changed = [
            fails(f"{plane}: {access.record} has {one}, so the digest does not say what runs")
            for one in access.changes
        ]
        return Deployment(access.image, tuple(changed))
    try:
        record = read_record(await asyncio.to_thread(access.inspected))
    except (OSError, MalformedError) as error:
        return Deployment("", (unknown(f"{plane}: {access.record} cannot be used: {error}"),))
    image, findings = judge_record(plane, record, access.record, health, wall_ms, limits)
    return Deployment(image, tuple(findings))
