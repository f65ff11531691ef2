"""`/identity` and `/parity` of a plane, read strictly; nothing else of an answer is ever repeated.

A plane of somebody else's has neither: it answers 404. Whatever else comes instead of a whole
answer is an answer not given. Texts here carry names and numbers only, because a fingerprint's
answer stands close to secrets: no body, no error text of a plane.
"""

import hmac
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from cutover.conductor.preconditions.finding import Finding, fails, unknown
from cutover.evidence.planes import Answer

VERSION: Final = 1
_ABSENT: Final = (404, 405)
_SLUG: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")

Hex64 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Word = Annotated[str, Meta(max_length=100, pattern=r"\A[\x20-\x7e]*\Z")]
Name = Annotated[str, Meta(pattern=r"\A[A-Z][A-Z0-9_]{0,63}\Z")]


class Signer(msgspec.Struct, frozen=True, rename="camel"):
    """Which NEAR key signs for a plane."""

    network: Word
    account: Word
    contract: Word
    public_key: Annotated[str, Meta(pattern=r"\Aed25519:[1-9A-HJ-NP-Za-km-z]{32,50}\Z")]


class Identity(msgspec.Struct, frozen=True, rename="camel"):
    """Who a plane says that it is; empty texts are things that it was not told.

    Attributes:
        v: version of the answer.
        nonce: ours, so that no cache and no other plane answers.
        plane: its name.
        mode: its `AGENT_MODE`.
        image_digest: of the image that it believes to run: a hint, no proof.
        near: what it signs with; None if it cannot sign.
        ingress_owner: who alone feeds it.
    """

    v: int
    nonce: str
    plane: Word
    mode: Word
    image_digest: Annotated[str, Meta(pattern=r"\A(sha256:[0-9a-f]{64})?\Z")]
    near: Signer | None
    ingress_owner: Annotated[str, Meta(max_length=200, pattern=r"\A[\x20-\x7e]*\Z")]


class Shared(msgspec.Struct, frozen=True):
    """A variable that must be the same on both planes."""

    set: bool
    fingerprint: Hex64


class Own(msgspec.Struct, frozen=True):
    """A variable that each plane has for itself."""

    set: bool


class Parity(msgspec.Struct, frozen=True, rename="camel"):
    """A plane's environment, as far as it may be told.

    Attributes:
        v: version of the answer.
        plane: its name.
        key_check: equal on both planes if and only if both key the fingerprints alike.
        same: fingerprint by name.
        own: presence by name.
    """

    v: int
    plane: Word
    key_check: Hex64
    same: Annotated[dict[Name, Shared], Meta(min_length=1, max_length=256)]
    own: Annotated[dict[Name, Own], Meta(max_length=256)]


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer to go by.

    Attributes:
        offered: False when the plane has no such route at all: a plane of somebody else's.
        finding: what came instead.
    """

    offered: bool
    finding: Finding


T = TypeVar("T", Identity, Parity)


def read_identity(plane: str, nonce: str, answer: Answer) -> Identity | Silence:
    """What a plane says who it is, if it says that to us and now."""
    told = _told(plane, "/identity", Identity, answer)
    if isinstance(told, Silence):
        return told
    if not hmac.compare_digest(told.nonce.encode(), nonce.encode()):
        return _silence(fails(f"{plane}: /identity repeats another nonce: an old answer"))
    return _named(plane, "/identity", told)


def read_parity(plane: str, answer: Answer) -> Parity | Silence:
    """A plane's fingerprints."""
    told = _told(plane, "/parity", Parity, answer)
    return told if isinstance(told, Silence) else _named(plane, "/parity", told)


def _told(plane: str, path: str, kind: type[T], answer: Answer) -> T | Silence:
    if answer.status in _ABSENT:
        absent = unknown(f"{plane} has no {path}, so nothing can be compared there")
        return Silence(offered=False, finding=absent)
    if answer.status == 401:
        return _silence(fails(f"{plane}: {path} refuses the key of the configuration"))
    if answer.status != 200:
        return _silence(unknown(f"{plane}: {path} {_instead(answer)}, expected 200"))
    try:
        told = msgspec.convert(answer.body, kind)
    except msgspec.ValidationError:  # its text may repeat what a plane said
        return _silence(unknown(f"{plane}: {path} answers in a form that is not agreed"))
    if told.v != VERSION:
        said = f"{plane}: {path} answers in version {told.v}, expected {VERSION}"
        return _silence(unknown(said))
    return told


def _named(plane: str, path: str, told: T) -> T | Silence:
    if told.plane == plane:
        return told
    return _silence(fails(f"{plane}: {path} is answered by a plane of another name (PLANE_ID)"))


def _instead(answer: Answer) -> str:
    if answer.status is None:
        return "gave no answer"
    code: Any = answer.field("code")
    known = isinstance(code, str) and _SLUG.fullmatch(code)
    return f"answered {answer.status} {code}" if known else f"answered {answer.status}"


def _silence(finding: Finding) -> Silence:
    return Silence(offered=True, finding=finding)
