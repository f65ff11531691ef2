"""One demo from curtain to curtain: start the world, follow the run, inject, judge, stop."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cutover.app import ARCHIVE_FILE
from cutover.clock import SystemClock, pause
from cutover.decision.fact import Entry
from cutover.decision.kinds import AbortRun, Hold, OpenStage, Returned, RollBack, UnlockIntent
from cutover.decision.run import TERMINAL, Phase, Run
from cutover.decision.status import Status
from cutover.demo.faults import Fault
from cutover.demo.follow import Follower
from cutover.demo.line import Line
from cutover.demo.processes import DemoError
from cutover.demo.verdict import Seen, problems
from cutover.demo.world import World
from cutover.runbook.document import Runbook
from cutover.runbook.intent import LEADING, Intent

LOOK_SECONDS = 0.1
REST_SECONDS = 5.0
"""How long a run that came to rest is watched: nothing may move, nobody may fail."""

SETTLE_SECONDS = 1.5
"""For answers that were on their way when the run came to rest."""

SEAL_SECONDS = 60.0
"""For the conductor of a run that is over to seal the archive and end."""

DEADLINE_SECONDS = 170.0


@dataclass
class StageSeen:
    """What a demo shows of a stage."""

    name: str
    entered_s: float
    gates: dict[str, str]
    observed_split: dict[str, float] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    soaked_s: float = 0.0


@dataclass
class Result:
    """How a demo ended; `as_json` is the last thing that `--json` prints."""

    fault: str
    result: str
    rule: str
    expected: str
    stages: list[StageSeen]
    requests: dict[str, Any]
    seconds_to_decision: float | None
    seconds_to_all_back: float | None
    problems: list[str]
    journal: str
    archive: str
    weak: bool
    marks: list[str]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether it ended as the runbook says."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """One document; shares are fractions of requests."""
        stages = [vars(stage) for stage in self.stages]
        split = self.stages[-1].observed_split if self.stages else {}
        return {**vars(self), "stages": stages, "observed_split": split, "ok": self.ok}


class Play:
    """A demo in progress.

    Args:
        runbook: what is executed.
        path: its file.
        folder: where everything goes.
        fault: what goes wrong, None for nothing.
        tell: prints a line of progress.
    """

    def __init__(
        self, runbook: Runbook, path: Path, folder: Path, fault: Fault | None, tell: Line
    ) -> None:
        self._runbook = runbook
        self._fault = fault
        self._line = tell
        self._clock = SystemClock()
        self._began = self._clock.monotonic_ms()
        self._world = World(folder, path, relay=fault is not None and fault.relay)
        self._follower = Follower(runbook, self._world.data / "journal.db", self._tell)
        self._stages: list[StageSeen] = []
        self._injected_wall = 0
        self._failed_before = 0
        self._failed_at_rest: int | None = None
        self._decided_wall = 0
        self._returned_wall = 0
        self._rule = ""
        self._why = ""
        self._share_at_cause: dict[Intent, int] = {}
        self._generation_at_cause = 0

    def run(self) -> Result:
        """Play it to the end; the world is stopped whatever happens.

        Raises:
            CutoverError: the world could not be set up.
        """
        try:
            self._world.start()
            self._line("the world is up: rails, hetzner, phala, conductor, gateway; clients begin")
            self._world.start_traffic()
            self._follow()
            return self._judge()
        finally:
            self._world.stop()

    def _follow(self) -> None:
        rested_ms = 0
        until = self._clock.monotonic_ms() + int(DEADLINE_SECONDS * 1000)
        while self._clock.monotonic_ms() < until:
            self._follower.look()
            self._maybe_inject()
            now = self._clock.monotonic_ms()
            if not self._at_rest():
                rested_ms = 0
            elif rested_ms == 0:
                rested_ms = now
            elif self._failed_at_rest is None and now - rested_ms > SETTLE_SECONDS * 1000:
                self._failed_at_rest = int(self._world.traffic()["failed"])
            elif now - rested_ms > self._rest_ms():
                return
            pause(LOOK_SECONDS)
        raise DemoError(
            f"the run did not come to rest within {DEADLINE_SECONDS:g} s: "
            f"{self._follower.status().line()}"
        )

    def _rest_ms(self) -> int:
        """A completed run is over; one that rests is watched for a while."""
        return 0 if self._follower.run.phase is Phase.COMPLETE else int(REST_SECONDS * 1000)

    def _at_rest(self) -> bool:
        run = self._follower.run
        if run.phase in (Phase.COMPLETE, Phase.ABORTED, Phase.ROLLED_BACK):
            return True
        wants_hold = self._fault is not None and self._fault.result == "held"
        return wants_hold and self._injected_wall > 0 and self._held_by(run) != ""

    def _held_by(self, run: Run) -> str:
        codes = [reason.code for reason in run.reasons]
        wanted = self._fault.rule if self._fault else ""
        return wanted if wanted in codes else ""

    def _maybe_inject(self) -> None:
        fault, run = self._fault, self._follower.run
        if fault is None or self._injected_wall or self._follower.stage() != fault.stage:
            return
        if run.soak.observed_ms == 0 or (fault.unlocked and not self._settled_there(run)):
            return
        self._failed_before = int(self._world.traffic()["failed"])
        self._share_at_cause = self._shares()
        self._generation_at_cause = run.generation
        self._line(f"fault: {fault.says}")
        self._injected_wall = self._clock.wall_ms()
        fault.inject(self._world)

    def _settled_there(self, run: Run) -> bool:
        return Intent.PAY in run.unlocked and bool(run.payments)

    def _shares(self) -> dict[Intent, int]:
        return {i: share.table_bp for i, share in self._follower.status().shares.items()}

    def _tell(self, entry: Entry, before: Run, status: Status) -> None:
        if self._injected_wall and not self._decided_wall and self._decides(entry):
            self._decided_wall = entry.wall_ms
        match entry.fact:
            case OpenStage() as move:
                self._close_stage(before)
                self._open_stage(entry, move)
            case UnlockIntent() as move:
                self._line(f"{move.intent} is unlocked in {move.stage} (entry {entry.seq})")
                self._evidence(move)
            case RollBack() | AbortRun() as move:
                self._close_stage(before)
                self._rule = move.rule
                kind = type(move).__name__
                self._line(f"{kind} by {move.rule}: {move.reasons[0].text}")
            case Returned() as move:
                self._returned_wall = entry.wall_ms
                self._line(move.reasons[0].text)
            case Hold() as hold:
                self._say_why(f"  {status.stage or status.phase}: {hold.reasons[0].text}")
            case _:
                pass

    def _say_why(self, text: str) -> None:
        """Say why nothing moves, once."""
        if text != self._why:
            self._line(text, quiet=True)
        self._why = text

    def _decides(self, entry: Entry) -> bool:
        """Whether an entry is the decision that the injected fault calls for."""
        if isinstance(entry.fact, RollBack | AbortRun):
            return True
        wanted = self._fault.rule if self._fault else ""
        return isinstance(entry.fact, Hold) and wanted in [r.code for r in entry.fact.reasons]

    def _open_stage(self, entry: Entry, move: OpenStage) -> None:
        entered = (self._clock.monotonic_ms() - self._began) / 1000
        self._line(f"stage {move.stage} is open (entry {entry.seq})")
        gates = self._evidence(move)
        self._stages.append(StageSeen(move.stage, round(entered, 1), gates))

    def _evidence(self, move: OpenStage | UnlockIntent) -> dict[str, str]:
        """Say on what a promotion rests; returns it by gate."""
        gates = {r.code.removeprefix("gate:"): r.text for r in move.reasons}
        for gate, text in gates.items():
            self._line(f"    {gate}: {text}")
        return gates

    def _close_stage(self, run: Run) -> None:
        if not self._stages or run.stage < 0:
            return
        split, requests, words = {}, {}, []
        for intent in LEADING:
            there = run.split.get(f"{intent}|{self._runbook.candidate}", 0)
            total = there + run.split.get(f"{intent}|{self._runbook.fallback}", 0)
            requests[intent.value] = total
            if total:
                split[intent.value] = round(there / total, 4)
                words.append(f"{intent} {there / total:.1%} of {total}")
        seen = self._stages[-1]
        seen.observed_split, seen.requests = split, requests
        seen.soaked_s = round(run.soak.observed_ms / 1000, 1)
        candidate = self._runbook.candidate
        self._line(f"    observed on {candidate}: {', '.join(words) or 'no requests'}")

    def _judge(self) -> Result:
        self._world.processes.stop("traffic")
        if self._follower.run.phase in TERMINAL:
            self._world.processes.wait_end("conductor", SEAL_SECONDS)
        self._follower.look()
        run = self._follower.run
        if run.phase in (Phase.COMPLETE, Phase.RUNNING, Phase.CHECKING):
            self._close_stage(run)
        traffic = self._world.traffic()
        requests = {k: traffic[k] for k in ("total", "ok", "failed", "refused")}
        requests["failures"] = traffic.get("failures", [])
        held = self._held_by(run)
        result = "held" if held else run.phase.value
        archive = self._world.data / ARCHIVE_FILE
        return Result(
            fault=self._fault.name if self._fault else "",
            result=result,
            rule=self._rule or held,
            expected=self._fault.result if self._fault else "complete",
            stages=self._stages,
            requests=requests,
            seconds_to_decision=self._since_cause(self._decided_wall),
            seconds_to_all_back=self._since_cause(self._returned_wall),
            problems=problems(self._fault, self._seen(result, self._rule or held, traffic)),
            journal=str(self._world.data / "journal.db"),
            archive=str(archive) if archive.exists() else "",
            weak=run.weak,
            marks=list(run.marks),
            seconds=round((self._clock.monotonic_ms() - self._began) / 1000, 1),
        )

    def _since_cause(self, wall_ms: int) -> float | None:
        return (wall_ms - self._injected_wall) / 1000 if wall_ms and self._injected_wall else None

    def _seen(self, result: str, rule: str, traffic: dict[str, Any]) -> Seen:
        return Seen(
            result=result,
            rule=rule,
            injected=self._injected_wall > 0,
            decided_s=self._since_cause(self._decided_wall),
            traffic=traffic,
            failed_before=self._failed_before,
            failed_at_rest=self._failed_at_rest,
            risen=self._risen(),
        )

    def _risen(self) -> tuple[str, ...]:
        """What rose on the gateways since the cause; a refused table is in force nowhere."""
        nodes = self._follower.run.nodes.values()
        if all(node.generation <= self._generation_at_cause for node in nodes):
            return ()
        now = self._shares().items()
        return tuple(i for i, bp in now if bp > self._share_at_cause.get(i, 0))
