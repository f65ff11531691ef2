"""The chain as such: what is under the hash, and what a verifier says of a broken one."""

import hashlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cutover.journal.chain import (
    Fault,
    Point,
    Row,
    Verified,
    What,
    genesis,
    link,
    read_row,
    verify,
)

START = Point(0, genesis("run"))


def rows_of(payloads):
    rows, at = [], START
    for seq, payload in enumerate(payloads, start=1):
        at = Point(seq, link(at.hash, seq, seq * 10, seq * 100, payload))
        rows.append(Row(seq, seq * 10, seq * 100, payload, at.hash))
    return rows, at


ROWS, HEAD = rows_of([b"payload %d" % n for n in range(12)])
SEQ = st.integers(1, len(ROWS))


def judged(rows, head=HEAD, start=START):
    found = verify(iter(rows), start, head)
    return (found.what, found.seq) if isinstance(found, Fault) else found


def test_a_hash_can_be_computed_by_hand_from_the_written_rule():
    """The archive's README gives this rule to strangers."""
    zero = hashlib.sha256(
        b"phala-cutover journal genesis v1\x00" + struct.pack(">Q", 3) + b"run"
    ).digest()
    rule = b"phala-cutover journal link v1\x00" + zero + struct.pack(">QqqQ", 1, 5, -6, 2) + b"{}"
    assert genesis("run") == zero
    assert link(zero, 1, 5, -6, b"{}") == hashlib.sha256(rule).digest()


@given(st.binary(max_size=9), st.binary(max_size=9), st.integers(1, 9), st.integers(0, 9))
def test_two_different_entries_never_share_the_bytes_under_the_hash(one, other, seq, at_ms):
    first = link(START.hash, seq, at_ms, 0, one)
    assert (first == link(START.hash, seq, at_ms, 0, other)) == (one == other)
    assert first != link(START.hash, seq + 1, at_ms, 0, one)
    assert first != link(START.hash, seq, at_ms + 1, 0, one)
    assert first != link(START.hash, seq, at_ms, 1, one)
    assert first != link(genesis("another"), seq, at_ms, 0, one)


def test_a_hash_of_another_length_is_never_padded():
    with pytest.raises(ValueError, match="31 bytes"):
        link(b"x" * 31, 1, 0, 0, b"")


def test_a_whole_chain_verifies_from_the_start_and_from_any_entry():
    assert judged(ROWS) == Verified(12, HEAD.hash)
    for row in ROWS:
        assert judged(ROWS[row.seq :], start=Point(row.seq, row.hash)) == Verified(12, HEAD.hash)


def test_an_empty_chain_is_sound_only_if_the_head_says_so():
    assert judged([], head=START) == Verified(0, START.hash)
    assert judged([]) == (What.TRUNCATED, 1)


@given(SEQ, st.integers(0, 8), st.integers(1, 255))
def test_a_flipped_byte_is_a_change_of_that_entry(seq, at, mask):
    old = ROWS[seq - 1].payload
    changed = ROWS[seq - 1]._replace(payload=old[:at] + bytes([old[at] ^ mask]) + old[at + 1 :])
    found = verify(iter([*ROWS[: seq - 1], changed, *ROWS[seq:]]), START, HEAD)
    assert isinstance(found, Fault)
    assert (found.what, found.seq) == (What.CHANGED, seq)
    assert "next entry confirms" in found.expected


@given(SEQ, st.sampled_from(["at_ms", "wall_ms"]))
def test_another_stamp_is_a_change_of_that_entry(seq, field):
    changed = ROWS[seq - 1]._replace(**{field: 7})
    assert judged([*ROWS[: seq - 1], changed, *ROWS[seq:]]) == (What.CHANGED, seq)


@given(SEQ, st.integers(0, 31))
def test_another_stored_hash_is_a_change_of_that_entry(seq, at):
    digest = bytearray(ROWS[seq - 1].hash)
    digest[at] ^= 1
    changed = ROWS[seq - 1]._replace(hash=bytes(digest))
    found = verify(iter([*ROWS[: seq - 1], changed, *ROWS[seq:]]), START, HEAD)
    assert (found.what, found.seq) == (What.CHANGED, seq)
    assert found.seen.startswith("stored hash")


