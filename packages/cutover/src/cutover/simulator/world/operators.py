"""Operators: those whose orders are part of a schedule, and the one who sets right what they left.

Orders go to a conductor over the network, as from the command line.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from cutover.decision.command import (
    AbortOrder,
    Command,
    DisarmOrder,
    ForgetOrder,
    HoldOrder,
    PromoteOrder,
    ResumeOrder,
    RetryOrder,
    WaiveOrder,
)
from cutover.decision.run import Phase, Run
from cutover.errors import CutoverError
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check
from cutover.simulator.kernel.network import Network
from cutover.simulator.world.conductor import ConductorProcess

LOOK_SECONDS: Final = 2.0
DISARMED_MS: Final = 5_000

Say = Callable[[str, str, Any], None]


class Operators:
    """People with a terminal.

    Args:
        network: between them and the conductors.
        conductors: that they may reach.
        runbook: names of rules and stages.
        say: adds a line to the trace.
        look_seconds: how often the attendant looks.
    """

    def __init__(
        self, network: Network, conductors: Sequence[ConductorProcess], runbook: Runbook, say: Say,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:  # fmt: skip
        self._network = network
        self._conductors = conductors
        self._runbook = runbook
        self._say = say
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._look_seconds = look_seconds
        self._given = 0

    def give(self, verb: str, actor: str) -> None:
        """Give an order, whatever the run thinks of it."""
        self._given += 1
        number = self._given
        task = asyncio.get_running_loop().create_task(self._give(verb, actor))
        self._tasks[number] = task
        task.add_done_callback(lambda _: self._tasks.pop(number))

    async def attend(self) -> None:
        """Put right, again and again, what a person has to put right."""
        while True:
            await asyncio.sleep(self._look_seconds)
            run = self._run()
            for verb in needed(run) if run is not None else ():
                await self._give(verb, "attendant")

    def _run(self) -> Run | None:
        known = [one.parts for one in self._conductors if one.host and one.parts]
        return known[-1].loop.engine.run if known else None

    async def _give(self, verb: str, actor: str) -> None:
        running = [one for one in self._conductors if one.host is not None and one.parts]
        if not running:
            self._say(actor, f"cannot order {verb}", None)
            return
        where = running[-1]
        try:
            async with asyncio.timeout(30):
                said = await self._network.call(
                    where.host, where.name, lambda: self._at(where, verb, actor)
                )
        except (OSError, TimeoutError, CutoverError) as error:
            said = type(error).__name__
        self._say(actor, f"orders {verb}", said)

    async def _at(self, where: ConductorProcess, verb: str, actor: str) -> str:
        assert where.parts is not None  # noqa: S101 - chosen for having them
        loop = where.parts.loop
        command = order(verb, actor, self._runbook, loop.engine.run)
        return loop.order(command)


def needed(run: Run) -> list[str]:
    """What a person would order now for the run to go on."""
    verbs = []
    if run.hold is not None:
        verbs.append("resume")
    failed = any(not view.ok for view in run.live.values())
    failed = failed or any(not view.ok for view in run.post_checks.values())
    if failed or run.phase is Phase.ROLLED_BACK:
        verbs.append("retry")
    verbs += [f"forget {n}" for n, node in run.nodes.items() if node.rival and not node.forgotten]
    verbs += [f"waive {check}" for check, view in run.preconditions.items() if view.ok is None]
    return verbs


def order(verb: str, actor: str, runbook: Runbook, run: Run) -> Command:
    """The order of a verb: `hold`, `disarm RULE`, `forget NODE` and so on."""
    verb, _, what = verb.partition(" ")
    reason = "a simulated person wants it"
    stage = runbook.stages[max(run.stage, 0)].name
    match verb:
        case "hold":
            return HoldOrder(actor, reason)
        case "resume":
            return ResumeOrder(actor, reason)
        case "promote":
            return PromoteOrder(actor, reason, stage)
        case "abort":
            return AbortOrder(actor, reason)
        case "retry":
            return RetryOrder(actor, reason)
        case "disarm":
            return DisarmOrder(actor, reason, what or runbook.conditions[0].name, DISARMED_MS)
        case "forget":
            return ForgetOrder(actor, reason, what)
        case "waive":
            return WaiveOrder(actor, reason, _check(run, what))
        case _:
            raise ValueError(f"no order {verb!r}")


def _check(run: Run, what: str) -> Check:
    """A precondition by its name; the first of all for a name that is none."""
    return next((check for check in run.preconditions if check == what), next(iter(Check)))
