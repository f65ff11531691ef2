"""How long a full verdict takes beside the bare check of the signatures, in CPU time of one core.

`dcap_qvl.verify` alone and the whole pipeline judge the same quote in interleaved rounds. There are
two planes: a recorded one (real quote, its log and compose file, a policy with 21 images), and a
complete one under a test root (statement, nonce, TLS key, two wallet keys with their chains).
Collateral is parsed beforehand for both sides, as it is kept for hours. What a plane shows alike at
every look (certificate chain, log, compose file, key chains) is read once and remembered; the first
look, with nothing remembered, has rows of its own.
"""

import dataclasses
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import dcap_qvl

from cutover.attestation import dcap, keychain
from cutover.attestation.bundle import Asked, Bundle
from cutover.attestation.collateral import parse_collateral, root_sha256
from cutover.attestation.compose import ComposePolicy, judge_compose, scripts
from cutover.attestation.eventlog import parse_event_log, read_facts
from cutover.attestation.measurement import ConfigId, Image, Source
from cutover.attestation.policy import KeyProvider, Limits, Policy
from cutover.attestation.quote import parse_quote
from cutover.attestation.tcb import TcbPolicy
from cutover.attestation.verifier import verify

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from attestation import world

NAME = "attestation"
Work = Callable[[], object]
FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures" / "attestation" / "near-mpc" / "2026-08"
NOW = 1_787_000_000
GOAL = 1.5
"""Of quote, log and policy; the complete plane has two signatures of its own to check on top."""


def run(quick: bool) -> dict[str, Any]:
    """Rows of name, value, unit, ratio, min, max; ratios are to the bare check of that quote."""
    rounds, each = (25, 10) if quick else (80, 25)
    rows = []
    for name, bare, full in (_recorded(), _complete()):
        took: dict[str, list[float]] = {"bare": [], "full": [], "first": []}
        for _ in range(rounds):
            for kind, work in (("bare", bare), ("full", full), ("first", _forgetful(full))):
                begin = process_time()
                for _ in range(each):
                    work()
                took[kind].append((process_time() - begin) / each)
        rows += _rows(name, took)
    ratio = next(row["ratio"] for row in rows if row["name"] == "recorded plane: full verdict")
    return {"name": NAME, "rows": rows, "goal_met": ratio <= GOAL}


def _rows(name: str, took: dict[str, list[float]]) -> list[dict[str, Any]]:
    bare = statistics.median(took["bare"])
    words = {"bare": "bare check", "full": "full verdict", "first": "first look"}
    rows = [
        _row(
            f"{name}: {words[kind]}",
            [seconds * 1000 for seconds in values],
            "ms",
            statistics.median(values) / bare,
        )
        for kind, values in took.items()
    ]
    full = [1 / seconds for seconds in took["full"]]
    return [*rows, _row(f"{name}: verdicts of one core", full, "verdicts/s", None)]


def _forgetful(work: Work) -> Work:
    def first() -> object:
        private = (dcap._platform, keychain._root_of)  # noqa: SLF001 - only here they are forgotten
        for kept in (judge_compose, parse_event_log, root_sha256, *private):
            kept.cache_clear()
        return work()

    return first


def _recorded() -> tuple[str, Work, Work]:
    bundle = Bundle(
        quote=bytes.fromhex((FIXTURES / "quote.hex").read_text().strip()),
        event_log=(FIXTURES / "event_log.json").read_bytes(),
        app_compose=(FIXTURES / "app_compose.raw").read_bytes(),
    )
    collateral = parse_collateral((FIXTURES / "collateral.json").read_text())
    policy, asked = _policy(bundle), Asked(NOW, live=False)
    found = verify(bundle, collateral, policy, asked)
    # The recorded plane predates our statement; everything else of the policy must hold.
    assert {r.code for r in found.causes()} <= {"absent", "not_asked", "needs_statement"}, found
    return (
        "recorded plane",
        lambda: dcap_qvl.verify(bundle.quote, collateral.parsed, NOW),
        lambda: verify(bundle, collateral, policy, asked),
    )


def _complete() -> tuple[str, Work, Work]:
    bundle, papers, rules = world.Plane().bundle(), world.collateral(), world.policy()
    asked, root = world.asked(), world.root()
    assert verify(bundle, papers, rules, asked).verdict == "verified"
    return (
        "complete plane",
        lambda: dcap_qvl.verify_with_root_ca(bundle.quote, papers.parsed, root, world.NOW),
        lambda: verify(bundle, papers, rules, asked),
    )


def _policy(bundle: Bundle) -> Policy:
    """The policy that the recorded plane passes, all but the statement that it does not have."""
    report = parse_quote(bundle.quote or b"").report
    facts = read_facts(parse_event_log(bundle.event_log or b""), None)
    image = Image(
        "recorded", Source.RECOMPUTED, report.mr_td, report.rt_mr0, report.rt_mr1, report.rt_mr2
    )
    services = frozenset({"launcher", "signer-key-export"})
    return Policy(
        plane="phala",
        release="r1",
        test_root_sha256=None,
        limits=Limits(evidence=900, nonce=60, collateral=7 * 86_400),
        tcb=TcbPolicy(frozenset(), frozenset(), 7 * 86_400),
        app_id=facts.app_id,
        instances=frozenset(),
        compose_hashes=frozenset({facts.compose_hash}),
        app_events=frozenset(facts.application),
        compose=ComposePolicy(services, _envs(bundle), _scripts(bundle)),
        config_id=ConfigId.REQUIRED,
        key_provider=KeyProvider(facts.provider, facts.provider_id),
        wallet=None,
        images=(*(_other(image, n) for n in range(20)), image),
    )


def _other(image: Image, number: int) -> Image:
    """A list of realistic length, the right image last."""
    return dataclasses.replace(image, label=f"other {number}", rtmr0=bytes([number]) * 48)


def _envs(bundle: Bundle) -> frozenset[str]:
    return frozenset(json.loads(bundle.app_compose or b"{}").get("allowed_envs") or [])


def _scripts(bundle: Bundle) -> frozenset[str]:
    return frozenset(scripts(bundle.app_compose or b"").values())


def _row(name: str, values: list[float], unit: str, ratio: float | None) -> dict[str, Any]:
    return {
        "name": name, "value": statistics.median(values), "unit": unit, "ratio": ratio,
        "min": min(values), "max": max(values),
    }  # fmt: skip


if __name__ == "__main__":
    result = run("--quick" in sys.argv)
    for row in result["rows"]:
        ratio = f"  ratio {row['ratio']:.2f}" if row["ratio"] else ""
        print(f"{row['name']:40} {row['value']:10.3f} {row['unit']}{ratio}")
    print(f"goal of at most {GOAL} for quote, log and policy met: {result['goal_met']}")
