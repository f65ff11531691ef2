"""What can follow, one frozen record per kind; each says why and on what evidence."""

import msgspec

from cutover.runbook.intent import Intent


class Reason(msgspec.Struct, frozen=True, gc=False):
    """Why, in a word for machines and a sentence for people.

    Attributes:
        code: stable; a hold is journaled again only when its codes change.
        text: what was seen, what is expected, what happens next.
    """

    code: str
    text: str


class Hold(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Nothing moves, and here is why."""

    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...] = ()


class OpenStage(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The next stage's shares go into force."""

    stage: str
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class UnlockIntent(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An intent gets its share inside the stage."""

    stage: str
    intent: Intent
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class RollBack(msgspec.Struct, frozen=True, gc=False, tag=True):
    """All intents to the fallback; an incident opens."""

    rule: str
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class Repin(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Money goes back to the fallback and the run holds; the rest stays."""

    rule: str
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class CloseMoney(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Money is refused on these planes with a clear answer, until they are healthy again."""

    planes: tuple[str, ...]
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class ReopenMoney(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Money is admitted again wherever the stage allows it."""

    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class PinKey(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The gateways are told the TLS key that the candidate has proved, or that it has none.

    Shares stay as they are; who presents another key gets nothing.

    Attributes:
        spki: SHA-256 (hex) of the key; empty while none has proved itself.
    """

    spki: str
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class AbortRun(msgspec.Struct, frozen=True, gc=False, tag=True):
    """All intents to the fallback, and the run will end.

    Attributes:
        rule: the tripped rule, or `operator`.
    """

    rule: str
    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class Returned(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The observed split is 100 % fallback on every node: the way back is done.

    Attributes:
        unaccounted: payments on the candidate of which nobody knows how they ended.
    """

    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]
    unaccounted: int = 0


class Retry(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The run begins again with its first stage."""

    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class BeginChecks(msgspec.Struct, frozen=True, gc=False, tag=True):
    """The last stage is soaked; the post-cutover checks run."""

    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


class Complete(msgspec.Struct, frozen=True, gc=False, tag=True):
    """Every clause has been carried out."""

    reasons: tuple[Reason, ...]
    evidence: tuple[int, ...]


Move = (
    OpenStage | UnlockIntent | RollBack | Repin | CloseMoney | ReopenMoney | PinKey | AbortRun
    | Returned | Retry | BeginChecks | Complete
)  # fmt: skip
Decision = Hold | Move
