"""What happens: time, planes, the operator, and the conductor's own evidence.

Words about gateway nodes are in `traffic`. Everything is healthy unless a step says otherwise.
"""

from typing import Literal

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
from cutover.evidence.observation import Verdict
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.intent import Intent
from cutover.simulator.conformance.errors import ScenarioError
from cutover.simulator.conformance.looks import Proof
from cutover.simulator.conformance.scene import Scene
from cutover.simulator.conformance.word import Span, Vocabulary

STEPS = Vocabulary()

Known = bool | Literal["unknown"]
CanaryResult = Literal["ok", "false", "no_verdict"]
Judged = Literal["verified", "degraded", "stale", "missing", "unverifiable", "invalid", "silent"]
Look = Literal["reference", "fallback", "candidate", "canary", "attestation", "report"]

# --- time ---------------------------------------------------------------------------------------


@STEPS
def advance(scene: Scene, value: Span) -> None:
    """Time passes, events at its end included."""
    scene.world.advance(value.ms)


@STEPS
def until(scene: Scene, value: str, within: Span) -> None:
    """Time passes until a point (see `at`) or a phase is reached."""
    scene.reach(value, within.ms)


@STEPS
def skip(scene: Scene, value: Span) -> None:
    """Time passes and nothing at all is seen; what was due comes when it is over."""
    scene.world.skip(value.ms)


@STEPS
def restart(scene: Scene, value: Span) -> None:
    """The conductor was down so long; observed time stood still."""
    scene.world.restart(value.ms)


@STEPS
def wall_jump(scene: Scene, value: Span) -> None:
    """The wall clock jumps, back with a minus."""
    scene.world.wall += value.ms


@STEPS
def align(scene: Scene, value: Look) -> None:
    """Go to 1 ms before the next look.

    Of `candidate`, `fallback`, `canary`, `attestation`, `report` or `reference`.
    """
    scene.world.align(value)


@STEPS
def mark(scene: Scene, value: bool) -> None:
    """From here `moves`, `lived`, `looked`, `paid` and `took` count."""
    if not value:
        raise ScenarioError("mark = false says nothing: leave the step out")
    scene.mark()


# --- planes -------------------------------------------------------------------------------------


@STEPS
def bad(
    scene: Scene, value: Span, plane: str = "phala", status: int | Literal["no answer"] = 503
) -> None:
    """Bad looks, first to last exactly so long apart, then good ones.

    `plane` may be `phala+hetzner`.
    """
    views = [scene.plane(name) for name in plane.split("+")]
    scene.world.align("fallback")
    for view in views:
        view.status = status if isinstance(status, int) else None
    scene.world.advance(1 + value.ms)
    for view in views:
        view.status = 200


@STEPS
def ready(
    scene: Scene, value: bool | int | Literal["no answer", "silent"], plane: str = "phala"
) -> None:
    """From now on: a status, `no answer`, `false` (200, not ready) or `silent` (nobody looks)."""
    if value is True:
        raise ScenarioError("ready = true says nothing: 200 is what all is well with")
    view = scene.plane(plane)
    view.silent, view.ready = value == "silent", value is not False
    view.status = value if isinstance(value, int) and not isinstance(value, bool) else 200
    if value == "no answer":
        view.status = None


@STEPS
def health_ready(scene: Scene, value: bool, plane: str = "phala") -> None:
    """What `/health` says of readiness."""
    scene.plane(plane).health_ready = value


@STEPS
def reference(scene: Scene, value: bool) -> None:
    """Our own connectivity, seen at once."""
    scene.world.reference_ok = value
    scene.world.see_reference()


@STEPS
def canary(
    scene: Scene,
    value: list[CanaryResult],
    plane: str = "phala",
    checks: tuple[str, ...] = ("github",),
    other: tuple[str, ...] = (),
) -> None:
    """The coming scheduled rounds, one after the other: `ok`, `false`, `no_verdict`.

    `checks` are those that fail on the plane, `other` those that the other one fails meanwhile.
    """
    scene.plane(plane)
    twin = next(name for name in scene.world.runbook.planes if name != plane)
    for result in value:
        scene.world.align("canary")
        failed = {"ok": (), "false": checks, "no_verdict": ("no_verdict",)}[result]
        fails = {plane: failed, twin: other}
        scene.world.fails = {name: names for name, names in fails.items() if names}
        scene.world.advance(1)
    scene.world.fails = {}


