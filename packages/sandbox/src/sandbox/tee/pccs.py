"""The collateral service: what a verifier fetches, in the wire format of the real one (§11).

    GET /tdx/certification/v4/tcb?fmspc=HEX          [&update=early|standard]
    GET /sgx/certification/v4/tcb?fmspc=HEX          [or &tcbEvaluationDataNumber=N]
    GET /tdx/certification/v4/qe/identity            likewise
    GET /tdx/certification/v4/tcbevaluationdatanumbers
    GET /sgx/certification/v4/pckcrl?ca=platform|processor&encoding=der   (or hex text)
    GET /sgx/certification/v4/rootcacrl              hex text

Chains travel in headers as URL-encoded PEM. The documents are made when they are asked for, dated
by the service's clock and `settings`.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import quote

from sandbox.faults import Call
from sandbox.tee import keys
from sandbox.tee.collateral import Maker, Update
from sandbox.tee.pki import Authority, Pki
from sandbox.tee.platform import Platform
from sandbox.tee.settings import Collateral
from sandbox.tee.tcb import Kind, Signed
from sandbox.web import Answer, Request, json_answer

_FMSPC: Final = re.compile(r"[0-9A-Fa-f]{12}")
_PATHS: Final = {
    "/tdx/certification/v4/tcb": "tcb",
    "/sgx/certification/v4/tcb": "tcb",
    "/tdx/certification/v4/qe/identity": "qe_identity",
    "/tdx/certification/v4/tcbevaluationdatanumbers": "evaluation_numbers",
    "/sgx/certification/v4/pckcrl": "pckcrl",
    "/sgx/certification/v4/rootcacrl": "rootcacrl",
}
_OVERSIZE: Final = 16 << 20
_FOREIGN_FMSPC: Final = "00906ED50000"


class _RefusedError(Exception):
    """The request cannot be answered; HTTP status and message."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message
        super().__init__(message)


@dataclass(slots=True)
class Pccs:
    """The service for one kind of platform.

    Attributes:
        platform: whose FMSPC and patch levels the documents are about.
        settings: may be changed at any time; the next answer follows it.
        clock: Unix seconds.
    """

    platform: Platform
    settings: Collateral = field(default_factory=Collateral)
    clock: Callable[[], float] = time.time
    name: str = "pccs"

    def identify(self, request: Request) -> Call:
        """Say which document is asked for."""
        marks = {"update": request.query.get("update", "standard")}
        return Call(self.name, _PATHS.get(request.path, "unknown"), marks)

    async def answer(self, request: Request, call: Call, wrong: str | None) -> Answer:
        """Answer, wrongly if `wrong` says so."""
        if wrong == "html":
            return Answer(200, b"<html>it works</html>", {"content-type": "text/html"})
        if wrong == "not_found" or call.operation == "unknown" or request.method != "GET":
            return json_answer({"error": f"no {request.method} {request.path} here"}, 404)
        try:
            answer = self._answer(request, call.operation, wrong)
        except _RefusedError as refusal:
            return json_answer({"error": refusal.message}, refusal.status)
        return _spoiled(answer, wrong)

    def _answer(self, request: Request, operation: str, wrong: str | None) -> Answer:
        maker = self._maker(wrong)
        pki, query = maker.platform.pki, request.query
        match operation:
            case "tcb":
                self._check_fmspc(query.get("fmspc", ""))
                kind: Kind = "SGX" if wrong == "sgx" or "/sgx/" in request.path else "TDX"
                signed = maker.tcb_info(self._update(request), kind)
                return _signed("tcbInfo", signed, "TCB-Info-Issuer-Chain", pki)
            case "qe_identity":
                identity = maker.qe_identity(self._update(request))
                header = "SGX-Enclave-Identity-Issuer-Chain"
                return _signed("enclaveIdentity", identity, header, pki)
            case "evaluation_numbers":
                header = "TCB-Evaluation-Data-Numbers-Issuer-Chain"
                numbers = maker.evaluation_numbers()
                return _signed("tcbEvaluationDataNumbers", numbers, header, pki)
            case "pckcrl":
                return _pck_crl(maker, query.get("ca", ""), query.get("encoding", ""))
            case _:
                return _hex(maker.root_crl(), {})

    def _maker(self, wrong: str | None) -> Maker:
        platform = self.platform
        if wrong == "foreign_root":
            seed = keys.derive(platform.pki.seed, "somebody else")
            platform = replace(platform, pki=Pki(seed))
        elif wrong == "other_fmspc":
            platform = replace(platform, fmspc=_FOREIGN_FMSPC)
        return Maker(platform, self.settings, int(self.clock()))

    def _check_fmspc(self, given: str) -> None:
        if not _FMSPC.fullmatch(given):
            raise _RefusedError(400, f"fmspc: 12 hex digits are expected, not {given[:20]!r}")
        if given.upper() != self.platform.fmspc.upper():
            raise _RefusedError(404, f"no TCB info for {given}; known: {self.platform.fmspc}")

    def _update(self, request: Request) -> Update:
        """Return which set is asked for, by name or by its number."""
        update = request.query.get("update")
        number = request.query.get("tcbEvaluationDataNumber")
        if update is not None and number is not None:
            raise _RefusedError(400, "give update or tcbEvaluationDataNumber, not both")
        if number is not None:
            return self._numbered(number)
        match update:
            case None | "standard":
                return "standard"
            case "early":
                return "early"
            case _:
                raise _RefusedError(400, f"update: early or standard, not {update[:20]!r}")

    def _numbered(self, number: str) -> Update:
        if not number.isascii() or not number.isdigit():
            raise _RefusedError(400, f"tcbEvaluationDataNumber: not {number[:20]!r}")
        standard, early = self.settings.standard, self.settings.early
        if int(number[:9]) == standard.number:
            return "standard"
        if early is not None and int(number[:9]) == early.number:
            return "early"
        gone = int(number[:9]) < standard.number
        raise _RefusedError(410 if gone else 404, f"no evaluation data set {number[:9]}")


