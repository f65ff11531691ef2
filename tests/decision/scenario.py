"""Runs `tests/scenarios/*.toml`: given / when / then as data; the grammar is in its README.

Steps are executed in order against `World`; after every entry and every step the invariants are
checked, at the end the journal is replayed. An unknown word in a file is an error, never ignored.
"""

import ast
import copy
import functools
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from cutover.decision.run import Run
from cutover.decision.split import table_share_bp
from cutover.decision.status import status_of
from cutover.decision.wanted import wanted
from cutover.evidence.observation import Verdict
from cutover.evidence.outcome import Outcome
from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check, Evidence
from cutover.runbook.intent import Intent
from cutover.runbook.load import load_text
from cutover.runbook.units import parse_duration
from decision.invariants import Lines, remembered
from decision.world import Node, World

ROOT = Path(__file__).parents[2]
SCENARIOS = ROOT / "tests" / "scenarios"
STARTS = ("preparing", "shadow", "canary", "mixed", "mixed+pay", "primary", "checking", "complete")
BRISK = {
    "stage.shadow.soak": {"observed": "5m", "canary_runs": 1, "answers": 0},
    "stage.canary.soak": {"observed": "5m", "canary_runs": 1, "answers": 50},
    "stage.mixed.soak": {"observed": "10m", "canary_runs": 2, "answers": 50},
    "stage.mixed.unlock.pay.clean": "5m",
}
"""`phased` with short stages before the last: thresholds and cadences are the shipped runbook's."""

COARSE = {
    "timing.readiness_every": "1m",
    "gate.readiness.max_age": "3m",
    "blind.after": "150s",
}
"""`phased` looked at once a minute: for what takes hours."""

BASES = {"brisk": ("phased", BRISK), "coarse": ("phased", COARSE)}


def load(path: Path) -> dict[str, Any]:
    """One scenario; every top-level word must be known."""
    data = tomllib.loads(path.read_text())
    unknown = set(data) - {"says", "clause", "given", "when"}
    assert not unknown, f"{path.name}: unknown words {sorted(unknown)}"
    assert data["says"].strip(), f"{path.name}: says nothing"
    assert any("expect" in step for step in data["when"]), f"{path.name}: expects nothing"
    return data


@functools.cache
def runbook_text(name: str, changes: str) -> str:
    """A shipped runbook's text with values replaced; `changes` is a repr of what to set."""
    base, shorter = BASES.get(name, (name, {}))
    text = (ROOT / "runbooks" / f"{base}.toml").read_text()
    wanted_values = {**shorter, **ast.literal_eval(changes)}
    for dotted, value in wanted_values.items():
        text = changed(text, dotted, value)
    return text


def changed(text: str, dotted: str, value: object) -> str:
    """The text with one value replaced: `rollback.canary-failed.shared_cause`, and the like.

    Tables of an array are named by their `name`, `kind`, `check` or `intent`.
    """
    *path, key = dotted.split(".")
    lines = text.splitlines()
    hit = None
    for index, line in enumerate(lines):
        if line.split("=")[0].strip() == key and "=" in line and _inside(lines, index, path):
            hit = index
    assert hit is not None, f"no value {dotted} in the runbook"
    lines[hit] = f"{key} = {_toml(value)}"
    return "\n".join(lines) + "\n"


def _inside(lines: list[str], index: int, path: list[str]) -> bool:
    """Whether line `index` belongs to the table that `path` names."""
    head = max(i for i in range(index) if lines[i].startswith("["))
    table = lines[head].strip("[]").split(".")
    names = [part for part in path if part not in table]
    if [part for part in path if part in table] != table:
        return False
    block = lines[head:index] + lines[index : index + 8]
    if "unlock" in table:
        stage = max(i for i in range(head) if lines[i] == "[[stage]]")
        block += lines[stage : stage + 2]
    return all(any(f'"{name}"' in line for line in block) for name in names)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


