"""The few bytes of a TDX quote that we look at ourselves (attestation §12). Pure.

Nothing is verified here. Whoever relies on a quote verifies it; we only ask whether the agent gave
an answer to our question, about our app.
"""

import hmac
import json

from agent_runtime.dstack import REPORT_DATA_SIZE, Evidence, Info

TDX = 0x81
OFFSETS = {4: 568, 5: 574}
"""Where report_data begins, by version: behind the header (48), in a version 5 its body's type and
size (6), and 520 bytes of registers."""


def report_data_of(quote: bytes) -> bytes:
    """The 64 bytes that a quote was asked to carry; empty if it is no TDX quote."""
    version = int.from_bytes(quote[0:2], "little")
    tee = int.from_bytes(quote[4:8], "little")
    begin = OFFSETS.get(version, 0)
    if not begin or tee != TDX or len(quote) < begin + REPORT_DATA_SIZE:
        return b""
    return quote[begin : begin + REPORT_DATA_SIZE]


def fault_of(found: Evidence, asked: bytes, info: Info) -> str:
    """What speaks against this being the answer to our question about our app; empty for nothing.

    Args:
        found: what the agent gave.
        asked: the 64 bytes that a quote was asked for with.
        info: who the agent says that we are.
    """
    if not hmac.compare_digest(report_data_of(found.quote), asked):
        return "a quote over other bytes than asked for"
    try:
        entries = json.loads(found.event_log)
        if any(_payloads(entries, name) != [said] for name, said in _names(info)):
            return "an event log of another app or instance"
    except (ValueError, RecursionError, TypeError, AttributeError):
        return "an event log that cannot be read"
    return ""


def _names(info: Info) -> tuple[tuple[str, str], ...]:
    return (("app-id", info.app_id), ("instance-id", info.instance_id))


def _payloads(entries: list[dict[str, object]], name: str) -> list[object]:
    """What was measured under a name into RTMR3, where the guest measures."""
    return [
        entry.get("event_payload")
        for entry in entries
        if entry.get("imr") == 3 and entry.get("event") == name
    ]
