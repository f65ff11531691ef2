"""The false greens of the live intent gate (contract §10), one by one."""

import base58
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.evidence.answers import is_near_hash, read_live
from cutover.evidence.planes import Answer
from cutover.runbook.intent import Intent

HASH = base58.b58encode(bytes(range(1, 33))).decode()
SIGNATURE = "ab" * 65
ANALYSIS = f"""📊 Analysis for github.com/near/near-sdk-rs
Total commits: 120
Contributors: 3

Top contributors:
🥇 austinabell: 70 commits (58.3%)
🥈 dependabot[bot]: 30 commits (25%)
• frol: 20 commits (16.7%)

🛡️ Verifiable AI Insight: steady work.
🔗 Proof: https://determinal.eigenarcade.com/verify/0x{SIGNATURE}
"""
CREATED = """✅ Split created for github.com/near/near-sdk-rs!
📜 Split ID: split-187654321-7
- austinabell: 60%
"""
PAID = f"""✅ Distributed 0.01 USDC to 2 payout-eligible verified contributors via pingpay!
Coverage: 2/3 contributors eligible+verified
🔗 Transaction: {HASH}
📜 Split: split-187654321-7
"""


def live(intent, text, status=200):
    return read_live("phala", intent, Answer(status, {"response": text}))


@pytest.mark.parametrize(
    ("intent", "text"),
    [(Intent.ANALYZE, ANALYSIS), (Intent.CREATE, CREATED), (Intent.PAY, PAID)],
)
def test_the_real_thing_is_recognised(intent, text):
    """Answers as the contract writes them pass, and their evidence is kept."""
    seen = live(intent, text)
    assert seen.ok, seen.reasons
    assert all(seen.evidence.values())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"0x{SIGNATURE}", "0xmocksignature"),
        (f"0x{SIGNATURE}", "0x" + "00" * 65),
        (f"0x{SIGNATURE}", "ab" * 20),
        (f"0x{SIGNATURE}", SIGNATURE + "ab"),
        (f"https://determinal.eigenarcade.com/verify/0x{SIGNATURE}", "soon"),
        ("steady work.", "This is a mock EigenAI response for testing"),
        ("Top contributors:", "Top people:"),
    ],
)
def test_a_false_analysis_is_refused(old, new):
    """A proof that is none, a mock text, or no contributor section."""
    text = ANALYSIS.replace(old, new).replace("Contributors: 3\n", "")
    assert not live(Intent.ANALYZE, text).ok


def test_the_mock_contributors_are_known():
    """Alice 40, bob 30, charlie 20, dave 10 are nobody's contributors."""
    people = "\n".join(
        f"• {who}: {n} commits ({n}%)"
        for who, n in (("alice", 40), ("bob", 30), ("charlie", 20), ("dave", 10))
    )
    text = ANALYSIS.split("🥇", maxsplit=1)[0] + people + ANALYSIS[ANALYSIS.index("\n\n🛡️") :]
    seen = live(Intent.ANALYZE, text)
    assert not seen.ok
    assert "the mock contributors" in seen.reasons


@pytest.mark.parametrize(
    "split", ["split-mock-1", "split-1700000000000", "split-1a-7", "split-1-2-3", ""]
)
def test_a_mock_split_id_is_refused(split):
    """Only `split-<height>-<n>` names a split on chain."""
    assert not live(Intent.CREATE, CREATED.replace("split-187654321-7", split)).ok


@pytest.mark.parametrize("word", ["updated", "repaired"])
def test_other_words_for_done_are_heard(word):
    """The contract knows four ways to say that a split is there."""
    assert live(Intent.CREATE, CREATED.replace("created", word)).ok


def test_an_old_answer_may_name_no_id_only_when_it_exists():
    """`already exists` without an id passes, `created` without one does not."""
    assert live(Intent.CREATE, "A split for github.com/a/b already exists").ok
    assert not live(Intent.CREATE, "✅ Split created for github.com/a/b!").ok


@pytest.mark.parametrize(
    "text",
    ["❌ Failed to create split: it already exists elsewhere", "", "🛑 Policy blocked create"],
)
def test_a_failed_create_is_refused(text):
    """A cross or a stop sign in front is a failure, whatever follows."""
    assert not live(Intent.CREATE, text).ok


