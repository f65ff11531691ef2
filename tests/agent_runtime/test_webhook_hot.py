"""What HOT delivers is signed by nobody: a hint at most, whatever it says and however often."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_runtime.errors import ApiError
from agent_runtime.webhooks.hot import BURST, TEXT_CHARS_MAX, Bucket, HotWebhook

NAMES = ("memo", "item_id", "status", "near_trx")
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["SUCCESS", "x" * 201, "\ud800", "fund-1"])
)
BODIES = st.binary(max_size=60) | st.dictionaries(
    st.sampled_from([*NAMES, "amount"]), LEAVES | st.lists(LEAVES, max_size=2), max_size=5
).map(lambda value: json.dumps(value).encode())


class Desk:
    """Knows every funding, and remembers what it is told of them."""

    fault = ""

    def __init__(self):
        self.hints = []

    def hint(self, memo, item_id, digest):
        self.hints.append((memo, item_id, digest))
        return True


def told(**event):
    """What the desk hears of a delivery."""
    desk = Desk()
    HotWebhook(desk).take(json.dumps(event).encode())
    return desk.hints


@settings(max_examples=150, deadline=None, database=None)
@given(BODIES)
def test_any_body_is_one_hint_of_three_short_texts_or_refused(body):
    desk, refused = Desk(), []
    try:
        HotWebhook(desk).take(body)
    except ApiError as error:
        refused.append(error.status)
    assert (len(desk.hints), refused) in [(1, []), (0, [400])]
    parts = [part for hint in desk.hints for part in hint]
    assert all(isinstance(part, str) and len(part) <= TEXT_CHARS_MAX for part in parts)


def test_a_repetition_is_known_by_item_transaction_and_status_and_by_nothing_else():
    event = {"memo": "fund-1", "item_id": "i", "status": "SUCCESS", "near_trx": "t"}
    same = told(**event, amount="1")
    assert same == told(**event, amount="250", type="ANYTHING")
    for name in ("item_id", "status", "near_trx"):
        assert told(**{**event, name: "other"})[0][2] != same[0][2]
    assert told(memo="fund-1", near_trx=None) == told(memo="fund-1", near_trx="")


def test_where_nothing_is_collected_nothing_is_heard():
    desk = Desk()
    desk.fault = "HOT_PAY_JWT is unset"
    with pytest.raises(ApiError) as caught:
        HotWebhook(desk).take(b"{}")
    assert (caught.value.status, desk.hints) == (503, [])


def test_so_many_deliveries_a_second_are_read_after_a_burst():
    clock = [0.0]
    bucket = Bucket(lambda: clock[0])
    assert [bucket.wait_seconds() for _ in range(int(BURST) + 1)] == [0] * int(BURST) + [1]
    clock[0] = 0.2
    assert [bucket.wait_seconds() for _ in range(3)] == [0, 0, 1]
