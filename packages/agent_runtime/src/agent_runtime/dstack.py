"""A client of the dstack guest agent: keys and quotes of our machine (attestation §1).

It is asked over its Unix socket (or an address): POST with a JSON object, bytes as hex text. An
answer is bounded before it is read, and is what it should be or none; what it *says* is believed by
nobody here. Keys never stand in an error, a log line or a `repr`.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runtime import wire
from agent_runtime.connections import Connections
from agent_runtime.errors import RailUnknown

SERVICE = "dstack"
DEFAULT_SOCKET = "/var/run/dstack.sock"
ANSWER_MAX_BYTES = 256 * 1024
INFO_SECONDS = 3.0
KEY_SECONDS = 5.0
QUOTE_SECONDS = 5.0
REPORT_DATA_SIZE = 64
KEY_SIZE = 32
LINK_SIZE = 65
APP_ID_SIZE = 20


@dataclass(frozen=True, slots=True)
class Info:
    """What the agent says of this machine; nothing of it is proved.

    Attributes:
        app_id: 20 bytes in lower-case hex.
        instance_id: likewise, or empty where the app asks for no instance ids.
        app_compose: the file whose SHA-256 was measured, to the letter.
    """

    app_id: str
    instance_id: str
    app_compose: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A quote, with what the agent gave beside it.

    Attributes:
        quote: raw.
        event_log, vm_config: the very texts.
    """

    quote: bytes
    event_log: str
    vm_config: str


@dataclass(frozen=True, slots=True)
class AppKey:
    """A key that the KMS released to this app.

    Attributes:
        secret: 32 bytes.
        chain: by the app's key over this one, and by the KMS root over the app's key.
    """

    secret: bytes = field(repr=False)
    chain: tuple[bytes, bytes]


class GuestAgent:
    """The agent behind one socket.

    Args:
        endpoint: path of its Unix socket, or an http(s) address.
    """

    def __init__(self, endpoint: str) -> None:
        by_url = endpoint.startswith(("http://", "https://"))
        self.endpoint = endpoint
        self._client = Connections(ANSWER_MAX_BYTES, "" if by_url else endpoint)
        self._url = endpoint.rstrip("/") if by_url else "http://dstack"

    async def info(self) -> Info:
        """Who this machine is said to be.

        Raises:
            RailError: the agent refused.
            RailUnknown: it did not answer, or not with that.
        """
        found = await self._call("Info", {}, INFO_SECONDS)
        tcb = _object(_text(found, "tcb_info"), "Info: tcb_info")
        instance_id = _text(found, "instance_id")
        return Info(
            app_id=_bytes(found, "app_id", APP_ID_SIZE).hex(),
            instance_id=_bytes(found, "instance_id", APP_ID_SIZE).hex() if instance_id else "",
            app_compose=_text(tcb, "app_compose", filled=True),
        )

    async def quote(self, report_data: bytes) -> Evidence:
        """A fresh quote over 64 bytes.

        Raises:
            RailError: the agent refused.
            RailUnknown: it did not answer, or not with that.
        """
        if len(report_data) != REPORT_DATA_SIZE:
            # A shorter text would be filled up by the agent: two questions with one answer.
            raise ValueError(f"report data of {len(report_data)} bytes, expected 64")
        asked = {"report_data": report_data.hex()}
        found = await self._call("GetQuote", asked, QUOTE_SECONDS)
        return Evidence(
            _bytes(found, "quote"), _text(found, "event_log"), _text(found, "vm_config")
        )

    async def key(self, path: str, purpose: str) -> AppKey:
        """The app's secp256k1 secret of a path: the same one, whenever and wherever it is asked.

        Raises:
            RailError: the agent refused.
            RailUnknown: it did not answer, or not with that.
        """
        asked = {"path": path, "purpose": purpose, "algorithm": "secp256k1"}
        found = await self._call("GetKey", asked, KEY_SECONDS)
        links = found.get("signature_chain")
        if not isinstance(links, list) or len(links) != 2:
            raise _not("GetKey: two signatures in signature_chain")
        named = {"first": links[0], "second": links[1]}
        chain = (_bytes(named, "first", LINK_SIZE), _bytes(named, "second", LINK_SIZE))
        return AppKey(_bytes(found, "key", KEY_SIZE), chain)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, method: str, asked: dict[str, str], seconds: float) -> dict[str, Any]:
        answer = await wire.ask(
            self._client,
            SERVICE,
            "POST",
            f"{self._url}/{method}",
            deadline_seconds=seconds,
            headers={"content-type": "application/json"},
            content=wire.encode(asked),
        )
        if len(answer.body) > ANSWER_MAX_BYTES:
            raise _not(f"{method}: at most {ANSWER_MAX_BYTES} bytes")
        found = answer.expect(200).json()
        if not isinstance(found, dict):
            raise _not(f"{method}: a JSON object")
        return found


def find_agent(endpoint: str, *, needed: bool) -> GuestAgent | None:
    """The agent at this endpoint, or at the usual socket; None if none was named and none is there.

    Args:
        endpoint: as configured; empty if it is not.
        needed: take the usual socket even if it does not exist yet.
    """
    if not endpoint and not needed and not Path(DEFAULT_SOCKET).exists():
        return None
    return GuestAgent(endpoint or DEFAULT_SOCKET)


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not(f"{what} as JSON text") from error
    if not isinstance(found, dict):
        raise _not(f"{what} as a JSON object")
    return found


def _text(found: dict[str, Any], name: str, *, filled: bool = False) -> str:
    value = found.get(name)
    if not isinstance(value, str) or (filled and not value):
        raise _not(f"{name} as text")
    return value


def _bytes(found: dict[str, Any], name: str, size: int | None = None) -> bytes:
    """The bytes of a hex text; the text itself may be a secret and is shown to nobody."""
    try:
        raw = bytes.fromhex(found[name])
    except (KeyError, TypeError, ValueError):
        raw = b""
    if not raw or (size is not None and len(raw) != size):
        raise _not(f"{name} as hex of {size or 'some'} bytes") from None
    return raw


def _not(expected: str) -> RailUnknown:
    return RailUnknown(SERVICE, f"an answer without what was asked for; expected {expected}")
