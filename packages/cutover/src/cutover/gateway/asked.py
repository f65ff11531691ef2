"""The JSON bodies of clients, read strictly at the edge.

A key that comes twice is refused: parsers disagree about which of the two wins, so the plane might
act on a text that was never classified.
"""

import json
from typing import Final

import msgspec


class ProcessBody(msgspec.Struct, frozen=True):
    """What `/process` must contain to be routed; the rest is the plane's business."""

    text: str
    author: str | None = None


class AgentBody(msgspec.Struct, frozen=True):
    """What the web route takes.

    Attributes:
        plan: whether a command that moves something is to be shown as a plan first.
    """

    text: str | None = None
    message: str | None = None
    userId: str | None = None  # noqa: N815 (the wire's name)
    walletAddress: str | None = None  # noqa: N815 (the wire's name)
    nearAccountId: str | None = None  # noqa: N815 (the wire's name)
    evmAddress: str | None = None  # noqa: N815 (the wire's name)
    plan: bool = False


class UnreadableError(Exception):
    """A body that is not what the route takes; the message is for the client."""


_PROCESS: Final = msgspec.json.Decoder(ProcessBody).decode
_AGENT: Final = msgspec.json.Decoder(AgentBody).decode
_BAD_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)


def read_process(body: bytes) -> ProcessBody:
    """Read the body of `/process`.

    Raises:
        UnreadableError: not a JSON object with a string `text`, or with an ambiguous key.
    """
    try:
        said = _PROCESS(body)
    except _BAD_JSON as error:
        raise UnreadableError(f"the body is not as expected: {error}") from None
    # Without a backslash each string is exactly one piece between quotes, and in JSON nothing else
    # is made of letters like these, so this proves cheaply that both keys are unique. Otherwise, or
    # when a value looks like a key, look closely.
    if body.find(b"\\") >= 0:  # `in` takes twice as long
        _refuse_twins(body)
    else:
        pieces = body.split(b'"')
        if pieces.count(b"text") != 1 or pieces.count(b"author") > 1:
            _refuse_twins(body)
    return said


def read_agent(body: bytes) -> AgentBody:
    """Read the body of `/api/agent`.

    Raises:
        UnreadableError: not a JSON object of the members above, or with an ambiguous key.
    """
    try:
        said = _AGENT(body)
    except _BAD_JSON as error:
        raise UnreadableError(f"the body is not as expected: {error}") from None
    _refuse_twins(body)
    return said


def _refuse_twins(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_unique)
    except _BAD_JSON as error:
        raise UnreadableError(f"the body is not as expected: {error}") from None


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableError("the body names a key twice; send each key once")
    return found
