"""How a routed request ended: classified by content, never read off the status alone.

The runtime answers 200 to a failed payment; a rule on status codes would never fire.
"""

from enum import StrEnum
from typing import Final

import msgspec

from cutover.runbook.intent import Intent


class Outcome(StrEnum):
    """One word per way a request can end."""

    OK = "ok"  # the plane did what was asked (for pay: names a transaction)
    BUSINESS_FAILED = "business_failed"  # 200, but the text says that it failed
    DECLINED = "declined"  # 200, and the plane rightly said no: policy, input, nothing to do
    SERVER_ERROR = "server_error"  # 5xx answered by the plane
    CLIENT_ERROR = "client_error"  # 4xx answered by the plane
    NOT_SENT = "not_sent"  # no byte of the request left us
    UNKNOWN = "unknown"  # sent, and no whole answer came: reset, cut, unparsable
    TIMEOUT_UNKNOWN = "timeout_unknown"  # sent, and the deadline passed
    SHED = "shed"  # refused by the gateway's own limits
    REFUSED = "refused"  # refused by the table: money fails closed
    CLIENT_GONE = "client_gone"  # the client hung up; the plane is not to blame


ANSWERED: Final = frozenset({Outcome.OK, Outcome.BUSINESS_FAILED, Outcome.DECLINED})
"""The plane gave a whole answer below 400."""

FAILED: Final = frozenset(
    {
        Outcome.SERVER_ERROR, Outcome.NOT_SENT, Outcome.UNKNOWN,
        Outcome.TIMEOUT_UNKNOWN, Outcome.BUSINESS_FAILED,
    }
)  # fmt: skip
"""The plane is to blame."""

SETTLED_FAILED: Final = FAILED - {Outcome.NOT_SENT}
"""A payment that failed, or whose fate nobody can vouch for: unknown is never healthy."""


class Count(msgspec.Struct, frozen=True, gc=False):
    """How many requests ended one way; cumulative since the node's boot.

    Attributes:
        generation: of the table that routed them.
        intent: classified intent.
        plane: that answered, or should have.
        outcome: how it ended.
        n: total so far.
    """

    generation: int
    intent: Intent
    plane: str
    outcome: Outcome
    n: int


class Conversations(msgspec.Struct, frozen=True, gc=False):
    """Distinct conversation buckets (0..9999) seen under one generation, cumulative.

    Attributes:
        generation: of the table that routed them.
        intent: classified intent.
        plane: that was chosen.
        n: number of distinct buckets.
    """

    generation: int
    intent: Intent
    plane: str
    n: int
