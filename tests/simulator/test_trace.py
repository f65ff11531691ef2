"""What a trace holds, and what its digest is of."""

import hashlib
import io
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.evidence.observation import Readiness
from cutover.simulator.trace import LINES_KEPT, Trace

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
LINES = st.lists(st.tuples(st.integers(0, 2**50), st.text(), st.text(), JSON), max_size=100)


@settings(max_examples=40)
@given(LINES)
def test_a_trace_is_one_json_array_a_line_and_the_digest_is_of_the_file(lines):
    """Written or not, its digest and its last lines are the same."""
    file = io.BytesIO()
    written, unwritten = Trace(file), Trace()
    for line in lines:
        written.say(*line)
        unwritten.say(*line)
    text = file.getvalue()
    assert [json.loads(line) for line in text.splitlines()] == [list(line) for line in lines]
    assert written.digest() == unwritten.digest() == hashlib.sha256(text).hexdigest()
    assert written.lines == len(lines)
    assert list(unwritten.last) == text.splitlines(keepends=True)[-LINES_KEPT:]


def test_sets_and_mappings_are_written_in_one_order():
    """However they were filled, and under any hash seed."""
    one, other = Trace(), Trace()
    one.say(0, "a", "b", {"x": {"p", "q", "r"}, "y": 2})
    other.say(0, "a", "b", {"y": 2, "x": {"r", "q", "p"}})
    assert one.digest() == other.digest()


def test_a_record_is_written_with_its_kind():
    """What was journaled can be read off the trace."""
    trace = Trace()
    trace.say(7, "conductor", "records", [1, 0, Readiness("phala", 200, True, None, "")])
    at, who, what, (seq, _, fact) = json.loads(trace.last[-1])
    assert (at, who, what, seq) == (7, "conductor", "records", 1)
    assert fact["type"] == "Readiness"


def test_every_line_counts():
    """One microsecond of difference is another digest."""
    one, other = Trace(), Trace()
    one.say(1, "a", "b")
    other.say(2, "a", "b")
    assert one.digest() != other.digest()
