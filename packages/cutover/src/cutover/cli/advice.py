"""What a configuration leaves out that the runbook's gates will ask for."""

from dataclasses import dataclass
from typing import Final

from cutover.runbook.document import Runbook
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.settings import Settings

DIGEST: Final = "@sha256:"


@dataclass(frozen=True, slots=True)
class Advice:
    """A setting that is missing, and what will not open without it."""

    setting: str
    text: str


def advice(runbook: Runbook, settings: Settings) -> list[Advice]:
    """Everything that a run would wait for, known before it starts.

    A rehearsal, on loopback, waits for none of it.
    """
    if runbook.rehearsal:
        return []
    return [
        *_images(runbook, settings),
        *_entrance(runbook, settings),
        *_chain(runbook, settings),
        *_webhook(runbook, settings),
        *_reference(settings),
    ]


def _images(runbook: Runbook, settings: Settings) -> list[Advice]:
    if all(p.check is not Check.IDENTICAL_IMAGE for p in runbook.preconditions):
        return []
    text = (
        f"precondition {Check.IDENTICAL_IMAGE} will not hold: give the plane's image as "
        f"NAME{DIGEST}…, its compose file, or what its engine says (record)"
    )
    proved = runbook.attestation_gate().evidence is Evidence.VERIFIED
    return [
        Advice(f"planes.{name}.image", text)
        for name, plane in settings.planes.items()
        if DIGEST not in plane.image
        and plane.compose is None
        and plane.record is None
        and not (proved and name == runbook.candidate)  # its attested compose file says it
    ]


def _entrance(runbook: Runbook, settings: Settings) -> list[Advice]:
    told = settings.gateway is not None and settings.gateway.url is not None
    if told or all(p.check is not Check.TLS_AND_DOMAIN for p in runbook.preconditions):
        return []
    text = (
        f"precondition {Check.TLS_AND_DOMAIN} cannot be judged: give the address where users "
        "arrive, https and with a name of yours"
    )
    return [Advice("gateway.url", text)]


def _chain(runbook: Runbook, settings: Settings) -> list[Advice]:
    if settings.conductor.near_rpc:
        return []
    asks = ["gate live_intents"]
    if _confirms(runbook, PostCheckName.RECEIPT_TRANSACTION):
        asks.append(f"check {PostCheckName.RECEIPT_TRANSACTION}")
    text = (
        f"no payment can be confirmed on the chain, so {' and '.join(asks)} will not pass: name "
        f"NEAR RPC providers, and the paying account as conductor.near_sender"
    )
    return [Advice("conductor.near_rpc", text)]


def _webhook(runbook: Runbook, settings: Settings) -> list[Advice]:
    given = settings.gateway is not None and settings.gateway.webhook_secret is not None
    if given or not _confirms(runbook, PostCheckName.WEBHOOK_SIGNATURES):
        return []
    text = (
        f"check {PostCheckName.WEBHOOK_SIGNATURES} cannot sign a delivery: give the planes' secret"
    )
    return [Advice("gateway.webhook_secret", text)]


def _confirms(runbook: Runbook, name: PostCheckName) -> bool:
    return any(check.name is name for check in runbook.post_checks)


def _reference(settings: Settings) -> list[Advice]:
    if settings.conductor.reference_url:
        return []
    text = (
        "a plane's silence cannot be told from our own, and would count against the plane: name "
        "an address that is on neither of them"
    )
    return [Advice("conductor.reference_url", text)]
