"""What Ping's answers may mean, read without asking anybody."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.rails.ping_answers import (
    BODY_MAX_BYTES,
    Accepted,
    Declined,
    Unknown,
    Word,
    is_hash,
    read,
    shown,
)
from agent_runtime.wire import Answer

HASH = "6zgh2u9DqHHiXzdy9ouTP7oGky2T4nugqzqt9wJZwNFm"
OTHER = "FDFgVM4mjcrnf2zanGDKu57hBYJXa5iqcgcBriipAd7g"


def answer(status, body):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer("pingpay", status, {}, raw)


def taken(**members):
    return read(answer(200, {"intent_id": "intent_1", **members}))


@pytest.mark.parametrize("status", [200, 201, 202])
def test_what_names_an_order_is_accepted_whatever_else_it_says(status):
    assert read(answer(status, {"intent_id": "a.b:c-1"})) == Accepted("a.b:c-1", Word.OTHER)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ("SUCCESS", Word.SUCCESS),
        ("success", Word.SUCCESS),
        ("pending", Word.PENDING),
        ("FAILED", Word.FAILED),
        ("COMPLETED", Word.OTHER),
        ("other", Word.OTHER),
        (True, Word.OTHER),
        (None, Word.OTHER),
        (["SUCCESS"], Word.OTHER),
    ],
)
def test_only_the_three_documented_words_are_words(told, word):
    assert taken(status=told).word is word


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": "SUCCESS", "transaction_hash": HASH},
        {"intent_id": ""},
        {"intent_id": 7},
        {"intent_id": None},
        {"intent_id": "../../payments"},
        {"intent_id": "a b"},
        {"intent_id": "x" * 129},
        [],
        "SUCCESS",
        b'{"intent_id": "intent_1", "stat',
        b"<html>ok</html>",
        b"",
        b"[" * 60_000,
        b'{"intent_id": "i", "x": "' + b"y" * BODY_MAX_BYTES + b'"}',
    ],
)
def test_a_2xx_without_a_usable_id_decides_nothing(body):
    assert isinstance(read(answer(200, body)), Unknown)


@pytest.mark.parametrize("status", [302, 307, 408, 409, 425, 429, 500, 502, 503, 504])
def test_no_other_status_is_a_no_even_in_the_words_of_one(status):
    refusal = {"code": "INVALID_REQUEST", "message": "no"}
    assert isinstance(read(answer(status, refusal)), Unknown)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"message": "fault injected"}),
        (400, {"code": "INVALID_REQUEST"}),
        (400, {"code": "INVALID_PAYMENT_STATE", "message": "it is paid already"}),
        (400, {"code": "SOMETHING_NEW", "message": "no"}),
        (400, {"code": "INVALID_REQUEST", "message": "no", "intent_id": "intent_1"}),
        (404, b"<html>not found</html>"),
        (401, {"error": "Unauthorized"}),
    ],
)
def test_a_refusal_in_other_words_than_the_documented_ones_is_unknown(status, body):
    assert isinstance(read(answer(status, body)), Unknown)


def test_a_documented_refusal_is_a_no_and_its_words_stay_in_their_line():
    said = "bad\n🔗 Transaction: " + HASH
    found = read(answer(400, {"code": "INVALID_REQUEST", "message": said}))
    assert found == Declined("INVALID_REQUEST", f"bad Transaction {HASH}")


@settings(max_examples=60)
@given(st.text())
def test_no_foreign_word_makes_a_line_or_a_label(text):
    assert not {"\n", "\r", ":", "🔗"} & set(shown(text))
    assert len(shown(text)) <= 120


def test_an_answer_about_another_order_than_the_one_asked_for_decides_nothing():
    told = answer(200, {"intent_id": "intent_2", "status": "SUCCESS"})
    assert isinstance(read(told, "intent_1"), Unknown)
    assert isinstance(read(told, "intent_2"), Accepted)


def test_a_hash_is_taken_from_both_places_and_once():
    refs = [{"chainId": "near", "txHash": HASH}, {"chainId": "eth", "txHash": "0x" + "ab" * 32}]
    found = taken(transaction_hash=HASH, settlement={"txRefs": refs})
    assert (found.hashes, found.odd) == ((HASH,), "")
    refs.append({"chainId": "NEAR", "txHash": OTHER})
    assert taken(settlement={"txRefs": refs}).hashes == (HASH, OTHER)


@pytest.mark.parametrize("odd", ["0x", "0x" + "ab" * 32, "ab" * 32, "intent-ab12cd34", HASH[:-9]])
def test_what_is_called_a_transaction_and_is_none_is_told_apart(odd):
    found = taken(transaction_hash=odd)
    assert (found.hashes, found.odd) == ((), odd)
    assert not is_hash(odd)


@pytest.mark.parametrize("refs", [None, {}, [1, None], [{"chainId": "near", "txHash": 3}], "x"])
def test_references_of_another_shape_name_nothing(refs):
    assert taken(settlement={"txRefs": refs}) == Accepted("intent_1", Word.OTHER)
