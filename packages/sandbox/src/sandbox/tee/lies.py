"""What a machine can answer to `GetQuote` instead of the truth, by the name of the lie.

Three kinds: forged quotes (`forgery`), honest quotes of somebody else, and honest quotes beside a
log that does not explain them or that was measured to mislead (attestation §2, the four traps).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sandbox.tee.boot import ExtraEvent, compose_text
from sandbox.tee.forgery import QUOTE_FORGERIES, Forge
from sandbox.tee.machine import Evidence, Machine

Lie = Callable[[Machine, bytes], Evidence]
_OTHER_COMPOSE: Final = compose_text("registry.example/busybox:latest", pre_launch_script="id")
_OTHER_HASH: Final = "5a" * 32


def _forged(forge: Forge) -> Lie:
    def lie(machine: Machine, report_data: bytes) -> Evidence:
        return Evidence(forge(machine.platform, machine.report(report_data)), machine.log_entries())

    return lie


def _sibling(**changes: Any) -> Lie:
    def lie(machine: Machine, report_data: bytes) -> Evidence:
        return machine.sibling(**changes).evidence(report_data)

    return lie


def _about_log(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Lie:
    def lie(machine: Machine, report_data: bytes) -> Evidence:
        honest = machine.evidence(report_data)
        digests = [event.digest.hex() for event in machine.events]
        # The lies about digests need them also where the agent leaves them out.
        entries = [
            {**entry, "digest": digest}
            for entry, digest in zip(honest.entries, digests, strict=True)
        ]
        return replace(honest, entries=change(entries))

    return lie


def _compose_at(entries: list[dict[str, Any]]) -> int:
    return next(n for n, entry in enumerate(entries) if entry["event"] == "compose-hash")


def forged_compose(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Another compose hash under the digest of the true one."""
    at = _compose_at(entries)
    return [*entries[:at], {**entries[at], "event_payload": _OTHER_HASH}, *entries[at + 1 :]]


def foreign_event_type(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Likewise, and the entry says it is of a type whose digest cannot be recomputed."""
    at, forged = _compose_at(entries), forged_compose(entries)
    forged[at]["event_type"] = 1
    return forged


def reordered_log(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Two neighbours of RTMR3 change places."""
    at = _compose_at(entries)
    return [*entries[: at - 1], entries[at], entries[at - 1], *entries[at + 1 :]]


def truncated_log(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last event is missing."""
    return entries[:-1]


def empty_log(_: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """No event at all."""
    return []


def unasked_report_data(machine: Machine, _: bytes) -> Evidence:
    """A good quote over other bytes than the caller's."""
    return machine.evidence(b"not what you asked for")


def measured_twice(machine: Machine, report_data: bytes) -> Evidence:
    """Two compose hashes before `system-ready`, both truly measured; the second is not ours."""
    return _with_compose_event(machine, "before_ready").evidence(report_data)


def measured_late(machine: Machine, report_data: bytes) -> Evidence:
    """A second compose hash after `system-ready`, truly measured, by the application."""
    return _with_compose_event(machine, "after_ready").evidence(report_data)


def _with_compose_event(machine: Machine, where: str) -> Machine:
    return machine.sibling(**{where: (ExtraEvent(event="compose-hash", payload=_OTHER_HASH),)})


LIES: Final[Mapping[str, Lie]] = {
    "other_app": _sibling(app="somebody-else", app_id=None),
    "other_compose": _sibling(compose=_OTHER_COMPOSE),
    "other_instance": _sibling(disk="another disk"),
    "other_image": _sibling(dev=True),
    "other_size": _sibling(cpu_count=64),
    "other_kms": _sibling(key_provider="other-kms"),
    "local_keys": _sibling(key_provider="local-sgx"),
    **{name: _forged(forge) for name, forge in QUOTE_FORGERIES.items()},
    **{
        change.__name__: _about_log(change)
        for change in (forged_compose, foreign_event_type, reordered_log, truncated_log, empty_log)
    },
    **{lie.__name__: lie for lie in (unasked_report_data, measured_twice, measured_late)},
}
"""Every lie; the first one is what a fault rule without a variant plays."""
