"""Whether both planes are configured alike, by fingerprints that tell nothing to who has no key.

Differences are named by the variable's name; no value and no fingerprint appears anywhere.
"""

import hmac
from collections.abc import Collection, Mapping
from typing import Final

from cutover.conductor.preconditions.answers import Identity, Parity, Shared, Silence
from cutover.conductor.preconditions.finding import Finding, believed, fails, holds, unknown
from cutover.evidence.planes import Answer

NEEDED: Final = ("github", "near", "eigenai")
"""Services without which no plane can do its work; equal emptiness is no parity."""

COMPARED: Final = (
    "AGENT_MODE", "EIGENAI_WALLET_ADDRESS", "EIGENAI_WALLET_PRIVATE_KEY", "GITHUB_APP_ID",
    "GITHUB_PRIVATE_KEY", "HOT_PAY_JWT", "NEAR_ACCOUNT_ID", "NEAR_CONTRACT_ID", "PING_PAY_API_KEY",
)  # fmt: skip
"""Variables that both planes must compare: those of the runbook, and what payments rest on.

A plane that leaves one out of its answer would be found equal in what it chose to tell.
"""

OWN: Final = ("AGENT_SERVER_API_KEY", "INGRESS_OWNER", "NEAR_PRIVATE_KEY", "PLANE_ID")
"""Variables that each plane has for itself, and must have."""

PRODUCTION: Final = "production"


def wrong_keys(key: str, stranger: str) -> dict[str, str | None]:
    """What must not open a plane's door, by what it is called.

    Beside none and a stranger's, everything that a careless comparison takes for the right one. The
    plane knows its key, so it learns nothing; what it answers to these is never repeated.

    Args:
        key: the right one.
        stranger: one that nobody has, of random letters.
    """
    tried: dict[str, str | None] = {
        "no key": None,
        "an empty key": "",
        "a wrong key": stranger[: max(len(key), 8)],
        "its key in other letters": key.swapcase(),
        "a part of its key": key[:-1],
        "its key with more behind it": f"{key}0",
    }
    return {word: given for word, given in tried.items() if given != key}


def judge_own_key(plane: str, answer: Answer) -> Finding:
    """Whether the right key opens, so that a door that is always shut is not taken for a lock."""
    if answer.status == 200:
        return holds(f"{plane} answers 200 to its own key")
    said = "does not answer" if answer.status is None else f"answers {answer.status}"
    text = f"{plane} {said} to its own key, expected 200"
    return fails(f"{text}: give planes.{plane} the plane's AGENT_SERVER_API_KEY")


def judge_door(plane: str, word: str, answer: Answer) -> Finding:
    """Whether the door stays shut without the right key.

    Args:
        plane: whose door.
        word: what was presented.
        answer: what came.
    """
    if answer.status == 401:
        return holds(f"{plane} answers 401 to {word}")
    said = "does not answer" if answer.status is None else f"answers {answer.status}"
    return fails(f"{plane} {said} to {word}, expected 401")


def judge_services(healths: Mapping[str, Answer]) -> list[Finding]:
    """Whether both planes have the same services, and those that are needed."""
    listed = {plane: health.field("services") for plane, health in healths.items()}
    missing = [plane for plane, found in listed.items() if not isinstance(found, dict)]
    if missing:
        return [fails(f"/health of {' and '.join(missing)} lists no services")]
    first, second = (_configured(found) for found in listed.values())
    found = []
    if first != second:
        found.append(fails(f"services differ: {', '.join(sorted(first ^ second))}"))
    if lacking := sorted(set(NEEDED) - (first & second)):
        found.append(fails(f"not available on both: {', '.join(lacking)}"))
    both = ", ".join(sorted(first & second)) or "nothing"
    return [*found, holds(f"available on both: {both}")]


def judge_mode(identity: Identity) -> Finding:
    """Whether a plane runs in the mode that the runbook asks for."""
    if identity.mode == PRODUCTION:
        return holds(f"{identity.plane} runs in production mode")
    return fails(f"{identity.plane} runs with AGENT_MODE={identity.mode!r}, expected {PRODUCTION}")


def judge_parity(
    first: Parity | Silence,
    second: Parity | Silence,
    may_differ: Collection[str],
    *,
    rehearsal: bool,
) -> list[Finding]:
    """Whether two environments are the same but for what may differ.

    Args:
        first: of one plane.
        second: of the other, under the same nonce.
        may_differ: names whose difference the operator has declared.
        rehearsal: a plane without fingerprints is believed.
    """
    if isinstance(first, Silence) or isinstance(second, Silence):
        silent = [one for one in (first, second) if isinstance(one, Silence)]
        return [absent(one, "values cannot be compared", rehearsal=rehearsal) for one in silent]
    if not hmac.compare_digest(first.key_check, second.key_check):
        text = "values cannot be compared: set the same PARITY_KEY on both planes"
        return [unknown(text)]
    found = [*_present(first), *_present(second), *_mixed(first, second)]
    found += [*_left_out(first), *_left_out(second)]
    differing = sorted(
        name
        for name in first.same.keys() | second.same.keys()
        if not _alike(first.same.get(name), second.same.get(name))
    )
    found += [fails(f"{name} differs") for name in differing if name not in may_differ]
    if declared := [name for name in differing if name in may_differ]:
        found.append(holds(f"may differ by declaration, and do: {', '.join(declared)}"))
    alike = len(first.same.keys() | second.same.keys()) - len(differing)
    found.append(holds(f"{alike} variables compared under one nonce are the same"))
    return found


def absent(silence: Silence, what: str, *, rehearsal: bool) -> Finding:
    """A route that a plane has not got is no fault in a rehearsal; any other silence stays one."""
    if silence.offered:
        return silence.finding
    return believed(f"{what}: {silence.finding.text}", rehearsal=rehearsal)


def _alike(one: Shared | None, other: Shared | None) -> bool:
    if one is None or other is None or one.set != other.set:
        return False
    return hmac.compare_digest(one.fingerprint, other.fingerprint)


def _present(told: Parity) -> list[Finding]:
    """Whether what each plane has for itself is there."""
    return [
        fails(f"{told.plane}: {name} is not set")
        for name in OWN
        if name not in told.own or not told.own[name].set
    ]


def _left_out(told: Parity) -> list[Finding]:
    return [
        fails(f"{told.plane}: {name} is not compared: it leaves it out of /parity")
        for name in COMPARED
        if name not in told.same
    ]


def _mixed(first: Parity, second: Parity) -> list[Finding]:
    """A plane must not hide a variable from the comparison by calling it its own."""
    hidden = (first.own.keys() & second.same.keys()) | (second.own.keys() & first.same.keys())
    return [
        fails(f"{name} is compared by one plane only: the planes run different builds")
        for name in sorted(hidden)
    ]


def _configured(services: dict[str, object]) -> set[str]:
    return {
        name
        for name, value in services.items()
        if name != "teeWallet" and value in ("available", "connected")
    }
