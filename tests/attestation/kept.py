"""Looks without sockets, for what is kept of them."""

import dataclasses
import json

from attestation.world import NONCE, NOW, Plane, asked, collateral, policy, policy_text, root
from cutover.attestation.bundle import Nonce, parse_bundle
from cutover.attestation.examine import Examination
from cutover.attestation.records import Records
from cutover.attestation.strict import MalformedError
from cutover.attestation.verdict import MALFORMED_ANSWER, nothing_to_judge, observation
from cutover.attestation.verifier import verify

PAPERS = collateral()


def look(number=0, *, now=None, plane=None, raw=None, **circumstances):
    """A real look, the `number`-th minute by minute, each with its own nonce."""
    now = NOW + 60 * number if now is None else now
    nonce = NONCE[:24] + number.to_bytes(8, "big")
    plane = plane or Plane()
    plane.nonce, plane.expires = nonce, now + 300
    answer = json.dumps(plane.answer()).encode() if raw is None else raw
    own = asked(now=now, nonce=Nonce(nonce, now - 2), **circumstances)
    bundle = parse_bundle(answer)
    found = verify(bundle, PAPERS, policy(), own)
    return Examination(found, bundle, PAPERS.text, (), own, answer, now - 1)


def without(code, seen="connection refused", *, number=0, raw=None):
    """A look that brought nothing."""
    now = NOW + 60 * number
    own = asked(now=now, nonce=Nonce(NONCE[:24] + number.to_bytes(8, "big"), now - 2))
    own = dataclasses.replace(own, peer_spki=None, peer_ends=None)
    return Examination(nothing_to_judge(code, seen, now), None, "", (), own, raw, now)


def rubbish(raw, *, number=0):
    """A look that brought something that is no answer."""
    try:
        parse_bundle(raw)
    except MalformedError as error:
        return without(MALFORMED_ANSWER, str(error), number=number, raw=raw)
    raise AssertionError(raw)


def records(folder):
    """A keeper of the usual plane's evidence."""
    return Records(folder, policy_text(), root())


def entry(examined, name):
    """What the journal says of a look."""
    at_ms = examined.verification.checked_at * 1000
    return observation("phala", examined.verification, at_ms, name)
