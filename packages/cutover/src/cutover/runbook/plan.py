"""What the stages of a rollout owe each other.

Exposure starts at nothing, never falls, ends at everything, and wherever clients are answered by
the candidate the rollback conditions are armed and something real has to be seen before moving on.
"""

from collections.abc import Callable, Iterator
from typing import Final

from cutover.runbook.finding import Fault, Loc
from cutover.runbook.intent import LEADING, Intent
from cutover.runbook.schema import Document, StagePart
from cutover.runbook.stage import ALL_BP
from cutover.runbook.units import format_duration, format_share, parse_duration

FLIP_WINDOW_MS: Final = (parse_duration("30m"), parse_duration("60m"))
"""How long the conditions stay armed after a one-step cutover: long enough for a 30-minute payment
window to fill, short enough that somebody watches all of it."""


def faults(document: Document) -> Iterator[Fault]:
    """Every fault that a rule of this module finds."""
    if len(document.stage) < 2:
        expected = "at least two stages: one that exposes nobody, and one that routes all"
        yield Fault(("stage",), f"{len(document.stage)} stages", expected)
        return
    for rule in RULES:
        yield from rule(document)


def begins_with_nobody(document: Document) -> Iterator[Fault]:
    """The first stage looks without touching a client."""
    first = document.stage[0]
    for intent in LEADING:
        if _start(first, intent):
            yield Fault(
                ("stage", 0, "share", intent),
                format_share(_start(first, intent)),
                "0 %: the first stage exposes nobody",
            )
    if first.unlock:
        yield Fault(("stage", 0, "unlock"), "an unlock", "none: the first stage exposes nobody")


def ends_with_all(document: Document) -> Iterator[Fault]:
    """The last stage routes every intent to the candidate, or the cutover never ends."""
    last = len(document.stage) - 1
    for intent in LEADING:
        bp = _start(document.stage[last], intent)
        if bp != ALL_BP:
            yield Fault(
                ("stage", last, "share", intent),
                format_share(bp),
                "100 %: the last stage routes every intent to the candidate",
            )


def never_falls(document: Document) -> Iterator[Fault]:
    """A share that falls would send conversations back and forth; only a rollback sends back."""
    for index in range(1, len(document.stage)):
        before, after = document.stage[index - 1], document.stage[index]
        for intent in LEADING:
            reached = _end(before, intent)
            bp = _start(after, intent)
            if bp < reached:
                expected = f"{format_share(reached)} or more, as in stage {before.name}"
                yield Fault(("stage", index, "share", intent), format_share(bp), expected)


def unlocks_rise(document: Document) -> Iterator[Fault]:
    """An unlock raises its intent's share, once, and is itself watched before the stage ends."""
    for index, stage in enumerate(document.stage):
        for number, unlock in enumerate(stage.unlock):
            loc: Loc = ("stage", index, "unlock", number)
            start = _start(stage, unlock.intent)
            if unlock.share <= start:
                expected = f"more than the stage's {format_share(start)} of {unlock.intent}"
                yield Fault((*loc, "share"), format_share(unlock.share), expected)
            if unlock.clean >= stage.soak.observed:
                limit = format_duration(stage.soak.observed)
                expected = f"shorter than soak.observed = {limit}, or it is never watched"
                yield Fault((*loc, "clean"), format_duration(unlock.clean), expected)
            if any(other.intent is unlock.intent for other in stage.unlock[:number]):
                seen = f"a second unlock of {unlock.intent}"
                yield Fault((*loc, "intent"), seen, "one unlock per intent and stage")


def exposure_is_armed(document: Document) -> Iterator[Fault]:
    """Wherever a client is answered by the candidate, a tripped condition rolls back."""
    for index, stage in enumerate(document.stage):
        if _exposes(stage) and not stage.armed:
            expected = "true: clients are answered by the candidate here"
            yield Fault(("stage", index, "armed"), "false", expected)


def soaks_are_not_vacuous(document: Document) -> Iterator[Fault]:
    """Shadow needs canary runs, an exposed stage real answers; there is nothing else to go by."""
    if document.stage[0].soak.canary_runs == 0:
        expected = "at least 1 canary run: nothing else shows that the candidate works"
        yield Fault(("stage", 0, "soak", "canary_runs"), "0", expected)
    for index, stage in enumerate(document.stage):
        loc: Loc = ("stage", index, "soak", "answers")
        if _exposes(stage) and stage.soak.answers == 0:
            yield Fault(loc, "0", "at least 1 client answer: empty evidence never passes")
        if not _exposes(stage) and stage.soak.answers:
            expected = "0: nobody is exposed here, so the stage could never be left"
            yield Fault(loc, str(stage.soak.answers), expected)


def quiet_means_one_flip(document: Document) -> Iterator[Fault]:
    """A quiet service is moved in one step; where traffic is expected it is moved in parts."""
    quiet = document.runbook.quiet
    if not quiet:
        return
    for index, stage in enumerate(document.stage):
        for intent in LEADING:
            bp = _start(stage, intent)
            if 0 < bp < ALL_BP:
                expected = '0 % or 100 %, or quiet = "not asked": no traffic, no parts of it'
                yield Fault(("stage", index, "share", intent), format_share(bp), expected)


def one_flip_is_watched(document: Document) -> Iterator[Fault]:
    """Everything at once is for a quiet service, and is watched for 30 to 60 minutes."""
    if not is_one_flip(document):
        return
    head, flip = document.runbook, document.stage[-1]
    if not head.quiet:
        expected = "a duration without client requests: all traffic moves in one step here"
        yield Fault(("runbook", "quiet"), '"not asked"', expected)
    low, high = FLIP_WINDOW_MS
    if not head.rehearsal and not low <= flip.soak.observed <= high:
        yield Fault(
            ("stage", len(document.stage) - 1, "soak", "observed"),
            format_duration(flip.soak.observed),
            f"{format_duration(low)} to {format_duration(high)} armed after a one-step cutover",
        )


def is_one_flip(document: Document) -> bool:
    """Whether the first stage with any exposure is the one with all of it."""
    return sum(_exposes(stage) for stage in document.stage) == 1


RULES: Final[tuple[Callable[[Document], Iterator[Fault]], ...]] = (
    begins_with_nobody,
    ends_with_all,
    never_falls,
    unlocks_rise,
    exposure_is_armed,
    soaks_are_not_vacuous,
    quiet_means_one_flip,
    one_flip_is_watched,
)


def _start(stage: StagePart, intent: Intent) -> int:
    """The intent's share on entering the stage, basis points."""
    share: int = getattr(stage.share, intent)
    return share


def _end(stage: StagePart, intent: Intent) -> int:
    """The intent's share once every unlock of the stage has happened."""
    return max([_start(stage, intent), *(u.share for u in stage.unlock if u.intent is intent)])


def _exposes(stage: StagePart) -> bool:
    return any(_end(stage, intent) for intent in LEADING)
