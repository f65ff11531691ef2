"""Any fact of any kind survives its bytes, and has one form of them."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.decision.fact import Fact
from cutover.journal.entry import decode, encode

KINDS = get_args(Fact)
WHOLE = st.integers(-(2**53), 2**53)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
for plain, strategy in ((int, WHOLE), (str, TEXT)):
    st.register_type_strategy(plain, strategy)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_fact_survives_its_bytes(kind, data):
    """Encoded and decoded it is equal, of its kind, and encodes alike again."""
    fact = data.draw(st.from_type(kind))
    stored = encode(fact)
    back = decode(stored)
    assert type(back) is kind
    assert back == fact
    assert encode(back) == stored
    assert msgspec.json.decode(stored)["type"] == kind.__name__
