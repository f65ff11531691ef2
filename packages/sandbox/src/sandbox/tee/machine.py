"""One confidential VM: what it booted, what it has measured since, and the quotes it gives."""

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ValidationError

from sandbox.tee import keys
from sandbox.tee.boot import Boot
from sandbox.tee.events import Event, registers
from sandbox.tee.kms import Kms
from sandbox.tee.pki import Pki
from sandbox.tee.platform import Platform, Svns
from sandbox.tee.quote import TdReport, make_quote

REPORT_DATA_SIZE: Final = 64
_EVENTS_MAX: Final = 1000
_UNVERIFIED_DEVICE: Final = hashlib.sha256(b"").hexdigest()
"""What every agent seen says of its device: the hash of nothing."""


class TooLongError(ValueError):
    """More was given than a quote or a log holds; the message says how much."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quote and the log that explains it.

    Attributes:
        quote: raw.
        entries: the event log, one object per entry.
    """

    quote: bytes
    entries: Sequence[dict[str, Any]]

    @property
    def event_log(self) -> str:
        """The log as the agent writes it."""
        return json.dumps(self.entries, separators=(",", ":"))


class Machine:
    """A running VM.

    Args:
        seed: of the authorities, the KMS and every key.
        boot: how it was started.
        nonce: sets this start apart from others; two starts never make the same TLS keys. Random
            unless given.
    """

    def __init__(self, seed: bytes, boot: Boot | None = None, *, nonce: str | None = None) -> None:
        self.starts = 0
        self._seed = seed
        self._nonce = secrets.token_hex(8) if nonce is None else nonce
        self._start(boot or Boot())

    def _start(self, boot: Boot) -> None:
        self.boot = boot
        svns = Svns().patched() if boot.patched else Svns()
        self.platform = Platform(Pki(self._seed), boot.platform, svns)
        self.starts += 1
        self.tls_keys_made = 0
        other = boot.key_provider == "other-kms"
        self.kms = Kms(keys.derive(self._seed, "other kms" if other else "kms"))
        self.events = boot.events(self.kms.root_spki)

    def restart(self, changes: dict[str, Any] | None = None) -> None:
        """Boot again, with some of `Boot` changed: what was measured since the boot is gone.

        Raises:
            ValueError: a change is unknown or out of range.
        """
        try:
            boot = Boot.model_validate({**self.boot.model_dump(), **(changes or {})})
        except ValidationError as error:
            raise ValueError(f"not a boot: {error}") from error
        self._start(boot)

    def sibling(self, **changes: Any) -> "Machine":
        """Return another machine under the same root, started with these changes."""
        boot = Boot.model_validate({**self.boot.model_dump(), **changes})
        return Machine(self._seed, boot, nonce=self._nonce)

    def emit(self, name: str, payload: bytes) -> Event:
        """Measure an event of the application into RTMR3.

        Raises:
            TooLongError: the log is full.
        """
        if len(self.events) >= _EVENTS_MAX:
            raise TooLongError(f"the log holds {_EVENTS_MAX} events at most; restart the machine")
        event = self.boot.runtime_event(name, payload)
        self.events.append(event)
        return event

    def report(self, report_data: bytes) -> TdReport:
        """Return what a quote would say now; shorter data are filled with zeros at the right.

        Raises:
            TooLongError: more than 64 bytes.
        """
        if len(report_data) > REPORT_DATA_SIZE:
            raise TooLongError(f"report data of {len(report_data)} bytes; at most 64 are expected")
        return TdReport(
            tee_tcb_svn=bytes(self.platform.svns.tdx),
            mr_td=self.boot.mr_td,
            rtmrs=registers(self.events),
            report_data=report_data.ljust(REPORT_DATA_SIZE, b"\0"),
            mr_config_id=self.boot.mr_config_id(self.kms.root_spki),
            debug=self.boot.debug,
            sept_ve_disable=self.boot.sept_ve_disable,
        )

    def evidence(self, report_data: bytes) -> Evidence:
        """Return a quote over these bytes and the log up to now; raises TooLongError."""
        quote = make_quote(self.platform, self.report(report_data))
        return Evidence(quote, self.log_entries())

    def log_entries(self) -> list[dict[str, Any]]:
        """Return the event log as this machine's agent writes it."""
        return [event.entry(self.boot.style) for event in self.events]

    def next_tls_key(self) -> ec.EllipticCurvePrivateKey:
        """Return a TLS key that was never given before."""
        self.tls_keys_made += 1
        name = f"tls {self._nonce} {self.starts} {self.tls_keys_made}"
        return keys.p256(self._seed, name)

    def facts(self) -> dict[str, Any]:
        """Return what a policy would pin: names and measurements as hex."""
        boot = self.boot
        report = self.report(b"")
        named = {f"rtmr{number}": value.hex() for number, value in enumerate(report.rtmrs)}
        return {
            "app_id": boot.app_id_bytes.hex(),
            "instance_id": boot.instance_id.hex(),
            "compose_hash": boot.compose_hash.hex(),
            "os_image_hash": boot.os_image_hash.hex(),
            "mrtd": report.mr_td.hex(),
            **named,
            "mr_config_id": report.mr_config_id.hex(),
            "key_provider": json.loads(boot.provider(self.kms.root_spki)),
            "kms_root_public": self.kms.root_public.hex(),
            "fmspc": self.platform.fmspc,
            "ppid": self.platform.ppid.hex(),
            "starts": self.starts,
        }

    def tcb_info(self) -> dict[str, Any]:
        """Return what `Info` says of the machine's measurements; all of it self-reported."""
        facts = self.facts()
        shown = {name: facts[name] for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")}
        aggregated = hashlib.sha256(b"".join(bytes.fromhex(v) for v in shown.values()))
        if any(bytes.fromhex(facts["mr_config_id"])):
            aggregated.update(bytes.fromhex(facts["mr_config_id"]) + bytes(96))
        return {
            **shown,
            "mr_aggregated": aggregated.hexdigest(),
            "os_image_hash": facts["os_image_hash"],
            "compose_hash": facts["compose_hash"],
            "device_id": _UNVERIFIED_DEVICE,
            "event_log": self.log_entries(),
            "app_compose": self.boot.compose,
        }
