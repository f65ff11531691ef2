"""Facts as bytes: every kind survives, and nothing unknown is dropped on the way."""

import types
from enum import Enum
from typing import Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.decision.fact import Fact
from cutover.errors import JournalError
from cutover.evidence.observation import Adopted, Readiness, Reference
from cutover.journal.entry import PAYLOAD_BYTES_MAX, decode, encode

PLAIN = {
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(max_size=12),
    bool: st.booleans(),
    type(None): st.none(),
    dict[str, str]: st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
}


def values_of(kind):
    """A strategy for a field's type; a type that is new to us is an error, not a skip."""
    if kind in PLAIN:
        return PLAIN[kind]
    if get_origin(kind) in {Union, types.UnionType}:
        return st.one_of([values_of(one) for one in get_args(kind)])
    if get_origin(kind) is tuple:
        return st.lists(values_of(get_args(kind)[0]), max_size=3).map(tuple)
    if issubclass(kind, Enum):
        return st.sampled_from(list(kind))
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: values_of(field.type) for field in fields})


@pytest.mark.parametrize("kind", get_args(Fact), ids=lambda kind: kind.__name__)
def test_every_kind_of_fact_comes_back_as_it_was(kind):
    @settings(max_examples=15, deadline=None)
    @given(values_of(kind))
    def comes_back(fact):
        payload = encode(fact)
        assert decode(payload) == fact
        assert encode(decode(payload)) == payload

    comes_back()


def test_the_same_evidence_in_another_order_has_the_same_bytes():
    first = msgspec.json.decode(b'{"b":"2","a":"1"}', type=dict[str, str])
    second = {"a": "1", "b": "2"}
    assert list(first) != list(second)
    versions = [encode(Adopted("r", "", "", given)) for given in (first, second)]
    assert versions[0] == versions[1]


def test_a_kind_from_a_newer_version_is_named():
    with pytest.raises(JournalError, match=r"kind 'Teleported'.*newer"):
        decode(b'{"type":"Teleported","ok":true}')


def test_a_field_from_a_newer_version_is_named():
    payload = encode(Reference(ok=True, detail="")).replace(b"{", b'{"colour":"red",', 1)
    with pytest.raises(JournalError, match="Reference with colour"):
        decode(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"type":7}',
        b'{"type":"Reference"}',
        b'{"type":"Reference","ok":1}',
        b"\xff",
    ],
)
def test_what_is_no_fact_is_refused(payload):
    with pytest.raises(JournalError):
        decode(payload)


def test_a_fact_beyond_the_limit_is_refused():
    with pytest.raises(JournalError, match=f"at most {PAYLOAD_BYTES_MAX}"):
        encode(Reference(ok=True, detail="x" * PAYLOAD_BYTES_MAX))


@pytest.mark.parametrize("detail", ["\ud800", b"bytes".decode("latin-1") + "\udfff"])
def test_text_that_is_no_utf8_is_refused_with_advice(detail):
    with pytest.raises(JournalError, match="cleanse"):
        encode(Reference(ok=True, detail=detail))


def test_a_number_of_any_size_comes_back():
    fact = Readiness("p", 2**70, ready=None, health_ready=None, detail="")
    assert decode(encode(fact)) == fact