@given(st.integers(1, 11), st.booleans())
def test_a_dropped_entry_is_missing_also_when_the_rest_is_renumbered(seq, renumber):
    rest = [r._replace(seq=r.seq - 1) if renumber else r for r in ROWS[seq:]]
    assert judged([*ROWS[: seq - 1], *rest]) == (What.MISSING, seq)


@given(st.integers(1, 11), st.integers(1, 11))
def test_dropped_neighbours_are_missing_from_the_first_on(seq, width):
    width = min(width, 12 - seq)
    found = verify(iter([*ROWS[: seq - 1], *ROWS[seq - 1 + width :]]), START, HEAD)
    assert (found.what, found.seq) == (What.MISSING, seq)
    assert str(seq + width - 1) in found.expected


@given(SEQ)
def test_a_cut_tail_is_truncated_after_the_last_that_stands(left):
    assert judged(ROWS[: left - 1]) == (What.TRUNCATED, left)


@given(SEQ, SEQ, st.booleans())
def test_two_swapped_entries_are_reordered_at_the_first(one, other, renumber):
    one, other = sorted((one, other))
    if one == other:
        return
    rows = list(ROWS)
    rows[one - 1], rows[other - 1] = rows[other - 1], rows[one - 1]
    if renumber:
        rows = [row._replace(seq=n) for n, row in enumerate(rows, start=1)]
    found = verify(iter(rows), START, HEAD)
    assert (found.what, found.seq) == (What.REORDERED, one)
    assert f"numbered {other if renumber else one}" in found.expected


@given(SEQ, SEQ, st.booleans())
def test_a_copy_put_in_anywhere_is_inserted_there(source, place, renumber):
    rows = [*ROWS[:place], ROWS[source - 1], *ROWS[place:]]
    if renumber:
        rows = [row._replace(seq=n) for n, row in enumerate(rows, start=1)]
    if source == place + 1:
        place += 1  # the copy stands before its original and cannot be told from it
    assert judged(rows) == (What.INSERTED, place + 1)


@given(SEQ, st.integers(13, 99))
def test_another_number_on_a_sound_entry_is_a_change_of_that_entry(seq, number):
    rows = [*ROWS[: seq - 1], ROWS[seq - 1]._replace(seq=number), *ROWS[seq:]]
    assert judged(rows) == (What.CHANGED, seq)


def test_an_entry_chained_on_after_the_head_is_inserted():
    more, _ = rows_of([b"payload %d" % n for n in range(13)])
    assert judged(more) == (What.INSERTED, 13)


def test_another_hash_in_the_head_is_a_change_of_the_last_entry():
    assert judged(ROWS, head=Point(12, b"y" * 32)) == (What.CHANGED, 12)


def test_a_history_written_anew_from_an_entry_on_is_a_change_there():
    """Only the head is kept: whoever writes the tail anew must also alter the head."""
    anew, _ = rows_of([b"payload %d" % (n if n < 5 else n + 100) for n in range(12)])
    assert judged([*anew[:11], ROWS[11]]) == (What.CHANGED, 12)
    assert judged([*ROWS[:5], *anew[5:]], head=HEAD) == (What.CHANGED, 12)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 11), max_size=14))
def test_no_other_selection_of_entries_ever_verifies(picks):
    rows = [ROWS[n] for n in picks]
    assert isinstance(verify(iter(rows), START, HEAD), Fault) == (rows != ROWS)


@pytest.mark.parametrize(
    "fields",
    [
        ("1", 0, 0, b"", b"x" * 32), (1, None, 0, b"", b"x" * 32), (1, 0, 0, "text", b"x" * 32),
        (1, 0, 0, b"", b"x" * 31), (0, 0, 0, b"", b"x" * 32), (1, -1, 0, b"", b"x" * 32),
        (2**63, 0, 0, b"", b"x" * 32), (1, 0, 2**64, b"", b"x" * 32), (),
    ],
)  # fmt: skip
def test_a_row_of_another_form_is_flawed_and_never_fits(fields):
    row = read_row(fields)
    assert row.flaw
    assert judged([row])[0] in {What.CHANGED, What.MISSING}
