"""What happens at the gateway: nodes that come and go, requests that they count."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from cutover.evidence.observation import GatewayReport
from cutover.evidence.outcome import Outcome
from cutover.runbook.intent import Intent
from cutover.simulator.conformance.errors import ScenarioError
from cutover.simulator.conformance.node import Node
from cutover.simulator.conformance.scene import Scene
from cutover.simulator.conformance.steps import STEPS


@STEPS
def traffic(scene: Scene, value: dict[Intent, int]) -> None:
    """New conversations per report from now on; 10 of each leading intent unless said."""
    scene.world.conversations |= value


@STEPS
def payments(scene: Scene, value: int, of: int, outcome: Outcome = Outcome.BUSINESS_FAILED) -> None:
    """So many failed `of` so many payments that settle on the candidate, in one report."""
    node, g = scene.node("g1"), scene.world.run.generation
    candidate = scene.world.runbook.candidate
    node.add((g, Intent.PAY, candidate, Outcome.OK), of - value)
    node.add((g, Intent.PAY, candidate, outcome), value)
    scene.world.submit(node.report())


@STEPS
def request(
    scene: Scene,
    value: Intent,
    plane: str = "phala",
    outcome: Outcome = Outcome.OK,
    n: int = 1,
    generation: int = 0,
    ago: int = 0,
) -> None:
    """`n` requests that a node counted.

    Under the present table, the one `ago` generations back, or the one of a `generation`.
    """
    scene.plane(plane)
    node = scene.node("g1")
    node.add((generation or scene.world.run.generation - ago, value, plane, outcome), n)
    scene.world.submit(node.report())


Act = Literal[
    "silent", "back", "refuses", "obeys", "reboots", "joins", "loses", "other keys", "one sided",
    "ahead", "repeats", "old words", "pays", "resumes",
]  # fmt: skip


@STEPS
def node(scene: Scene, value: Act, name: str = "g1", why: str = "bad table", n: int = 1) -> None:
    """What a gateway node does.

    `silent`, `back`, `refuses` (`why`), `obeys`, `reboots`, `joins`, `loses` (`n` outcomes),
    `other keys`, `one sided`, `ahead` (by `n` generations, and it takes no older one), `repeats`,
    `old words`, `pays` (`n` payments have not ended), `resumes` (the process that was replaced).
    """
    if value == "joins":
        scene.world.nodes.setdefault(name, Node(name))
    ACTS[value](scene, scene.node(name), why, n)
    if value in {"back", "obeys", "joins", "loses", "other keys"}:
        scene.world.report(list(scene.world.nodes.values()))
    scene.world.follow()


def _silent(scene: Scene, node: Node, _why: str, _n: int) -> None:
    scene.world.fall_silent(node.name)


def _back(_scene: Scene, node: Node, _why: str, _n: int) -> None:
    node.silent = False


def _refuses(_scene: Scene, node: Node, why: str, _n: int) -> None:
    node.refuses = why


def _obeys(_scene: Scene, node: Node, _why: str, _n: int) -> None:
    node.refuses = ""


def _reboots(scene: Scene, node: Node, _why: str, _n: int) -> None:
    scene.world.reboot(node.name)


def _joins(_scene: Scene, node: Node, _why: str, _n: int) -> None:
    node.silent = False


def _loses(_scene: Scene, node: Node, _why: str, n: int) -> None:
    node.lost += n


def _other_keys(_scene: Scene, node: Node, _why: str, _n: int) -> None:
    node.keys_match = False


def _one_sided(_scene: Scene, node: Node, _why: str, _n: int) -> None:
    node.one_sided = True


def _ahead(scene: Scene, node: Node, _why: str, n: int) -> None:
    """A table is in force that this journal has not issued, as after a restored backup."""
    node.generation, node.stubborn = scene.world.run.generation + n, True
    scene.world.submit(node.report())


def _repeats(scene: Scene, node: Node, _why: str, _n: int) -> None:
    scene.world.submit(node.report())


def _old_words(scene: Scene, node: Node, _why: str, _n: int) -> None:
    """The oldest report of this node that the journal has, once more."""
    facts = [entry.fact for entry in scene.world.entries]
    told = [f for f in facts if isinstance(f, GatewayReport) and f.node == node.name and f.counts]
    if not told:
        raise ScenarioError(f"node {node.name!r} has not reported anything yet")
    scene.world.submit(told[0])


def _pays(scene: Scene, node: Node, _why: str, n: int) -> None:
    """So many of its payments on the candidate have not ended."""
    node.in_flight = node.money_in_flight = n
    scene.world.submit(node.report())


def _resumes(scene: Scene, node: Node, _why: str, _n: int) -> None:
    """The process that was replaced, not the one that replaced it, is what reports from now."""
    if node.name not in scene.world.replaced:
        raise ScenarioError(f"node {node.name!r} was not replaced: let it reboot before")
    old = scene.world.nodes[node.name] = scene.world.replaced[node.name]
    scene.world.submit(old.report())


ACTS: Final[Mapping[Act, Callable[[Scene, Node, str, int], None]]] = {
    "silent": _silent, "back": _back, "refuses": _refuses, "obeys": _obeys, "reboots": _reboots,
    "joins": _joins, "loses": _loses, "other keys": _other_keys, "one sided": _one_sided,
    "ahead": _ahead, "repeats": _repeats, "old words": _old_words, "pays": _pays,
    "resumes": _resumes,
}  # fmt: skip
