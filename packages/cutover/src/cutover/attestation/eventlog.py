"""The event log, replayed strictly (attestation §2).

Theory. A register of the quote holds the hash chain of everything that was measured into it, so a
log is true exactly if replaying it gives the register. That helps only if what we read (name and
payload) is what was hashed: therefore no digest of the log is believed, every one of RTMR3 is
recomputed from name and payload; an entry whose digest could not be recomputed is refused; and
claims are read only before `system-ready`, where the guest itself wrote, each exactly once.
"""

import hashlib
import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cutover.attestation.limits import EVENTS_MAX
from cutover.attestation.quote import Report
from cutover.attestation.strict import (
    MalformedError,
    canonical_json,
    hex_bytes,
    read_json,
    shown,
    table_of,
    text_of,
)

RUNTIME_EVENT: Final = 0x08000001
READY: Final = "system-ready"
TRUSTED: Final = ("app-id", "compose-hash", "instance-id", "key-provider")
"""Exactly once each before `system-ready`, never after it."""
_ONCE: Final = frozenset({
    "system-preparing", "rootfs-hash", "boot-mr-done", "mr-kms", "os-image-hash", "storage-fs",
    "gpu-policy-hash", "gpu-attestation", READY,
})  # fmt: skip
_OFTEN: Final = frozenset({"init-script-hash"})
_RESERVED: Final = _ONCE | _OFTEN | frozenset(TRUSTED)
_DIGEST_SIZE: Final = 48
_V1, _V2 = 1, 2


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of RTMR3, its digest recomputed."""

    name: str
    payload: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class EventLog:
    """A log whose form is right; whether it is true, only `replay` says.

    Attributes:
        registers: what RTMR0 to 3 are after its entries; None for one of the first three that it
            has no entry of. Their digests are taken as given: these registers are compared as
            wholes.
        runtime: the entries of RTMR3.
    """

    registers: tuple[bytes | None, bytes | None, bytes | None, bytes]
    runtime: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class BootFacts:
    """What a replayed log says about the machine; `instance_id` may be empty.

    Attributes:
        app_id, compose_hash, instance_id: raw bytes.
        provider: name of the key provider.
        provider_id: its id, raw bytes.
        os_image_hash: as measured; untrusted unless MRTD and RTMR0 to 2 are.
        application: names of events after `system-ready`, and of unknown ones before.
    """

    app_id: bytes
    compose_hash: bytes
    instance_id: bytes
    provider: str
    provider_id: bytes
    os_image_hash: bytes
    application: tuple[str, ...]


@lru_cache(maxsize=16)
def parse_event_log(text: str | bytes) -> EventLog:
    """Read a guest agent's log, of dstack 0.3, 0.5 or 0.6.

    One boot shows the same log at every look, so it is read once.

    Raises:
        MalformedError: naming the first entry that is not as it must be.
    """
    entries = read_json(text, "event log")
    if not isinstance(entries, list) or not 0 < len(entries) <= EVENTS_MAX:
        raise MalformedError(f"event log: {shown(entries)}", f"a list of 1 to {EVENTS_MAX} events")
    boot: tuple[list[bytes], list[bytes], list[bytes]] = ([], [], [])
    runtime = []
    for number, value in enumerate(entries, 1):
        what = f"event {number}"
        entry = table_of(value, what)
        imr = entry.get("imr")
        if type(imr) is not int or not 0 <= imr <= 3:
            raise MalformedError(f"{what}: imr {shown(imr)}", "a register, 0 to 3")
        if imr == 3:
            runtime.append(_runtime(entry, what))
        else:
            boot[imr].append(hex_bytes(entry.get("digest"), f"{what}: digest", _DIGEST_SIZE))
    rtmr0, rtmr1, rtmr2 = (extend(digests) if digests else None for digests in boot)
    rtmr3 = extend([event.digest for event in runtime])
    return EventLog((rtmr0, rtmr1, rtmr2, rtmr3), tuple(runtime))


def _runtime(entry: dict[str, Any], what: str) -> Event:
    kind = entry.get("event_type")
    if type(kind) is not int or kind != RUNTIME_EVENT:
        # Its digest is not made from name and payload, so these could say anything.
        raise MalformedError(f"{what}: event_type {shown(kind)}", f"{RUNTIME_EVENT} in RTMR3")
    name = text_of(entry, "event", what)
    payload = hex_bytes(entry.get("event_payload"), f"{what}: payload")
    version = entry.get("version", _V1)
    if type(version) is not int or version not in {_V1, _V2}:
        raise MalformedError(f"{what}: version {shown(version)}", "1 or 2")
    given = hex_bytes(entry.get("digest", ""), f"{what}: digest", 0, _DIGEST_SIZE)
    preimage = _preimage(name, payload, version)
    if version == _V2 and hex_bytes(entry.get("preimage"), f"{what}: preimage") != preimage:
        raise MalformedError(f"{what}: another preimage", "the canonical form of its own fields")
    digest = hashlib.sha384(preimage).digest()
    if (given or version == _V2) and given != digest:
        seen = f"{what} ({shown(name)}): digest {given.hex()[:16] or 'absent'}"
        raise MalformedError(seen, f"{digest.hex()[:16]}…, the digest of its name and payload")
    return Event(name, payload, digest)


def _preimage(name: str, payload: bytes, version: int) -> bytes:
    if version == _V2:
        return canonical_json({"name": name, "payload": payload.hex(), "type": RUNTIME_EVENT})
    if ":" in name:  # version 1 joins with it, so where the name ends would be anybody's choice
        raise MalformedError(f"the name {shown(name)}", "a name without a colon")
    try:
        encoded = name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedError("a name with a lone surrogate", "Unicode text") from error
    return RUNTIME_EVENT.to_bytes(4, "little") + b":" + encoded + b":" + payload


def extend(digests: Sequence[bytes]) -> bytes:
    """The register after these digests."""
    register = bytes(_DIGEST_SIZE)
    for digest in digests:
        register = hashlib.sha384(register + digest).digest()
    return register


def replay(log: EventLog, report: Report) -> list[int]:
    """Compare with the quote; returns the registers that the log covers, RTMR3 among them.

    Raises:
        MalformedError: naming the first register that the log does not lead to.
    """
    covered = []
    for index, value in enumerate(log.registers):
        if value is None:
            continue  # a log of RTMR3 alone; RTMR0 to 2 are compared with the policy as wholes
        if not hmac.compare_digest(value, report.rtmr(index)):
            seen = f"RTMR{index} replays to {value.hex()[:16]}…"
            raise MalformedError(seen, f"{report.rtmr(index).hex()[:16]}…, as in the quote")
        covered.append(index)
    return covered


def read_facts(log: EventLog, allowed: Collection[str] | None) -> BootFacts:
    """What the log says before `system-ready`.

    Args:
        log: already replayed.
        allowed: application events that the policy names; None lets any pass, to be shown.

    Raises:
        MalformedError: a trusted name absent, repeated or late; an event nobody named.
    """
    names = [event.name for event in log.runtime]
    if names.count(READY) != 1:
        raise MalformedError(f"{READY} x{names.count(READY)}", f"{READY} exactly once")
    ready = names.index(READY)
    before, after = names[:ready], names[ready + 1 :]
    for name in TRUSTED:
        if before.count(name) != 1:
            raise MalformedError(f"{name} x{before.count(name)} before {READY}", "exactly once")
    for name in sorted(_ONCE):
        if before.count(name) > 1:
            raise MalformedError(f"{name} x{before.count(name)} before {READY}", "at most once")
    if late := sorted(_RESERVED.intersection(after)):
        raise MalformedError(f"{late[0]} after {READY}", f"the system's own names before {READY}")
    application = [name for name in before if name not in _RESERVED] + after
    if allowed is not None and (strange := [n for n in application if n not in allowed]):
        wanted = ", ".join(sorted(allowed)) or "none"
        raise MalformedError(f"the event {shown(strange[0])}", f"only events named: {wanted}")
    return _facts({e.name: e.payload for e in log.runtime[:ready]}, tuple(application))


def _facts(payloads: dict[str, bytes], application: tuple[str, ...]) -> BootFacts:
    for name, sizes in (("app-id", {20}), ("compose-hash", {32}), ("instance-id", {0, 20})):
        if len(payloads[name]) not in sizes:
            raise MalformedError(f"{name} of {len(payloads[name])} bytes", f"{max(sizes)} bytes")
    provider = table_of(read_json(payloads["key-provider"], "key-provider"), "key-provider")
    return BootFacts(
        payloads["app-id"],
        payloads["compose-hash"],
        payloads["instance-id"],
        text_of(provider, "name", "key-provider"),
        hex_bytes(provider.get("id"), "key-provider: id"),
        payloads.get("os-image-hash", b""),
        application,
    )