@pytest.mark.parametrize(
    "reference",
    [
        "intent-a1b2c3d4", "0x", "", "0xk3j9x2m1q8z", "a" * 64, "0x" + "a" * 64, "pending",
        HASH + "11", HASH[:-2], HASH.replace(HASH[5], "0"), "split-187654321-7",
    ],
)  # fmt: skip
def test_what_is_no_near_hash_is_no_payment(reference):
    """Invoice ids, bare prefixes, item ids and other chains' hashes are refused."""
    assert not live(Intent.PAY, PAID.replace(HASH, reference)).ok


@pytest.mark.parametrize(
    "front", ["❌ Payment failed: rail down\n", "🛑 Policy blocked pay: limit\n", "\n  ❌ no\n"]
)
def test_a_failed_payment_with_a_hash_has_failed(front):
    """A hash under a failure does not make it a success."""
    assert not live(Intent.PAY, front + PAID).ok


@pytest.mark.parametrize("intent", list(Intent))
@pytest.mark.parametrize(
    "answer",
    [
        Answer(None, error="reset"),
        Answer(500, {"response": PAID}),
        Answer(200, {"error": "x"}),
        Answer(200, {"response": ["x"]}),
        Answer(200, None, "<html>"),
    ],
)
def test_no_usable_answer_proves_nothing(intent, answer):
    """Without a 200 and a text there is no evidence, for any intent."""
    assert not read_live("phala", intent, answer).ok


@pytest.mark.parametrize(
    "intent", sorted(set(Intent) - {Intent.ANALYZE, Intent.CREATE, Intent.PAY})
)
def test_other_intents_have_no_live_judgement(intent):
    """An intent that nobody knows how to judge never passes."""
    assert not live(intent, ANALYSIS + CREATED + PAID).ok


@given(st.binary(min_size=32, max_size=32))
def test_every_32_bytes_make_a_hash(raw):
    """Whatever a base58 library writes for 32 bytes is accepted, leading zeros included."""
    assert is_near_hash(base58.b58encode(raw).decode())


@given(st.binary(max_size=50))
def test_only_32_bytes_make_a_hash(raw):
    """Any other length is refused."""
    assert is_near_hash(base58.b58encode(raw).decode()) is (len(raw) == 32)


@given(st.text(max_size=60) | st.text("123456789ABCabcOIl0", min_size=30, max_size=46))
def test_any_text_is_judged_as_the_library_does(text):
    """No text is taken for a hash that a base58 library would not decode to 32 bytes."""
    try:
        raw = base58.b58decode(text)
    except ValueError:
        raw = b""
    expected = len(raw) == 32 and base58.b58encode(raw).decode() == text
    assert is_near_hash(text) is expected


@pytest.mark.parametrize(
    ("text", "definite"),
    [
        ("❌ Payment failed: nothing was sent", True),
        ("🛑 Policy blocked pay: amount", True),
        ("❌ Payment outcome unknown: no final answer yet; do not retry", False),
        ("❌ Payment needs a person: paid: leg 1 (H); not paid: leg 2; money has moved", False),
    ],
)
def test_only_a_certain_no_lets_another_payment_be_tried(text, definite):
    seen = read_live("phala", Intent.PAY, Answer(200, {"response": text}))
    assert (seen.ok, seen.definite) == (False, definite)


@pytest.mark.parametrize(
    ("intent", "text"),
    [
        (Intent.CREATE, "Split created\nSplit ID: " + "x" * 200_000),
        (Intent.CREATE, "Split created\nSplit ID: split-1-" + "1" * 200_000),
        (Intent.PAY, "✅\nTransaction: " + "x" * 200_000),
        (Intent.ANALYZE, "Contributors: 1\nProof: https://x/verify/" + "a" * 200_000),
    ],
)
def test_a_plane_cannot_fill_the_journal_with_a_name(intent, text):
    """What is kept of a name is its beginning, in the evidence as in the reasons."""
    seen = read_live("phala", intent, Answer(200, {"response": text}))
    assert len(msgspec.json.encode(seen)) < 1_500