@STEPS
def manual_canary(scene: Scene, value: Literal["ok", "false"], plane: str = "phala") -> None:
    """A run outside the schedule."""
    scene.plane(plane)
    scene.world.fails = {} if value == "ok" else {plane: ("github",)}
    scene.world.canary(scheduled=False)
    scene.world.fails = {}


@STEPS
def canary_began_on(scene: Scene, value: str) -> None:
    """The candidate's identity when the coming rounds began; empty: as it is."""
    scene.world.canary_identity = value


@STEPS
def canary_paused(scene: Scene, value: bool) -> None:
    """No scheduled rounds."""
    scene.world.canary_paused = value


@STEPS
def attestation(
    scene: Scene,
    value: Judged,
    evidence: Evidence | None = None,
    identity: str = "",
    key: str = "",
    mark: str = "",
    lasts: Span | None = None,
) -> None:
    """The verdict from now on, seen at once; `silent` for none.

    `key` names the TLS key that the candidate has (`none`: it has none), `mark` what stands beside
    the verdict, `lasts` its own deadline.
    """
    world = scene.world
    world.proof = Proof(
        evidence or world.proof.evidence,
        identity or world.proof.identity,
        "" if key == "none" else key or world.proof.key,
        (mark,) if mark else (),
        lasts.ms if lasts else None,
    )
    world.verdict = None if value == "silent" else Verdict(value)
    if world.verdict is not None:
        world.align("attestation")
        world.advance(1)


# --- the operator, and what the conductor carries out --------------------------------------


@STEPS
def live(scene: Scene, value: dict[Intent, Known]) -> None:
    """How live intents end from now on; `unknown`: nobody can tell."""
    scene.world.live_ok |= {intent: _three(ok) for intent, ok in value.items()}


@STEPS
def precondition(scene: Scene, value: dict[Check, Known]) -> None:
    """How preconditions are found from now on; `unknown`: it cannot be judged."""
    scene.world.prepared |= {check: _three(ok) for check, ok in value.items()}


@STEPS
def check(scene: Scene, value: dict[PostCheckName, Known]) -> None:
    """How post-cutover checks end; `unknown`: a payment that nobody can vouch for."""
    scene.world.checked |= {name: _three(ok) for name, ok in value.items()}


def _three(value: Known) -> bool | None:
    return value if isinstance(value, bool) else None


Verb = Literal["hold", "resume", "abort", "retry", "promote", "disarm", "waive", "forget"]


@STEPS
def order(
    scene: Scene,
    value: Verb,
    by: str = "ana",
    reason: str = "as agreed",
    expect: str = "",
    rule: str = "",
    expires: Span | None = None,
    check: Check | None = None,
    node: str = "",
) -> None:
    """An order of `by`, for a `reason`.

    `hold`, `resume`, `promote` (`expect`), `abort`, `retry`, `disarm` (`rule`, `expires`), `waive`
    (`check`), `forget` (`node`).
    """
    details: dict[str, object] = {
        "expect": expect, "rule": rule, "expires": expires, "check": check, "node": node,
    }  # fmt: skip
    given = {name for name, detail in details.items() if detail}
    needed = {"promote": {"expect"}, "disarm": {"rule", "expires"}, "waive": {"check"},
              "forget": {"node"}}.get(value, set())  # fmt: skip
    if given != needed:
        raise ScenarioError(
            f"order {value!r} has {sorted(given) or 'no details'}, "
            f"it needs {sorted(needed) or 'none'}"
        )
    scene.world.order(_command(value, by, reason, details))


def _command(verb: Verb, by: str, reason: str, details: dict[str, object]) -> Command:
    match verb, details:
        case "promote", {"expect": str(stage)}:
            return PromoteOrder(by, reason, stage)
        case "disarm", {"rule": str(rule), "expires": Span(ms=ms)}:
            return DisarmOrder(by, reason, rule, ms)
        case "waive", {"check": Check() as named}:
            return WaiveOrder(by, reason, named)
        case "forget", {"node": str(node)}:
            return ForgetOrder(by, reason, node)
        case "hold", _:
            return HoldOrder(by, reason)
        case "resume", _:
            return ResumeOrder(by, reason)
        case "retry", _:
            return RetryOrder(by, reason)
        case _:
            return AbortOrder(by, reason)
