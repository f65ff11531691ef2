"""The guest agent: the methods that a dstack machine offers its containers (attestation §1).

`POST /<Method>` with a JSON object, or `GET` with query parameters; bytes are hex text. A refusal
is HTTP 400 with `{"error": text}`; a method that this age of agent does not have is 404.
"""

import json
import time
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from sandbox.faults import Call
from sandbox.tee import tls
from sandbox.tee.kms import Algorithm
from sandbox.tee.lies import LIES
from sandbox.tee.machine import Evidence, Machine
from sandbox.web import Answer, Request, json_answer

_METHODS: Final = frozenset({"Info", "Version", "GetQuote", "GetKey", "GetTlsKey", "EmitEvent"})
_OVERSIZE: Final = 16 << 20
VERSIONS: Final = {"0.5": "0.5.8-sandbox", "0.6": "0.6.0-sandbox", "0.6-v2": "0.6.0-sandbox"}


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _QuoteAsked(_Asked):
    report_data: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2})*$", max_length=4096)] = ""


class _KeyAsked(_Asked):
    path: Annotated[str, Field(max_length=1024)] = ""
    purpose: Annotated[str, Field(max_length=1024)] = ""
    algorithm: Algorithm = "secp256k1"

    @field_validator("algorithm", mode="before")
    @classmethod
    def _k256_is_the_same(cls, value: Any) -> Any:
        return "secp256k1" if value in {"", "k256"} else value


class _TlsKeyAsked(_Asked):
    subject: Annotated[str, Field(max_length=64)] = ""
    alt_names: tuple[Annotated[str, Field(max_length=253)], ...] = ()
    usage_ra_tls: bool = False
    usage_server_auth: bool = False
    usage_client_auth: bool = False
    not_before: int | None = None
    not_after: int | None = None


class _EventAsked(_Asked):
    event: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^:]+$")]
    payload: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2})*$", max_length=4096)] = ""


@dataclass(slots=True)
class GuestAgent:
    """The agent of one machine; the caller may change the machine under it."""

    machine: Machine
    name: str = "guest"
    _first: Evidence | None = None
    _certificate: tuple[int, str] = (0, "")

    def identify(self, request: Request) -> Call:
        """Say which method is called."""
        method = request.path.removeprefix("/")
        return Call(self.name, method if method in _METHODS else "unknown")

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer, or tell the lie that `wrong` names."""
        if wrong == "html":
            return Answer(200, b"<html>it works</html>", {"content-type": "text/html"})
        if wrong is not None and call.operation != "GetQuote":
            return json_answer(
                {"error": f"{wrong} is a lie about quotes, not {call.operation}"}, 500
            )
        try:
            found = self._answer(call.operation, _fields(request), wrong)
        except ValueError as error:
            return json_answer({"error": _first_line(error)}, 400)
        if found is None:
            return json_answer({"error": f"no method {request.path}"}, 404)
        return json_answer(found)

    def _answer(
        self, method: str, fields: dict[str, Any], wrong: str | None
    ) -> dict[str, Any] | None:
        match method:
            case "Info":
                return self._info()
            case "Version":
                return {"version": VERSIONS[self.machine.boot.style], "rev": "sandbox"}
            case "GetQuote":
                return self._get_quote(_QuoteAsked.model_validate(fields), wrong)
            case "GetKey":
                return self._get_key(_KeyAsked.model_validate(fields))
            case "GetTlsKey":
                return self._get_tls_key(_TlsKeyAsked.model_validate(fields))
            case "EmitEvent" if self.machine.boot.style == "0.5":
                asked = _EventAsked.model_validate(fields)
                self.machine.emit(asked.event, bytes.fromhex(asked.payload))
                return {}
            case _:
                return None

    def _info(self) -> dict[str, Any]:
        machine, tcb = self.machine, self.machine.tcb_info()
        provider = machine.boot.provider(machine.kms.root_spki).decode()
        return {
            "app_id": machine.boot.app_id_bytes.hex(),
            "instance_id": machine.boot.instance_id.hex(),
            "app_cert": self._app_certificate(),
            "tcb_info": json.dumps(tcb, separators=(",", ":")),
            "app_name": machine.boot.app,
            "device_id": tcb["device_id"],
            "mr_aggregated": tcb["mr_aggregated"],
            "os_image_hash": tcb["os_image_hash"],
            "key_provider_info": provider,
            "compose_hash": tcb["compose_hash"],
            "vm_config": machine.boot.vm_config(),
            "cloud_vendor": "sandbox",
            "cloud_product": "laptop",
        }

    def _app_certificate(self) -> str:
        """Return the machine's own RA-TLS certificate, made at its first use after a boot."""
        if self._certificate[0] != self.machine.starts:
            asked = _TlsKeyAsked(usage_ra_tls=True, usage_server_auth=True)
            leaf: str = self._get_tls_key(asked)["certificate_chain"][0]
            self._certificate = (self.machine.starts, leaf)
        return self._certificate[1]

    def _get_quote(self, asked: _QuoteAsked, wrong: str | None) -> dict[str, Any]:
        report_data = bytes.fromhex(asked.report_data)
        evidence = self._evidence(report_data, wrong)
        answer = {
            "quote": "" if wrong == "no_quote" else evidence.quote.hex(),
            "event_log": evidence.event_log,
            "report_data": report_data.ljust(64, b"\0").hex(),
            "vm_config": self.machine.boot.vm_config(),
        }
        if self.machine.boot.style != "0.5":
            answer["attestation"] = ""
        if wrong == "oversized":
            answer["vm_config"] = "x" * _OVERSIZE
        return answer

    def _evidence(self, report_data: bytes, wrong: str | None) -> Evidence:
        honest = self.machine.evidence(report_data)
        if self._first is None:
            self._first = honest
        if wrong == "replayed":
            return self._first
        if wrong is None or wrong not in LIES:
            return honest
        return LIES[wrong](self.machine, report_data)

    def _get_key(self, asked: _KeyAsked) -> dict[str, Any]:
        app_id = self.machine.boot.app_id_bytes
        key = self.machine.kms.app_key(app_id, asked.path, asked.purpose, asked.algorithm)
        return {"key": key.secret.hex(), "signature_chain": [one.hex() for one in key.chain]}

    def _get_tls_key(self, asked: _TlsKeyAsked) -> dict[str, Any]:
        machine, now = self.machine, int(time.time())
        key = machine.next_tls_key()
        evidence = None
        if asked.usage_ra_tls:
            found = machine.evidence(tls.ra_tls_report_data(key))
            evidence = (found.quote, found.event_log.encode())
        wanted = tls.Wanted(
            subject=asked.subject,
            alt_names=asked.alt_names,
            not_before=now if asked.not_before is None else asked.not_before,
            not_after=now + tls.YEARS_10 if asked.not_after is None else asked.not_after,
            server=asked.usage_server_auth,
            client=asked.usage_client_auth,
            evidence=evidence,
        )
        chain = tls.certificate_chain(machine.kms, machine.boot.app_id_bytes, key, wanted)
        return {"key": tls.key_pem(key), "certificate_chain": chain}


def _fields(request: Request) -> dict[str, Any]:
    """Return the parameters; raises ValueError when the body is no JSON object."""
    if request.method == "GET":
        return dict(request.query)
    value = request.json() if request.body.strip() else {}
    if not isinstance(value, dict):
        found = type(value).__name__
        raise ValueError(f"a JSON object is expected, not {found}")  # noqa: TRY004  # the caller's
    return value


def _first_line(error: ValueError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)