@functools.cache
def _begun(text: str, at: str, step_ms: int) -> World:
    """A healthy world brought to a starting point; made once, copied for each scenario."""
    lines = Lines()
    world = World(load_text(text, "scenario"), lines, step_ms)
    if at == "checking":
        world.checked["archive"] = False  # or it would be over within the same look
    if at != "preparing":
        reached = world.until(lambda run: arrived(world.runbook, run, at), 20 * 86_400_000)
        assert reached, f"{at} is not reached: {world.run.phase} {world.run.reasons}"
    return world


def arrived(runbook: Runbook, run: Run, at: str) -> bool:
    """Whether a run stands at a named point."""
    if at in {"checking", "complete", "rolled_back", "rolling_back", "aborting", "aborted"}:
        return run.phase == at
    stage, _, unlocked = at.partition("+")
    names = [s.name for s in runbook.stages]
    if run.phase != "running" or names[run.stage] != stage:
        return False
    return not unlocked or Intent(unlocked) in run.unlocked


def run_scenario(path: Path) -> World:
    """Execute one file; raises AssertionError with the step that failed."""
    data = load(path)
    given = dict(data["given"])
    name, at = given.pop("runbook", "brisk"), given.pop("at")
    changes = repr(given.pop("set", {}))
    step_ms = 10_000 if name == "brisk" else 0
    assert not given, f"{path.name}: unknown words in given: {sorted(given)}"
    text = runbook_text(name, changes)
    begun = _begun(text, at, step_ms if at != "preparing" else 0)
    world = _copied(begun)
    steps = Steps(world)
    for number, step in enumerate(data["when"], 1):
        try:
            steps.take(dict(step))
        except AssertionError as error:
            told = " / ".join(f"{r.code}: {r.text}" for r in world.run.reasons)
            raise AssertionError(
                f"{path.name} step {number} {step}: {error}\n  {world.run.phase}, {told}"
            ) from error
    remembered(world.runbook, world.entries, world.run)
    return world


def _copied(world: World) -> World:
    """The world again, at the runbook's own cadence from here on."""
    twin = copy.copy(world)
    lines = copy.deepcopy(world.watch)
    twin.watch = lines
    for name in ("entries", "planes", "nodes", "conversations", "fails", "live_ok", "live_done",
                 "paid", "replaced", "prepared", "checked", "_every", "_queue"):  # fmt: skip
        setattr(twin, name, copy.deepcopy(getattr(world, name)) if name != "entries"
                else list(world.entries))  # fmt: skip
    every = world.runbook.timing.readiness_every_ms
    for look in ("reference", "fallback", "candidate"):
        twin._every[look] = every
    return twin


