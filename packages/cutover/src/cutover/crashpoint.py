"""Named moments at which a process can be made to die, to rehearse what a crash leaves behind.

Every step that is durable, or that somebody else sees, has a point before and after it. A point
costs a look at one name while nothing is armed, and nothing ever is unless a person sets
`CUTOVER_CRASH_AT=NAME[:N]` for a rehearsal: then the process of that point kills itself, by a
signal that nothing can catch, when it passes the point for the N-th time. Or a simulator installs
a hook of its own, which hears of every point.
"""

import logging
import os
import signal
from collections.abc import Callable, Mapping, MutableMapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from cutover.errors import ConfigurationError

VARIABLE: Final = "CUTOVER_CRASH_AT"

log = logging.getLogger("cutover.crashpoint")


class Process(StrEnum):
    """Who passes a point, and dies there."""

    CONDUCTOR = "conductor"
    NODE = "gateway supervisor"
    WORKER = "gateway worker"


class Point(NamedTuple):
    """One moment: whose it is, and what is done and not yet done then."""

    process: Process
    text: str


_C, _N, _W = Process.CONDUCTOR, Process.NODE, Process.WORKER

POINTS: Final[Mapping[str, Point]] = MappingProxyType({
    "start.opened": Point(_C, "The journal is opened, or made; nothing in it is verified."),
    "start.verified": Point(_C, "The chain is verified and folded; `Started` is not journaled."),
    "start.begun": Point(_C, "`Started` is journaled; nobody is served."),
    "start.serving": Point(_C, "The address is written; no task has begun."),
    "journal.commit.before": Point(_C, "The entries are in the transaction, not in the journal."),
    "journal.commit.after": Point(_C, "The entries are on the disk; the conductor does not know."),
    "effects.wake.before": Point(_C, "A decision is journaled; who carries it out is not told."),
    "effects.wake.after": Point(_C, "Who carries a decision out is told; nothing has been done."),
    "order.answer.before": Point(_C, "An order is judged and journaled; the operator is not told."),
    "table.serve.before": Point(_C, "A node's question for a table has an answer; it is not sent."),
    "table.serve.after": Point(_C, "The answer to a node's question for a table is sent."),
    "precondition.look.before": Point(_C, "A precondition is due; no plane was asked."),
    "precondition.look.after": Point(_C, "A precondition was looked at; it is not journaled."),
    "live.execute.before": Point(_C, "A live intent is due; the candidate was not asked."),
    "live.execute.after": Point(_C, "A live intent was executed; it is not journaled."),
    "receipt.pay.before": Point(_C, "The receipt's payment is due; it was not made."),
    "receipt.pay.after": Point(_C, "The receipt's payment was made; it is not journaled."),
    "postcheck.carry.before": Point(_C, "Another post-cutover check is due; nothing was asked."),
    "postcheck.carry.after": Point(_C, "It was carried out; it is not journaled."),
    "snapshot.store.before": Point(_C, "A snapshot is due; it is not stored."),
    "snapshot.bind.before": Point(_C, "A snapshot is stored; no entry vouches for it."),
    "snapshot.bind.after": Point(_C, "A snapshot is stored and bound."),
    "stop.before": Point(_C, "The run or the process is at its end; `Stopped` is not journaled."),
    "stop.after": Point(_C, "`Stopped` is journaled; the journal is not closed."),
    "archive.seal.before": Point(_C, "The run is over and the journal closed; no archive exists."),
    "archive.rename.before": Point(_C, "The archive is whole, under another name than its own."),
    "archive.seal.after": Point(_C, "The archive is written and verified; nobody was told."),
    "node.serving": Point(_N, "The workers are started; the node's address is not written."),
    "node.keep.before": Point(_N, "A table is accepted; it is not on the disk."),
    "node.keep.after": Point(_N, "A table is on the disk; the supervisor may not know yet."),
    "node.publish.before": Point(_N, "A table is accepted; the workers go by the one before."),
    "node.publish.after": Point(_N, "The workers' page has a new table; nobody was told."),
    "node.report.before": Point(_N, "A report is put together; it is not sent."),
    "node.report.answered": Point(_N, "The conductor has taken a report; it is not marked said."),
    "node.report.after": Point(_N, "A report is taken and marked said."),
    "worker.carry.before": Point(_W, "A plane is chosen for a request; nothing was sent."),
    "worker.carry.after": Point(_W, "A request is on its way to the plane."),
    "worker.answer.before": Point(_W, "The plane's answer is there; the client was not told."),
    "worker.count.before": Point(_W, "The client's answer waits to be written; it is not counted."),
    "worker.count.after": Point(_W, "The outcome is counted; the client's answer still waits."),
    "worker.answer.after": Point(_W, "The client's answer is written, and counted."),
})  # fmt: skip
"""Every point by its name, in the order in which a run meets them."""

