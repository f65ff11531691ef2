"""Whether a node puts an offered table in force. Pure; the node does as it is told here.

Rules, in order:

1. The table is whole (`RoutingTable.checked`) and its planes are the configured ones.
2. Within a run an older term is refused: a conductor that was replaced must not act (design §7,
   8), and generations never go back, whatever the term. The same generation of the same term must
   be the same table and is then nothing new.
3. Terms and generations of two runs cannot be compared. Another run's table is refused while the
   table in force sends anything to the candidate: a stray conductor must not undo a rollout, nor
   repeat one. Once everything is on the fallback, the next run may begin.
4. A person may open that door (`accept_run`): the named run, and no other, may be replaced as it
   stands, because its conductor will never come back.
"""

from collections.abc import Collection
from dataclasses import dataclass

from cutover.errors import TableError
from cutover.routing.table import RoutingTable


@dataclass(frozen=True, slots=True)
class Adopt:
    """Put it in force. `fresh_run` tells that the counts of the run before are over."""

    fresh_run: bool


@dataclass(frozen=True, slots=True)
class Ignore:
    """It is in force already."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Keep the table in force; `reason` says why, and goes into the next report."""

    reason: str


Verdict = Adopt | Ignore | Refuse


def judge(
    in_force: RoutingTable | None, offered: RoutingTable, planes: Collection[str],
    accept_run: str = "",
) -> Verdict:  # fmt: skip
    """Judge an offered table.

    Args:
        in_force: the table to judge by; None if the node never had one.
        offered: the table to judge.
        planes: names of those that the node is configured for.
        accept_run: the run that may be replaced although it sends requests to the candidate.
    """
    try:
        offered.checked()
    except TableError as error:
        return Refuse(str(error))
    if {offered.fallback, offered.candidate} != set(planes):
        said = sorted({offered.fallback, offered.candidate})
        return Refuse(
            f"the table's planes are {said}, this node is configured for {sorted(planes)}"
        )
    if in_force is None:
        return Adopt(fresh_run=False)
    if offered.run == in_force.run:
        return _of_same_run(in_force, offered)
    if in_force.run == accept_run:
        return Adopt(fresh_run=True)
    return _of_another_run(in_force, offered)


def raises(before: RoutingTable | None, after: RoutingTable) -> bool:
    """Whether a table sends anything to the candidate that the one before it did not.

    One that lets payments go there without the conductor's word does, too, and so does one that
    opens a candidate to which no key had proved itself. A table that puts one key in the place of
    another does not: the sooner the old one is out of force, the better.
    """
    if before is None or (before.candidate, before.fallback) != (after.candidate, after.fallback):
        return True
    if after.active != before.active and after.active == after.candidate:
        return True
    if before.leased and not after.leased:
        return True
    if _frees(before.candidate_spki, after.candidate_spki):
        return True
    return any(
        route.candidate_bp > before.routes[intent].candidate_bp
        for intent, route in after.routes.items()
    )


def _frees(before: str | None, after: str | None) -> bool:
    """Whether a candidate that nothing was sent to gets something, or one with a key needs none."""
    return before != after and (before == "" or (before is not None and after is None))


def _of_another_run(in_force: RoutingTable, offered: RoutingTable) -> Verdict:
    exposed = sorted(i for i, route in in_force.routes.items() if route.candidate_bp)
    if exposed or in_force.active != in_force.fallback:
        return Refuse(
            f"run {offered.run!r} is not run {in_force.run!r} in force, which sends "
            f"{', '.join(exposed) or 'webhooks'} to {in_force.candidate}; roll back that run "
            f"first, or, if its conductor is gone for good, set gateway.accept_run to "
            f"{in_force.run!r} and restart this node"
        )
    return Adopt(fresh_run=True)


def _of_same_run(in_force: RoutingTable, offered: RoutingTable) -> Verdict:
    if offered.term < in_force.term:
        return Refuse(
            f"term {offered.term} is older than term {in_force.term} in force; "
            "its conductor was replaced"
        )
    if offered.generation < in_force.generation:
        return Refuse(
            f"generation {offered.generation} is older than {in_force.generation} in force"
        )
    if offered.generation > in_force.generation or offered.term > in_force.term:
        return Adopt(fresh_run=False)
    if offered == in_force:
        return Ignore()
    return Refuse(
        f"generation {offered.generation} of term {offered.term} differs from the one in force; "
        "a generation is never reused: the conductor's journal is not the one it was"
    )
