"""What the parts of a runbook owe each other, the rollout plan apart (`cutover.runbook.plan`).

Each rule is a function from the document to the faults it finds; `RULES` lists them. A rule exists
where a wrong value would make a gate vacuous, a signal always stale, or a condition unable to fire.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from cutover.runbook import schema
from cutover.runbook.finding import Fault, Loc
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.intent import LEADING, RISK_OF, Intent, Risk
from cutover.runbook.schema import Document
from cutover.runbook.units import format_duration

GATES: Final = ("readiness", "dependency", "live_intent", "attestation")
CONDITIONS: Final = ("not_ready", "canary_failed", "payments_failed", "attestation_lost")
RESERVED_RULES: Final = frozenset({"operator"})
"""Names that an abort by a person bears in the journal; no rule may share them."""

_RISING: Final = tuple(Risk)


def faults(document: Document) -> Iterator[Fault]:
    """Every fault that a rule of this module finds."""
    for rule in RULES:
        yield from rule(document)


def planes_differ(document: Document) -> Iterator[Fault]:
    """A cutover has two ends."""
    head = document.runbook
    if head.fallback == head.candidate:
        expected = "another plane than `fallback`: there is nowhere to move to"
        yield Fault(("runbook", "candidate"), f'"{head.candidate}"', expected)


def each_kind_once(document: Document) -> Iterator[Fault]:
    """All four preconditions, gates and post-cutover checks are asked, each once."""
    asked = [part.check for part in document.precondition]
    yield from _once("precondition", "check", asked, tuple(Check))
    yield from _once("gate", "kind", [part.kind for part in document.gate], GATES)
    confirmed = [part.check for part in document.post_check]
    yield from _once("post_check", "check", confirmed, tuple(PostCheckName))


def each_condition_present(document: Document) -> Iterator[Fault]:
    """All four rollback conditions are watched; one of them may be declared twice, by two names."""
    seen = {part.when for part in document.rollback}
    for kind in CONDITIONS:
        if kind not in seen:
            yield Fault(("rollback",), f"no `{kind}`", f'a [[rollback]] with when = "{kind}"')


def names_are_unique(document: Document) -> Iterator[Fault]:
    """An order or an incident names one stage, one rule."""
    yield from _unique("stage", [part.name for part in document.stage])
    yield from _unique("rollback", [part.name for part in document.rollback])
    for index, part in enumerate(document.rollback):
        if part.name in RESERVED_RULES:
            expected = "another name: this one stands for a person's abort"
            yield Fault(("rollback", index, "name"), f'"{part.name}"', expected)


def followers_are_not_riskier(document: Document) -> Iterator[Fault]:
    """A minor intent rides on a route that was opened for at least its own risk."""
    for name, lead in document.follows:
        risk = RISK_OF[Intent(name)]
        if _RISING.index(RISK_OF[lead]) < _RISING.index(risk):
            seen = f'"{lead}", whose risk is {RISK_OF[lead]}'
            expected = f"a leading intent of risk {risk} or higher, since `{name}` has risk {risk}"
            yield Fault(("follows", name), seen, expected)


def deadlines_fit_intervals(document: Document) -> Iterator[Fault]:
    """A look is over before the next one is due, so that looks never pile up."""
    timing = document.timing
    for look in ("readiness", "canary", "attestation"):
        every: int = getattr(timing, f"{look}_every")
        deadline: int = getattr(timing, f"{look}_deadline")
        if deadline >= every:
            expected = f"a deadline shorter than {look}_every = {format_duration(every)}"
            yield Fault(("timing", f"{look}_deadline"), format_duration(deadline), expected)


def ages_outlive_intervals(document: Document) -> Iterator[Fault]:
    """Evidence stays fresh until the next look can have been answered, or nothing ever opens."""
    timing = document.timing
    least = {
        "readiness": (timing.readiness_every, "readiness_every"),
        "dependency": (timing.canary_every, "canary_every"),
        "live_intent": (timing.live_intent_deadline, "live_intent_deadline"),
        "attestation": (2 * timing.attestation_every, "twice attestation_every"),
    }
    for index, gate in enumerate(document.gate):
        ms, what = least[gate.kind]
        yield from _longer(("gate", index, "max_age"), gate.max_age, ms, what)
    for index, condition in enumerate(document.rollback):
        at: Loc = ("rollback", index)
        if isinstance(condition, schema.AttestationLostPart):
            ms, what = least["attestation"]
            yield from _longer((*at, "max_age"), condition.max_age, ms, what)
        if isinstance(condition, schema.NotReadyPart):
            ms, what = least["readiness"]
            yield from _longer((*at, "longer_than"), condition.longer_than, ms, what)
    yield from _longer(
        ("blind", "after"), document.blind.after, timing.readiness_every, "readiness_every"
    )


def promotions_rest_on_a_look(document: Document) -> Iterator[Fault]:
    """A look can be young enough to promote on, and what is promoted on still counts."""
    least = document.timing.attestation_deadline
    for index, gate in enumerate(document.gate):
        if not isinstance(gate, schema.AttestationPart):
            continue
        loc: Loc = ("gate", index, "promote_age")
        seen = format_duration(gate.promote_age)
        if gate.promote_age < least:
            what = f"attestation_deadline = {format_duration(least)}"
            yield Fault(loc, seen, f"at least {what}, or a slow look is too old already")
        if gate.promote_age > gate.max_age:
            expected = f"at most max_age = {format_duration(gate.max_age)}: none older counts"
            yield Fault(loc, seen, expected)


def live_intents_cover(document: Document) -> Iterator[Fault]:
    """Each leading intent is executed for real, once, before the candidate may answer it."""
    for index, gate in enumerate(document.gate):
        if not isinstance(gate, schema.LiveIntentPart):
            continue
        loc: Loc = ("gate", index, "intents")
        missing = [intent for intent in LEADING if intent not in gate.intents]
        if missing:
            seen = f"no {', '.join(missing)}"
            yield Fault(loc, seen, "analyze, create and pay: each is routed in the end")
        yield from _repeated(loc, gate.intents)


def critical_errors_declared(document: Document) -> Iterator[Fault]:
    """`Zero critical errors` means nothing until it is said which they are."""
    loc: Loc = ("critical", "errors")
    if not document.critical.errors:
        expected = "at least one critical error by name: a clean period must be able to break"
        yield Fault(loc, "an empty list", expected)
    yield from _repeated(loc, document.critical.errors)


def money_needs_proof(document: Document) -> Iterator[Fault]:
    """Money moves only to a plane whose attestation was verified, in a rehearsal, too.

    Where the rest is believed as reported, `pay` never moves: the run holds at the step that would.
    """
    for index, gate in enumerate(document.gate):
        if not isinstance(gate, schema.AttestationPart):
            continue
        if gate.money_evidence is not Evidence.VERIFIED:
            expected = '"verified": what a plane says of itself never moves pay'
            yield Fault(("gate", index, "money_evidence"), '"reported"', expected)


RULES: Final[tuple[Callable[[Document], Iterator[Fault]], ...]] = (
    planes_differ,
    each_kind_once,
    each_condition_present,
    names_are_unique,
    followers_are_not_riskier,
    deadlines_fit_intervals,
    ages_outlive_intervals,
    promotions_rest_on_a_look,
    live_intents_cover,
    critical_errors_declared,
    money_needs_proof,
)


def _once(table: str, key: str, seen: Sequence[str], wanted: Sequence[str]) -> Iterator[Fault]:
    for kind in wanted:
        if kind not in seen:
            yield Fault((table,), f"no `{kind}`", f'one [[{table}]] with {key} = "{kind}"')
    first: set[str] = set()
    for index, kind in enumerate(seen):
        if kind in first:
            yield Fault((table, index, key), f'a second "{kind}"', f"`{kind}` exactly once")
        first.add(kind)


def _unique(table: str, names: Sequence[str]) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Fault((table, index, "name"), f'a second "{name}"', "a name of its own")


def _repeated(loc: Loc, items: Sequence[str]) -> Iterator[Fault]:
    for item, times in Counter(items).items():
        if times > 1:
            yield Fault(loc, f'"{item}" {times} times', "each item once")


def _longer(loc: Loc, ms: int, least: int, what: str) -> Iterator[Fault]:
    if ms <= least:
        expected = f"longer than {what} = {format_duration(least)}, or evidence is always stale"
        yield Fault(loc, format_duration(ms), expected)
