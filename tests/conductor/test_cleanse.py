"""No secret of ours comes through the door, whatever a plane repeats."""

import base64
import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.conductor.cleanse import Cleanser
from cutover.decision.command import HoldOrder
from cutover.evidence.observation import (
    Attestation,
    CanaryRound,
    CanaryVerdict,
    LiveIntent,
    PostCheckSeen,
    PreconditionSeen,
    Readiness,
    Reference,
    Verdict,
)
from cutover.runbook.gate import Check, Evidence, PostCheckName
from cutover.runbook.intent import Intent

KEY = "pkey-SECRET-of-phala"
CLEAN = Cleanser({"planes.phala": KEY, "short": "k1"})
SAYS = f"Bearer {KEY} is not allowed"
FACTS = [
    Readiness("phala", 503, False, None, SAYS),
    Reference(ok=False, detail=SAYS),
    CanaryRound(True, (CanaryVerdict("phala", False, ("ok",), SAYS),)),
    LiveIntent("phala", Intent.PAY, False, (SAYS,), {"transaction": KEY}),
    Attestation("phala", Verdict.MISSING, Evidence.REPORTED, KEY, (SAYS,)),
    PreconditionSeen(Check.TLS_AND_DOMAIN, False, (SAYS,)),
    PostCheckSeen(PostCheckName.ARCHIVE, False, (SAYS,), {"x": SAYS}),
    HoldOrder("ann", SAYS),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda f: type(f).__name__)
def test_every_kind_of_fact_is_cleansed(fact):
    """And what stood there is named."""
    clean = CLEAN(fact)
    assert type(clean) is type(fact)
    raw = msgspec.json.encode(clean).decode()
    assert KEY not in raw
    assert "<secret planes.phala>" in raw


@pytest.mark.parametrize(
    "said",
    [
        KEY.encode().hex(),
        base64.b64encode(KEY.encode()).decode(),
        hashlib.sha256(KEY.encode()).hexdigest(),
        f"{KEY}{KEY}",
        f"cut off at the end: {KEY[:-3]}",
        f"cut off at the end: {KEY[:6]}",
    ],
)
def test_other_forms_and_cut_ones_are_found(said):
    """Whatever the archive would look for, and the beginning of one at the end of a text."""
    detail = CLEAN(Reference(ok=False, detail=said)).detail
    assert "<secret planes.phala>" in detail
    assert KEY[:6] not in detail


@given(st.text(max_size=200))
def test_a_text_without_secrets_is_the_same_object(text):
    """Nothing else is touched."""
    fact = Reference(ok=True, detail=text)
    if KEY[:6] not in text:
        assert CLEAN(fact) == fact


def test_a_short_key_is_left_alone():
    """It would be found in any text."""
    fact = Reference(ok=True, detail="k1 k1")
    assert CLEAN(fact) is fact


def test_secrets_are_looked_for_in_one_order():
    """The longest form first, and equal ones by their letters: never as hashes happen to fall."""
    many = Cleanser({f"key-{n}": f"Ov?>{n}~ÿ0123456789" for n in range(20)})
    assert list(many._forms) == sorted(many._forms, key=lambda form: (-len(form), form))
    assert len(many._forms) > 100


@given(st.integers(16, 30), st.text(st.sampled_from("xyz ,;"), max_size=20))
def test_a_secret_that_ends_in_the_middle_of_a_text_is_taken_out(length, rest):
    """As a plane's answer is cut short and put between others."""
    clean = Cleanser({"planes.phala": "PLANTED-0123456789-abcdefghijklm"}).text
    said = clean(f"version {'PLANTED-0123456789-abcdefghijklm'[:length]}{rest} build r")
    assert said == f"version <secret planes.phala>{rest} build r"
