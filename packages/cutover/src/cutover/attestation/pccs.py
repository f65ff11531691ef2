"""One collection of collateral from one service, by its wire format (attestation §11)."""

import asyncio
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import httpx

from cutover.attestation.collateral import Collateral, parse_collateral
from cutover.attestation.fetch import NoAnswerError, read_bounded
from cutover.attestation.limits import COLLATERAL_BYTES_MAX
from cutover.attestation.strict import MalformedError, canonical_json, shown

_TCB_CHAINS: Final = ("TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain")
_QE_CHAIN: Final = "SGX-Enclave-Identity-Issuer-Chain"
_CRL_CHAIN: Final = "SGX-PCK-CRL-Issuer-Chain"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service.

    Attributes:
        url: base address.
        root_crl_url: where the root's revocation list is in DER, for a service that has no
            `rootcacrl` of its own (Intel's); empty for all others.
    """

    url: str
    root_crl_url: str = ""


async def collect(
    endpoint: Endpoint, fmspc: str, ca: str, deadline_ms: int, *, update: str = "standard"
) -> Collateral:
    """A complete set, not yet proved.

    Args:
        endpoint: whom to ask.
        fmspc: platform family, upper-case hex.
        ca: `platform` or `processor`.
        deadline_ms: for the whole set.
        update: `standard`, or `early` for the next evaluation set.

    Raises:
        NoAnswerError: the service gives no complete set in time.
        MalformedError: it gives something else.
    """
    base = endpoint.url.rstrip("/")
    sgx, tdx = f"{base}/sgx/certification/v4", f"{base}/tdx/certification/v4"
    try:
        async with (
            asyncio.timeout(deadline_ms / 1000),
            httpx.AsyncClient(trust_env=False, timeout=deadline_ms / 1000) as client,
        ):
            found = await _all(
                client,
                f"{sgx}/pckcrl?ca={ca}&encoding=der",
                f"{tdx}/tcb?fmspc={fmspc}&update={update}",
                f"{tdx}/qe/identity?update={update}",
                endpoint.root_crl_url or f"{sgx}/rootcacrl",
            )
    except TimeoutError as error:
        raise NoAnswerError(f"{_host(base)}: no whole set within {deadline_ms} ms") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        what = shown(str(error)) or type(error).__name__
        raise NoAnswerError(f"{_host(base)}: {what}") from error
    (crl, crl_head), (info, info_head), (enclave, qe_head), (root, _) = found
    tcb_info, tcb_signature = _signed(info, "tcbInfo")
    qe_identity, qe_signature = _signed(enclave, "enclaveIdentity")
    parts: dict[str, Any] = {
        "pck_crl_issuer_chain": _chain(crl_head, _CRL_CHAIN),
        "root_ca_crl": root.hex() if endpoint.root_crl_url else root.decode("ascii", "replace"),
        "pck_crl": crl.hex(),
        "tcb_info_issuer_chain": _chain(info_head, *_TCB_CHAINS),
        "tcb_info": tcb_info,
        "tcb_info_signature": tcb_signature,
        "qe_identity_issuer_chain": _chain(qe_head, _QE_CHAIN),
        "qe_identity": qe_identity,
        "qe_identity_signature": qe_signature,
    }
    parts["root_ca_crl"] = parts["root_ca_crl"].strip().lower()
    return parse_collateral(canonical_json(parts))


_Document = tuple[bytes, httpx.Headers]


async def _all(client: httpx.AsyncClient, *urls: str) -> list[_Document]:
    """All documents of one set at once: a set is as old as its slowest part, not as their sum.

    The first one that fails ends the others.
    """
    asked = [asyncio.ensure_future(_get(client, url)) for url in urls]
    try:
        return await asyncio.gather(*asked)
    finally:
        for one in asked:
            one.cancel()
        await asyncio.wait(asked)


async def _get(client: httpx.AsyncClient, url: str) -> _Document:
    head = {"accept-encoding": "identity"}
    async with client.stream("GET", url, headers=head) as response:
        if response.status_code != 200:
            raise NoAnswerError(f"{_host(url)}: {response.status_code} for {urlsplit(url).path}")
        return await read_bounded(response, COLLATERAL_BYTES_MAX), response.headers


def _chain(headers: httpx.Headers, *names: str) -> str:
    for name in names:
        if name in headers:
            return unquote(headers[name])
    raise MalformedError(f"no header {names[0]}", "the issuer chain of the document")


def _signed(raw: bytes, name: str) -> tuple[str, str]:
    """The very text of the inner object, which the signature covers, and the signature.

    The object is cut out, not parsed and written again: a blank more or less would break it.
    """
    text = raw.decode("utf-8", "replace").strip()
    opening, middle = f'{{"{name}":', ',"signature":"'
    body, found, rest = text.removeprefix(opening).rpartition(middle)
    if not text.startswith(opening) or not found or not rest.endswith('"}'):
        expected = f'{{"{name}":…,"signature":"…"}} without blanks'
        raise MalformedError(f"{name}: {shown(text[:60])}", expected)
    return body, rest.removesuffix('"}').lower()


def _host(url: str) -> str:
    return urlsplit(url).netloc or url
