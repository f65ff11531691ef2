"""Proves that today's code decides as the journal says, from the journal alone."""

from collections.abc import Callable, Iterable
from typing import get_args

import msgspec

from cutover import __version__
from cutover.decision.command import Command
from cutover.decision.course import Course
from cutover.decision.fact import Entry
from cutover.decision.kinds import Decision, Hold
from cutover.decision.orders import refusal
from cutover.decision.run import Run
from cutover.decision.stored import digest
from cutover.evidence.observation import Adopted, Snapshot, Started
from cutover.runbook.document import Runbook

_DECISIONS = get_args(Decision)
_COMMANDS = get_args(Command)


class Divergence(msgspec.Struct, frozen=True):
    """The first place where the journal and today's code part ways."""

    seq: int
    seen: str
    expected: str

    def __str__(self) -> str:
        """One sentence for people."""
        return f"entry {self.seq}: the journal says {self.seen}, the rules say {self.expected}"


class Replayed(msgspec.Struct, frozen=True):
    """The state that the journal folds to, and the first divergence, if any."""

    run: Run | None
    decisions: int
    divergence: Divergence | None


def replay(entries: Iterable[Entry], load: Callable[[str], Runbook]) -> Replayed:
    """Fold a whole journal and decide again at each step.

    Every journaled decision must be the one that follows from what was journaled before it, no
    move may be missing where one was due, the last entry included, and what no conductor writes
    must not be there: an order that does not apply, a term out of turn, another state's digest.

    Args:
        entries: from number 1 on.
        load: makes the runbook from the text that the run adopted.
    """
    course: Course | None = None
    decisions = 0
    due: Decision | None = None
    ours = False
    for entry in entries:
        if isinstance(entry.fact, Adopted) and course is None:
            course = Course(load(entry.fact.runbook), Run(id=entry.fact.run))
            ours = entry.fact.versions.get("cutover") == __version__
        if course is None:
            first = Divergence(entry.seq, _name(entry), "Adopted as the first entry")
            return Replayed(None, decisions, first)
        if wrong := _check(course, entry, due, ours=ours):
            return Replayed(course.run, decisions, wrong)
        decisions += isinstance(entry.fact, _DECISIONS)
        due = course.take(entry)
    if course is not None and _moves(due):
        last = Divergence(course.run.seq + 1, "nothing more", _words(due))
        return Replayed(course.run, decisions, last)
    return Replayed(course.run if course else None, decisions, None)


def _moves(due: Decision | None) -> bool:
    return due is not None and not isinstance(due, Hold)


def _check(course: Course, entry: Entry, due: Decision | None, *, ours: bool) -> Divergence | None:
    run = course.run
    if entry.seq != run.seq + 1 or entry.at_ms < run.at:
        seen = f"entry {entry.seq} at {entry.at_ms} ms"
        return Divergence(entry.seq, seen, f"entry {run.seq + 1}, at {run.at} ms or later")
    if isinstance(entry.fact, Adopted) and run.seq:
        return Divergence(entry.seq, _name(entry), "one Adopted, the first entry")
    if isinstance(entry.fact, _DECISIONS):
        expected = course.due(entry.at_ms)
        if expected == entry.fact:
            return None
        return Divergence(entry.seq, _name(entry), _words(expected))
    if _moves(due) and run.seq > 0:
        return Divergence(entry.seq, _name(entry), _words(due))
    seen, could = _unwritable(course.runbook, run, entry, ours=ours)
    return Divergence(entry.seq, seen, could) if could else None


def _unwritable(runbook: Runbook, run: Run, entry: Entry, *, ours: bool) -> tuple[str, str]:
    """What a fact says and what a conductor could have written in its place; empty when it could.

    Who can rewrite the whole chain can make its hashes right; the rules still have to hold. The
    digest of a state is judged only in a run that this version began (`ours`): another version may
    store the same state in another form.
    """
    fact = entry.fact
    if isinstance(fact, _COMMANDS):
        why = refusal(runbook, run, fact)
        return type(fact).__name__, f"its refusal: {why}" if why else ""
    if isinstance(fact, Started) and fact.term != run.term + 1:
        return f"Started in term {fact.term}", f"term {run.term + 1}"
    if isinstance(fact, Snapshot):
        true = (run.seq, digest(run) if ours else fact.sha256)
        if (told := (fact.upto, fact.sha256)) != true:
            seen, expected = (f"entry {upto}, {sha[:16]}" for upto, sha in (told, true))
            return f"Snapshot of {seen}", expected
    return "", ""


def _name(entry: Entry) -> str:
    fact = entry.fact
    return _words(fact) if isinstance(fact, _DECISIONS) else type(fact).__name__


def _words(decision: object) -> str:
    if decision is None:
        return "no new decision"
    fields = msgspec.structs.asdict(decision)  # type: ignore[arg-type]  # every decision is a struct
    reasons = ", ".join(r.code for r in fields.pop("reasons", ()))
    fields.pop("evidence", None)
    what = " ".join(str(value) for value in fields.values())
    return f"{type(decision).__name__} {what}".strip() + f" ({reasons})"
