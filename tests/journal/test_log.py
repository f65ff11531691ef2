"""`verify_log`: one alteration, wherever it is, is detected and named at its entry."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutover.errors import ConfigurationError, JournalError
from cutover.journal.chain import What, link
from cutover.journal.log import verify_log
from journal.journals import (
    RUN,
    alter,
    copy_of,
    export,
    record,
    replace_rows,
    stored_rows,
    story,
    unguarded,
)

LENGTH = len(story())
SEQ = st.integers(1, LENGTH)
SHARED = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def fault_of(path):
    report = verify_log(path)
    assert not report.ok
    assert report.fault is not None, report
    assert str(report.fault) in str(report)
    return report.fault.what, report.fault.seq


def altered(original, tmp_path, rows):
    path = copy_of(original, tmp_path / "altered.db")
    replace_rows(path, rows)
    return path


def test_a_sound_journal_and_its_text_give_the_same_report(original, original_text):
    stored, text = verify_log(original), verify_log(original_text)
    assert stored.ok
    assert text.ok
    assert (stored.run, stored.entries, stored.head) == (RUN, LENGTH, text.head)
    assert f"{LENGTH} entries of run {RUN} are sound" in str(text)


def test_an_empty_journal_is_sound_in_both_forms(tmp_path):
    path = record(tmp_path / "journal.db", [])
    assert verify_log(path).ok
    assert verify_log(export(path, tmp_path / "journal.jsonl")).ok


@SHARED
@given(SEQ, st.integers(0, 10_000), st.integers(1, 255))
def test_any_flipped_byte_of_a_payload_is_named(original, tmp_path, seq, at, mask):
    rows = stored_rows(original)
    payload = bytearray(rows[seq - 1].payload)
    payload[at % len(payload)] ^= mask
    rows[seq - 1] = rows[seq - 1]._replace(payload=bytes(payload))
    assert fault_of(altered(original, tmp_path, rows)) == (What.CHANGED, seq)


@SHARED
@given(SEQ)
def test_any_dropped_row_is_named(original, tmp_path, seq):
    rows = stored_rows(original)
    del rows[seq - 1]
    what = What.TRUNCATED if seq == LENGTH else What.MISSING
    assert fault_of(altered(original, tmp_path, rows)) == (what, seq)


@SHARED
@given(SEQ, SEQ)
def test_any_two_swapped_rows_are_named(original, tmp_path, one, other):
    one, other = sorted((one, other))
    if one == other:
        return
    rows = stored_rows(original)
    rows[one - 1], rows[other - 1] = (
        rows[other - 1]._replace(seq=one),
        rows[one - 1]._replace(seq=other),
    )
    assert fault_of(altered(original, tmp_path, rows)) == (What.REORDERED, one)


@SHARED
@given(SEQ)
def test_any_cut_tail_is_named(original, tmp_path, first):
    rows = stored_rows(original)[: first - 1]
    assert fault_of(altered(original, tmp_path, rows)) == (What.TRUNCATED, first)


@SHARED
@given(SEQ)
def test_any_duplicated_row_is_named(original, tmp_path, seq):
    rows = stored_rows(original)
    rows = [*rows[:seq], rows[seq - 1], *rows[seq:]]
    rows = [row._replace(seq=n) for n, row in enumerate(rows, start=1)]
    assert fault_of(altered(original, tmp_path, rows)) == (What.INSERTED, seq + 1)


@settings(SHARED, max_examples=150)
@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_flipped_byte_of_the_file_is_detected_or_changes_nothing(original, tmp_path, at, mask):
    data = bytearray(original.read_bytes())
    data[at % len(data)] ^= mask
    path = tmp_path / "flipped.db"
    path.write_bytes(data)
    try:
        report = verify_log(path)
    except JournalError:
        return
    if report.fault is None:
        assert (report.run, stored_rows(path)) == (RUN, stored_rows(original))


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE entries SET hash = zeroblob(32) WHERE seq = 6", (What.CHANGED, 6)),
        ("UPDATE entries SET at_ms = at_ms + 1 WHERE seq = 6", (What.CHANGED, 6)),
        ("UPDATE entries SET wall_ms = 0 WHERE seq = 6", (What.CHANGED, 6)),
        ("UPDATE entries SET seq = 77 WHERE seq = 6", (What.REORDERED, 6)),
        ("UPDATE head SET seq = 13", (What.INSERTED, 14)),
        ("UPDATE head SET seq = 15", (What.TRUNCATED, 15)),
        ("UPDATE head SET hash = zeroblob(32)", (What.CHANGED, 14)),
        ("UPDATE head SET run = 'another'", (What.CHANGED, 0)),
    ],
)
def test_whatever_else_is_altered_in_the_database_is_named(original, tmp_path, statement, found):
    path = copy_of(original, tmp_path / "j.db")
    alter(path, statement)
    assert fault_of(path) == found


def test_a_value_of_another_type_is_a_change(original, tmp_path):
    path = copy_of(original, tmp_path / "j.db")
    database = unguarded(path)
    database.execute("PRAGMA ignore_check_constraints = ON")
    database.execute("UPDATE entries SET payload = 'text' WHERE seq = 3")
    database.close()
    assert fault_of(path) == (What.CHANGED, 3)


def test_damage_in_the_middle_of_the_file_is_named_at_the_first_unreadable_entry(tmp_path):
    path = record(tmp_path / "j.db", story() * 60)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    report = verify_log(path)
    assert report.fault is not None
    assert 1 < report.fault.seq == report.entries + 1 < 840
    assert "malformed" in report.fault.seen


@settings(SHARED, max_examples=200)
@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_any_flipped_byte_of_the_text_is_named_at_its_line(original_text, tmp_path, at, mask):
    data = bytearray(original_text.read_bytes())
    at %= len(data)
    line = data.count(b"\n", 0, at) + 1
    data[at] ^= mask
    path = tmp_path / "flipped.jsonl"
    path.write_bytes(data)
    try:
        report = verify_log(path)
    except JournalError as error:
        assert "first bytes" in str(error) or "journal format" in str(error)  # noqa: PT017 - either
        return
    assert report.fault is not None
    if line <= LENGTH:
        assert report.fault.seq == line, report
    else:
        assert report.fault.seq in {0, LENGTH, LENGTH + 1} or b'"entries":14' not in data


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda lines: lines[:4] + lines[5:], (What.MISSING, 5)),
        (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], (What.REORDERED, 5)),
        (lambda lines: lines[:5] + lines[4:], (What.INSERTED, 6)),
        (lambda lines: lines[:9] + lines[-1:], (What.TRUNCATED, 10)),
        (lambda lines: lines[:9], (What.TRUNCATED, 10)),
        (lambda lines: lines[:-1], (What.TRUNCATED, 15)),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], (What.TRUNCATED, 15)),
        (lambda lines: [*lines[:8], lines[8][:30]], (What.TRUNCATED, 9)),
        (lambda lines: [*lines, b"\n"], (What.CHANGED, 15)),
        (lambda lines: [*lines[:4], b"\n", *lines[4:]], (What.INSERTED, 5)),
        (lambda lines: [*lines[:4], lines[4].replace(b":", b": ", 1), *lines[5:]],
         (What.CHANGED, 5)),
        (lambda lines: [*lines[:-1], b" " + lines[-1]], (What.CHANGED, 15)),
        (lambda lines: [*lines[:-1], lines[-1].replace(b"run-1", b"run-2")], (What.CHANGED, 0)),
    ],
)  # fmt: skip
def test_whatever_else_is_altered_in_the_text_is_named(original_text, tmp_path, change, found):
    lines = original_text.read_bytes().splitlines(keepends=True)
    path = tmp_path / "altered.jsonl"
    path.write_bytes(b"".join(change(lines)))
    assert fault_of(path) == found


def test_an_earlier_head_must_still_be_in_the_chain(original):
    rows = stored_rows(original)
    for row in rows:
        assert verify_log(original, f"{row.seq}:{row.hash.hex()}").ok
        assert verify_log(original, row.hash.hex()).ok
    report = verify_log(original, f"3:{rows[4].hash.hex()}")
    assert (report.fault.what, report.fault.seq) == (What.CHANGED, 3)


def test_a_tail_cut_together_with_the_head_shows_against_an_earlier_head(original, tmp_path):
    rows = stored_rows(original)
    path = altered(original, tmp_path, rows[:10])
    alter(path, "UPDATE head SET seq = 10, hash = ?", rows[9].hash)
    assert verify_log(path).ok
    for noted in (verify_log(original).head, rows[-1].hash.hex()):
        report = verify_log(path, noted)
        assert (report.fault.what, report.fault.seq) == (What.TRUNCATED, 11)


@pytest.mark.parametrize("head", ["", "12", "x" * 64, "-1:" + "0" * 64, "1:" + "0" * 62])
def test_what_is_no_head_is_refused(original, head):
    with pytest.raises(ConfigurationError, match="expected NUMBER:HASH"):
        verify_log(original, head)


def test_facts_of_a_newer_version_are_counted_and_named_though_the_chain_is_sound(
    original, tmp_path
):
    rows = stored_rows(original)
    payload = b'{"type":"Teleported"}'
    digest = link(rows[-1].hash, 15, 99_000, 0, payload)
    path = copy_of(original, tmp_path / "newer.db")
    alter(path, "INSERT INTO entries VALUES (15, 99000, 0, ?, ?)", payload, digest)
    alter(path, "UPDATE head SET seq = 15, hash = ?", digest)
    for file in (path, export(path, tmp_path / "newer.jsonl")):
        report = verify_log(file)
        assert report.fault is None
        assert not report.ok
        assert report.unknown == 1
        assert "entry 15: a fact of kind 'Teleported'" in str(report)


@pytest.mark.parametrize(
    ("content", "advice"),
    [(b"", "expected a journal"), (b"PK\x03\x04", "archive verify"), (b"hello", "expected")],
)
def test_what_is_no_journal_is_refused_with_advice(tmp_path, content, advice):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=advice):
        verify_log(path)
    with pytest.raises(JournalError, match="is no file"):
        verify_log(tmp_path / "none")
