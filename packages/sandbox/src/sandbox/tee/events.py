"""The event log of a boot and the registers that it extends (attestation §2)."""

import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

RUNTIME: Final = 0x08000001
"""Type of every entry that the guest itself measures into RTMR3."""
Style = Literal["0.5", "0.6", "0.6-v2"]


@dataclass(frozen=True, slots=True)
class Event:
    """One measured event.

    Attributes:
        register: 0 to 3.
        kind: event type; `RUNTIME` in register 3.
        name: of the event, empty for most of the firmware's.
        payload: what was measured under that name.
        version: of the way a runtime event is hashed, 1 or 2.
    """

    register: int
    kind: int
    name: str
    payload: bytes
    version: int = 1

    @property
    def preimage(self) -> bytes:
        """The bytes whose SHA-384 is the digest."""
        if self.register != 3:
            return self.payload
        if self.version == 2:
            fields = {"name": self.name, "payload": self.payload.hex(), "type": self.kind}
            text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            return text.encode()
        return struct.pack("<I", self.kind) + b":" + self.name.encode() + b":" + self.payload

    @property
    def digest(self) -> bytes:
        """What the register is extended with, 48 bytes."""
        return hashlib.sha384(self.preimage).digest()

    def entry(self, style: Style) -> dict[str, Any]:
        """Return the entry as a guest agent of that age writes it."""
        blank = style == "0.6" and self.register == 3
        entry: dict[str, Any] = {
            "imr": self.register,
            "event_type": self.kind,
            "digest": "" if blank else self.digest.hex(),
            "event": self.name,
            "event_payload": self._payload(style).hex(),
        }
        if self.version == 2:
            entry |= {"version": 2, "preimage": self.preimage.hex()}
        return entry

    def _payload(self, style: Style) -> bytes:
        """Newer agents keep the firmware's digests and drop its payloads."""
        return self.payload if self.register == 3 or style == "0.5" else b""


def registers(events: Iterable[Event]) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the four registers after these events, each 48 bytes."""
    found = [bytes(48)] * 4
    for event in events:
        found[event.register] = hashlib.sha384(found[event.register] + event.digest).digest()
    return found[0], found[1], found[2], found[3]
