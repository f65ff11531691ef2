"""The routing table: whole, immutable, numbered, fenced by the conductor's term.

A node swaps one reference from table n to table n+1; there is no patch. Shares are two-sided and
monotone: a conversation's bucket is fixed, so raising a share never sends anybody back.
"""

import re
from typing import Final, Self

import msgspec

from cutover.errors import TableError
from cutover.runbook.intent import Intent
from cutover.runbook.stage import ALL_BP

REFUSAL_CHARS_MAX = 300
SALT_CHARS_MAX = 64

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Route(msgspec.Struct, frozen=True):
    """Who answers one intent.

    Attributes:
        candidate_bp: share of conversations that the candidate answers, basis points.
        refuse_on: planes on which the intent is refused with a clear answer (money fails closed).
        refusal: what the client is told then.
    """

    candidate_bp: int
    refuse_on: tuple[str, ...] = ()
    refusal: str = ""


class RoutingTable(msgspec.Struct, frozen=True):
    """One generation of the routing.

    Attributes:
        generation: rises by one with every table of a run; never reused.
        term: the conductor's incarnation that issued it; a node refuses an older one.
        run: identity of the run the numbers belong to.
        salt: prefix of the conversation key in the bucket hash.
        fallback: plane we come from.
        candidate: plane we go to.
        active: plane that gets what has no intent (webhooks).
        stage: name, for people.
        routes: one route for every intent.
        leased: payments to the candidate need the conductor's word that they still may go there;
            without it they are refused. Not so once the run is complete: nobody is left to say it.
        candidate_spki: SHA-256 (hex) of the only TLS key that the candidate may present; empty
            while no key has proved itself: nothing is sent there at all. None where the runbook
            asks for no verified evidence: then the system's trust in certificates decides.
    """

    generation: int
    term: int
    run: str
    salt: str
    fallback: str
    candidate: str
    active: str
    stage: str
    routes: dict[Intent, Route]
    leased: bool = True
    candidate_spki: str | None = None

    def checked(self) -> Self:
        """Return itself if it may be put in force.

        Raises:
            TableError: naming the first thing that is wrong.
        """
        for problem in self._problems():
            raise TableError(f"routing table generation {self.generation}: {problem}")
        return self

    def _problems(self) -> list[str]:
        planes = {self.fallback, self.candidate}
        problems = []
        if self.generation < 1 or self.term < 1:
            problems.append(f"generation and term start at 1, seen term {self.term}")
        if len(planes) != 2 or self.active not in planes:
            problems.append(
                f"active plane {self.active!r} is not one of two planes {sorted(planes)}"
            )
        if len(self.salt) > SALT_CHARS_MAX:
            problems.append(f"salt of {len(self.salt)} characters, at most {SALT_CHARS_MAX}")
        if self.candidate_spki and not _DIGEST.fullmatch(self.candidate_spki):
            problems.append(
                f"candidate_spki of {len(self.candidate_spki)} characters, expected none, an empty "
                "one or 64 lower-case hex digits"
            )
        missing = [intent for intent in Intent if intent not in self.routes]
        if missing:
            problems.append(f"no route for {', '.join(missing)}; a table is whole")
        for intent, route in self.routes.items():
            if not 0 <= route.candidate_bp <= ALL_BP:
                problems.append(
                    f"{intent} has candidate_bp {route.candidate_bp}, expected 0..{ALL_BP}"
                )
            if not set(route.refuse_on) <= planes:
                problems.append(f"{intent} is refused on unknown planes {route.refuse_on}")
            if len(route.refusal) > REFUSAL_CHARS_MAX or (route.refuse_on and not route.refusal):
                problems.append(
                    f"{intent} needs a refusal text of 1..{REFUSAL_CHARS_MAX} characters"
                )
        return problems