Hook = Callable[[str], None]

_hook: Hook | None = None
_bequest: str = ""


def crashpoint(name: str) -> None:
    """Pass a point; returns at once unless something is armed.

    Raises:
        ValueError: something is armed, and there is no point of that name.
    """
    if _hook is not None:
        _check(name)
        _hook(name)


def is_armed() -> bool:
    """Whether anybody hears of points."""
    return _hook is not None


def arm(hook: Hook) -> None:
    """Have a function called with the name of every point that is passed, where it is passed.

    It may be called from any thread. What it raises comes out of the point.

    Raises:
        RuntimeError: another hook is installed.
    """
    global _hook  # noqa: PLW0603 - one process has one life to end
    if _hook is not None:
        raise RuntimeError("crash points are armed already; expected `disarm()` before")
    _hook = hook


def disarm() -> None:
    """Let every point be passed unnoticed again."""
    global _hook, _bequest
    _hook, _bequest = None, ""


class Plan(NamedTuple):
    """Where to die, and at which passing, from 1."""

    name: str
    passing: int

    def __str__(self) -> str:
        return f"{self.name}:{self.passing}"


def read_plan(text: str) -> Plan:
    """Read `NAME[:N]`.

    Raises:
        ConfigurationError: no such point, or no number of passings.
    """
    name, colon, number = text.partition(":")
    if name not in POINTS:
        raise ConfigurationError(
            f"{VARIABLE} names {name!r}, which is no crash point; expected one of "
            f"{', '.join(POINTS)}"
        )
    if colon and not (number.isascii() and number.isdigit() and 0 < len(number) < 10):
        raise ConfigurationError(
            f"{VARIABLE} is {text!r}: after the colon {number!r}, expected which passing, from 1"
        )
    passing = int(number) if colon else 1
    if passing < 1:
        raise ConfigurationError(f"{VARIABLE} is {text!r}: passings are counted from 1")
    return Plan(name, passing)


def arm_by_environment(
    process: Process, unfit: str, environment: MutableMapping[str, str] = os.environ
) -> bool:
    """Arm what the environment asks this process for, and say so loudly.

    The variable is taken out of the environment, so that no child dies by accident; a supervisor
    hands a worker's point down by itself (`handed_down`).

    Args:
        process: which one this is; points of others are none of its business.
        unfit: why nothing may be armed here; empty in a rehearsal.
        environment: where the variable is.

    Returns:
        Whether this process will die at a point.

    Raises:
        ConfigurationError: armed for what is no rehearsal, or for what does not exist.
    """
    global _bequest  # noqa: PLW0603 - as in `arm`
    text = environment.pop(VARIABLE, "")
    if not text:
        return False
    if unfit:
        raise ConfigurationError(
            f"{VARIABLE} is set to {text!r}, but {unfit}; a process is made to die in rehearsals "
            "only: unset it"
        )
    plan = read_plan(text)
    whose = POINTS[plan.name].process
    if process is Process.NODE and whose is Process.WORKER:
        _bequest = str(plan)
        log.critical("ARMED: a worker will be killed at crash point %s", plan)
    if whose is not process:
        return False
    arm(_Executioner(plan))
    log.critical(
        "ARMED: this %s will kill itself at crash point %s: %s",
        process, plan, POINTS[plan.name].text,
    )  # fmt: skip
    return True


def handed_down() -> Mapping[str, str] | None:
    """The environment for a worker that is started now: the first one gets the worker's point.

    One only, so that its successor lives. None: nothing is handed down, the usual one will do.
    """
    global _bequest
    text, _bequest = _bequest, ""
    return {**os.environ, VARIABLE: text} if text else None


class _Executioner:
    """Kills the process at the planned passing."""

    def __init__(self, plan: Plan) -> None:
        self._name = plan.name
        self._left = plan.passing

    def __call__(self, name: str) -> None:
        if name != self._name:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _check(name: str) -> None:
    if name not in POINTS:
        raise ValueError(f"{name!r} is no crash point; add it to `crashpoint.POINTS`")