class Steps:
    """Executes steps; a step is a table with one leading word and its details."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.since = len(world.decisions())
        self.clock = world.now
        self.settled = 0

    def take(self, step: dict[str, Any]) -> None:
        """One step, then the invariants at rest."""
        word = next(iter(step))
        act = getattr(self, f"do_{word}", None)
        assert act is not None, f"no step begins with {word!r}"
        value = step.pop(word)
        try:
            act(value, **step)
        except TypeError as error:
            raise AssertionError(str(error)) from error
        lines = self.world.watch
        assert isinstance(lines, Lines)
        lines.rest(self.world.runbook, self.world.run, self.world.now)

    # --- time -----------------------------------------------------------------------------------

    def do_advance(self, value: str) -> None:
        self.world.advance(parse_duration(value))

    def do_until(self, value: str, within: str) -> None:
        world = self.world
        ok = world.until(lambda run: arrived(world.runbook, run, value), parse_duration(within))
        assert ok, f"{value} was not reached within {within}"

    def do_restart(self, value: str) -> None:
        self.world.restart(parse_duration(value))

    def do_wall_jump(self, value: str) -> None:
        back = value.startswith("-")
        self.world.wall += (-1 if back else 1) * parse_duration(value.lstrip("-"))

    def do_align(self, value: str) -> None:
        self.world.align(value)

    # --- planes ---------------------------------------------------------------------------------

    def do_bad(self, value: str, plane: str = "phala", status: object = 503) -> None:
        """Bad looks, first to last exactly so long apart, then good ones again."""
        world, planes = self.world, plane.split("+")
        world.align("fallback")
        for name in planes:
            world.planes[name].status = status if isinstance(status, int) else None
        world.advance(1 + parse_duration(value))
        for name in planes:
            world.planes[name].status = 200

    def do_ready(self, value: object, plane: str = "phala") -> None:
        """From now on: a status, `no answer`, `false` (200 with ready=false) or `silent`."""
        view = self.world.planes[plane]
        view.silent, view.ready = value == "silent", value is not False
        view.status = value if isinstance(value, int) and not isinstance(value, bool) else 200
        if value == "no answer":
            view.status = None

    def do_health_ready(self, value: bool, plane: str = "phala") -> None:
        self.world.planes[plane].health_ready = value

    def do_reference(self, value: bool) -> None:
        self.world.reference_ok = value
        if not value:
            self.world._reference()
        else:
            self.world.submit(_reference_ok())

    def do_canary(self, value: list[str], plane: str = "phala", checks: list[str] | None = None,
                  other: list[str] | None = None) -> None:  # fmt: skip
        """Scheduled rounds one after the other; `other`: what the other plane fails meanwhile."""
        world = self.world
        twin = next(p for p in world.runbook.planes if p != plane)
        for verdict in value:
            world.align("canary")
            bad = () if verdict == "ok" else tuple(checks or ("github",))
            world.fails = (
                {plane: ("no_verdict",) if verdict == "no_verdict" else bad} if bad else {}
            )
            if other:
                world.fails[twin] = tuple(other)
            world.advance(1)
            assert verdict in {"ok", "false", "no_verdict"}, verdict
        world.fails = {}

    def do_manual_canary(self, value: str, plane: str = "phala") -> None:
        self.world.fails = {} if value == "ok" else {plane: ("github",)}
        self.world.canary(scheduled=False)
        self.world.fails = {}

    def do_canary_began_on(self, value: str) -> None:
        self.world.canary_identity = value

    def do_canary_paused(self, value: bool) -> None:
        self.world.canary_paused = value

    def do_attestation(self, value: str, evidence: str = "", identity: str = "") -> None:
        """The verdict from now on, seen at once; `silent` for none at all."""
        world = self.world
        world.evidence = Evidence(evidence) if evidence else world.evidence
        world.identity = identity or world.identity
        world.verdict = None if value == "silent" else Verdict(value)
        if world.verdict is not None:
            world.align("attestation")
            world.advance(1)

    # --- gateway --------------------------------------------------------------------------------

    def do_traffic(self, value: dict[str, int]) -> None:
        for intent, n in value.items():
            self.world.conversations[Intent(intent)] = n

    def do_payments(self, value: int, of: int, outcome: str = "business_failed") -> None:
        """`value` failed of `of` settled on the candidate, in one report."""
        node, g = self.world.nodes["g1"], self.world.run.generation
        phala = self.world.runbook.candidate
        node.add((g, Intent.PAY, phala, Outcome.OK), of - value)
        node.add((g, Intent.PAY, phala, Outcome(outcome)), value)
        self.world.submit(node.report())

    def do_request(self, value: str, plane: str = "phala", outcome: str = "ok", n: int = 1,
                   generation: int = 0, ago: int = 0) -> None:  # fmt: skip
        """Requests of one intent that a node has seen, under the generation `ago` back."""
        node = self.world.nodes["g1"]
        g = generation or self.world.run.generation - ago
        node.add((g, Intent(value), plane, Outcome(outcome)), n)
        self.world.submit(node.report())

    def do_node(self, value: str, name: str = "g1", why: str = "bad table", n: int = 1) -> None:
        """What a gateway node does: silent, back, refuses, obeys, reboots, joins, loses."""
        world = self.world
        node = world.nodes.get(name, Node(name))
        acts: dict[str, Callable[[], None]] = {
            "silent": lambda: world.fall_silent(name),
            "back": lambda: setattr(node, "silent", False),
            "refuses": lambda: setattr(node, "refuses", why),
            "obeys": lambda: setattr(node, "refuses", ""),
            "reboots": lambda: world.reboot(name),
            "joins": lambda: world.nodes.__setitem__(name, node),
            "pays": lambda: self._pays(node, n),
            "resumes": lambda: self._resumes(name),
            "loses": lambda: setattr(node, "lost", node.lost + n),
            "ahead": lambda: world.submit(self._ahead(node, n)),
            "other keys": lambda: setattr(node, "keys_match", False),
            "one sided": lambda: setattr(node, "one_sided", True),
            "repeats": lambda: world.submit(node.report()),
            "old words": lambda: world.submit(self._old_words(name)),
        }
        acts[value]()
        if value in {"back", "obeys", "joins", "loses", "other keys"}:
            world._report()
        world.follow()

    def _ahead(self, node: Node, n: int) -> Any:
        """A table is in force that this journal has not issued, as after a restored backup."""
        node.generation, node.stubborn = self.world.run.generation + n, True
        return node.report()

    def _pays(self, node: Node, n: int) -> None:
        """So many of its payments on the candidate have not ended."""
        node.in_flight = node.money_in_flight = n
        self.world.submit(node.report())

    def _resumes(self, name: str) -> None:
        """The process that was replaced, not the one that replaced it, is what reports from now."""
        self.world.nodes[name] = self.world.replaced[name]
        self.world.submit(self.world.nodes[name].report())

    def see_unaccounted(self, want: int) -> int:
        incident = self.world.run.incident
        return incident.unaccounted if incident else self.world.run.unaccounted

    def see_settled_since(self, want: int) -> int:
        return sum(p.settled for p in self.world.run.payments) - self.settled

    def _old_words(self, name: str) -> Any:
        """The oldest report of this node that the journal has, once more."""
        reports = [e.fact for e in self.world.entries if getattr(e.fact, "node", "") == name]
        return next(r for r in reports if r.counts)

    # --- operator, live intents, checks -----------------------------------------------------------

    def do_order(
        self, value: str, by: str = "ana", reason: str = "as agreed", **details: Any
    ) -> None:
        self.world.order(_order(value, by, reason, details))

    def do_live(self, value: dict[str, object]) -> None:
        self.world.live_ok.update({Intent(k): _three(v) for k, v in value.items()})

    def do_precondition(self, value: dict[str, object]) -> None:
        self.world.prepared.update({k: _three(v) for k, v in value.items()})

    def do_check(self, value: dict[str, object]) -> None:
        self.world.checked.update({k: _three(v) for k, v in value.items()})

    def do_mark(self, value: bool) -> None:
        """From here `moves`, `lived` and `took` count."""
        assert value is True
        self.since, self.clock = len(self.world.decisions()), self.world.now
        self.world.live_done.clear()
        self.world.paid.clear()
        self.settled = sum(p.settled for p in self.world.run.payments)

    # --- then -----------------------------------------------------------------------------------

    def do_expect(self, value: dict[str, Any]) -> None:
        """Compare what is named with what is so."""
        for word, want in value.items():
            seen = getattr(self, f"see_{word}")(want)
            assert seen == want, f"{word} is {seen!r}, expected {want!r}"

    def see_phase(self, want: str) -> str:
        return self.world.run.phase.value

    def see_stage(self, want: str) -> str:
        return self.world.runbook.stages[self.world.run.stage].name

    def see_reasons(self, want: list[str]) -> list[str]:
        codes = [r.code for r in self.world.run.reasons]
        return [code for code in want if code in codes]

    def see_no_reasons(self, want: list[str]) -> list[str]:
        codes = [r.code for r in self.world.run.reasons]
        return [code for code in want if code not in codes]

    def see_moves(self, want: list[str]) -> list[str]:
        return [type(d).__name__ for d in self.world.decisions()[self.since :]]

    def see_rule(self, want: str) -> str:
        incident = self.world.run.incident
        return incident.rule if incident else ""

    def see_incident_open(self, want: bool) -> bool:
        incident = self.world.run.incident
        return incident is not None and incident.closed_at < 0

    def see_shares(self, want: dict[str, float]) -> dict[str, float]:
        world = self.world
        return {i: table_share_bp(world.runbook, world.run, Intent(i)) / 100 for i in want}

    def see_closed(self, want: list[str]) -> list[str]:
        return list(self.world.run.closed)

    def see_generation_in_force(self, want: int) -> int:
        return self.world.nodes["g1"].generation - self.world.run.generation

    def see_wanted(self, want: str) -> str:
        world = self.world
        return wanted(world.runbook, world.run, world.now).live or ""

    def see_lived(self, want: list[str]) -> list[str]:
        return [intent.value for intent in self.world.live_done]

    def see_paid(self, want: int) -> int:
        return len(set(self.world.paid))

    def see_asked_to_pay(self, want: int) -> int:
        return len(self.world.paid)

    def see_soak(self, want: str) -> str:
        return self._at_most(self.world.run.soak.observed_ms, want)

    def see_clean(self, want: str) -> str:
        return self._at_most(self.world.run.soak.clean_ms, want)

    def _at_most(self, ms: int, want: str) -> str:
        """`>= 5m`, `<= 5m`, or a bare duration (`0` for none) for equality."""
        sign, _, rest = want.rpartition(" ")
        need = 0 if rest == "0" else parse_duration(rest)
        so = {"": ms == need, ">=": ms >= need, "<=": ms <= need, "<": ms < need}[sign]
        return want if so else f"{ms}ms"

    def see_took(self, want: str) -> str:
        return self._at_most(self.world.now - self.clock, want)

    def see_canary_runs(self, want: int) -> int:
        return self.world.run.soak.canary_runs

    def see_answers(self, want: int) -> int:
        return self.world.run.soak.answers

    def see_failed(self, want: int) -> int:
        return self.world.run.soak.failed

    def see_unlocked(self, want: list[str]) -> list[str]:
        return sorted(self.world.run.unlocked)

    def see_refused(self, want: str) -> str:
        """A part of the refusal, or empty when the order was admitted."""
        return want if (want in self.world.refused if want else not self.world.refused) else (
            self.world.refused or "admitted")  # fmt: skip

    def see_pages(self, want: bool) -> bool:
        return status_of(self.world.runbook, self.world.run, self.world.now).pages

    def see_sick(self, want: list[str]) -> list[str]:
        return [p for p in self.world.runbook.planes if self.world.run.plane(p).sick]

    def see_weak(self, want: bool) -> bool:
        return self.world.run.weak


def _three(value: object) -> bool | None:
    assert isinstance(value, bool) or value == "unknown", value
    return value if isinstance(value, bool) else None


def _reference_ok() -> Any:
    from cutover.evidence.observation import Reference

    return Reference(ok=True, detail="")


def _order(verb: str, by: str, reason: str, details: dict[str, Any]) -> Command:
    simple = {"hold": HoldOrder, "resume": ResumeOrder, "abort": AbortOrder, "retry": RetryOrder}
    if verb in simple:
        assert not details, f"{verb} has no {sorted(details)}"
        return simple[verb](by, reason)
    if verb == "promote":
        return PromoteOrder(by, reason, details["expect"])
    if verb == "disarm":
        return DisarmOrder(by, reason, details["rule"], parse_duration(details["expires"]))
    if verb == "forget":
        return ForgetOrder(by, reason, details["node"])
    assert verb == "waive", f"unknown order {verb}"
    return WaiveOrder(by, reason, Check(details["check"]))
