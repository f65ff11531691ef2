"""What is so: each word looks at one thing and says it in the form in which files expect it."""

from cutover.decision.split import table_share_bp
from cutover.decision.status import status_of
from cutover.decision.step import table_for
from cutover.decision.wanted import wanted
from cutover.runbook.intent import Intent
from cutover.simulator.conformance import looks
from cutover.simulator.conformance.scene import Scene
from cutover.simulator.conformance.word import Bounds, Vocabulary

EXPECTATIONS = Vocabulary()


@EXPECTATIONS
def phase(scene: Scene, want: str) -> str:
    """The phase in which the run stands."""
    return scene.world.run.phase.value


@EXPECTATIONS
def stage(scene: Scene, want: str) -> str:
    """The open stage; empty before the first."""
    run = scene.world.run
    return scene.world.runbook.stages[run.stage].name if run.stage >= 0 else ""


@EXPECTATIONS
def moves(scene: Scene, want: list[str]) -> list[str]:
    """Kinds of decisions since the start or the mark, holds left out."""
    return [type(move).__name__ for move in scene.world.decisions()[scene.since :]]


@EXPECTATIONS
def rule(scene: Scene, want: str) -> str:
    """The rule of the newest incident; empty when there was none."""
    incident = scene.world.run.incident
    return incident.rule if incident else ""


@EXPECTATIONS
def incident_open(scene: Scene, want: bool) -> bool:
    """Whether the way back is not done."""
    incident = scene.world.run.incident
    return incident is not None and incident.closed_at < 0


@EXPECTATIONS
def reasons(scene: Scene, want: list[str]) -> list[str]:
    """Codes that the newest hold has, among others."""
    codes = [reason.code for reason in scene.world.run.reasons]
    return want if set(want) <= set(codes) else codes


@EXPECTATIONS
def no_reasons(scene: Scene, want: list[str]) -> list[str]:
    """Codes that the newest hold has not."""
    codes = {reason.code for reason in scene.world.run.reasons}
    return [code for code in want if code not in codes]


@EXPECTATIONS
def shares(scene: Scene, want: dict[Intent, float]) -> dict[Intent, float]:
    """The candidate's shares by the table, percent."""
    world = scene.world
    return {i: table_share_bp(world.runbook, world.run, i) / 100 for i in want}


@EXPECTATIONS
def closed(scene: Scene, want: list[str]) -> list[str]:
    """Planes on which money is refused."""
    return list(scene.world.run.closed)


@EXPECTATIONS
def sick(scene: Scene, want: list[str]) -> list[str]:
    """Planes that were not ready for too long and are not well again."""
    return [p for p in scene.world.runbook.planes if scene.world.run.plane(p).sick]


@EXPECTATIONS
def soak(scene: Scene, want: Bounds) -> Bounds | str:
    """Observed time of the stage: `5m`, `>= 5m`, `<= 5m`, `< 5m`, `> 5m` or `0`."""
    return want.judge(scene.world.run.soak.observed_ms)


@EXPECTATIONS
def clean(scene: Scene, want: Bounds) -> Bounds | str:
    """Observed time without a critical error, compared like `soak`."""
    return want.judge(scene.world.run.soak.clean_ms)


@EXPECTATIONS
def took(scene: Scene, want: Bounds) -> Bounds | str:
    """Observed time since the start or the mark, compared like `soak`."""
    return want.judge(scene.world.now - scene.clock)


@EXPECTATIONS
def canary_runs(scene: Scene, want: int) -> int:
    """Scheduled canary runs that count for the stage."""
    return scene.world.run.soak.canary_runs


@EXPECTATIONS
def answers(scene: Scene, want: int) -> int:
    """Answers by the candidate that count for the stage."""
    return scene.world.run.soak.answers


@EXPECTATIONS
def failed(scene: Scene, want: int) -> int:
    """Requests that the candidate failed in the stage."""
    return scene.world.run.soak.failed


@EXPECTATIONS
def unlocked(scene: Scene, want: list[str]) -> list[str]:
    """Intents whose share was raised inside the stage."""
    return sorted(scene.world.run.unlocked)


@EXPECTATIONS
def wanted_(scene: Scene, want: str) -> str:
    """The live intent that is wanted now; empty for none."""
    world = scene.world
    return wanted(world.runbook, world.run, world.now).live or ""


@EXPECTATIONS
def lived(scene: Scene, want: list[str]) -> list[str]:
    """Live intents that were executed since the start or the mark."""
    return [intent.value for intent in scene.world.live_done]


@EXPECTATIONS
def looked(scene: Scene, want: list[str]) -> list[str]:
    """What looks at the candidate were wanted for since the start or the mark."""
    return list(scene.world.looked)


@EXPECTATIONS
def paid(scene: Scene, want: int) -> int:
    """Distinct idempotency keys of the conductor's own payments."""
    return len(set(scene.world.paid))


@EXPECTATIONS
def asked_to_pay(scene: Scene, want: int) -> int:
    """How often a plane was asked for one of those payments."""
    return len(scene.world.paid)


@EXPECTATIONS
def settled_since(scene: Scene, want: int) -> int:
    """Payments settled on the candidate since the mark."""
    return sum(p.settled for p in scene.world.run.payments) - scene.settled


@EXPECTATIONS
def unaccounted(scene: Scene, want: int) -> int:
    """Payments of which nobody knows how they ended."""
    incident = scene.world.run.incident
    return incident.unaccounted if incident else scene.world.run.unaccounted


@EXPECTATIONS
def refused(scene: Scene, want: str) -> str:
    """Part of the refusal of the last order; empty when it was admitted."""
    said = scene.world.refused
    return want if (want in said if want else not said) else said or "admitted"


@EXPECTATIONS
def generation_in_force(scene: Scene, want: int) -> int:
    """The first node's generation relative to the one that should be in force."""
    return scene.node("g1").generation - scene.world.run.generation


@EXPECTATIONS
def pages(scene: Scene, want: bool) -> bool:
    """Whether a person is called."""
    return status_of(scene.world.runbook, scene.world.run, scene.world.now).pages


@EXPECTATIONS
def weak(scene: Scene, want: bool) -> bool:
    """Whether the run was ever promoted on mere claims."""
    return scene.world.run.weak


@EXPECTATIONS
def marks(scene: Scene, want: list[str]) -> list[str]:
    """What stays beside everything that is believed of the candidate."""
    return list(status_of(scene.world.runbook, scene.world.run, scene.world.now).marks)


@EXPECTATIONS
def pinned(scene: Scene, want: str) -> str:
    """The TLS key that the table lets the candidate present; empty: nothing is sent to it."""
    spki = table_for(scene.world.runbook, scene.world.run).candidate_spki
    wanted_spki = looks.spki(want) if want else ""
    return want if spki == wanted_spki else "none is asked for" if spki is None else spki