def _signed(name: str, document: Signed, header: str, pki: Pki) -> Answer:
    headers = {"content-type": "application/json", header: quote(pki.tcb_chain, safe="")}
    return Answer(200, document.envelope(name), headers)


def _pck_crl(maker: Maker, ca: str, encoding: str) -> Answer:
    authorities: dict[str, Authority] = {"platform": "platform", "processor": "processor"}
    authority = authorities.get(ca)
    if authority is None:
        raise _RefusedError(400, f"ca: platform or processor, not {ca[:20]!r}")
    crl = maker.pck_crl(authority)
    chain = quote(maker.platform.pki.pck_ca_chain(authority), safe="")
    headers = {"SGX-PCK-CRL-Issuer-Chain": chain}
    match encoding.lower():
        case "der":
            return Answer(200, crl, {"content-type": "application/pkix-crl", **headers})
        case "":
            return _hex(crl, headers)
        case _:
            raise _RefusedError(400, f"encoding: der or nothing, not {encoding[:20]!r}")


def _hex(value: bytes, headers: dict[str, str]) -> Answer:
    return Answer(200, value.hex().encode(), {"content-type": "text/plain", **headers})


def _spoiled(answer: Answer, wrong: str | None) -> Answer:
    match wrong:
        case "no_chain":
            kept = {n: v for n, v in answer.headers.items() if not n.endswith("Issuer-Chain")}
            return replace(answer, headers=kept)
        case "bad_signature":
            return replace(answer, body=_flipped(answer.body))
        case "oversized":
            return replace(answer, body=answer.body + b" " * _OVERSIZE)
        case _:
            return answer


def _flipped(body: bytes) -> bytes:
    """Change the last hex digit of a signature; of a revocation list, its last bit."""
    if body.endswith(b'"}'):
        return body[:-3] + (b"0" if body[-3:-2] != b"0" else b"1") + b'"}'
    is_text = all(byte in b"0123456789abcdef" for byte in body[-8:])
    last = (b"0" if body[-1:] != b"0" else b"1") if is_text else bytes([body[-1] ^ 1])
    return body[:-1] + last
