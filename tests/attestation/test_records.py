"""Kept evidence: on disk before its verdict counts, thinned out, and judged again by anybody."""

import json
import stat

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestation.kept import PAPERS, entry, look, records, rubbish, without
from attestation.world import NOW, Plane, policy_text, root
from cutover.attestation import records as keeping
from cutover.attestation.keep import KeepError
from cutover.attestation.kept_folder import KeptFolder
from cutover.attestation.recheck import Recheck
from cutover.attestation.record import sha256
from cutover.attestation.records import Records
from cutover.attestation.verdict import NO_ANSWER, NO_EVIDENCE

PARTS = {sha256(raw): raw for raw in (policy_text().encode(), PAPERS.text.encode(), root())}
LOOKS = {
    "verified": lambda: look(1),
    "another key": lambda: look(1, peer_spki=bytes(32)),
    "no nonce of ours": lambda: look(1, raw=json.dumps(Plane().answer()).encode()),
    "clock": lambda: look(1, last_seen=NOW + 3600),
    "grace": lambda: look(1, out_of_date_since=NOW),
    "silence": lambda: without(NO_ANSWER),
    "none": lambda: without(NO_EVIDENCE),
    "rubbish": lambda: rubbish(b"\xff\x00"),
    "html": lambda: rubbish("<html>grüße".encode()),
}


def kept(folder):
    return set(KeptFolder(folder).names())


def one(folder, examined):
    """Keep a look; its record's bytes."""
    name = records(folder).keep(examined, "monitor")
    return KeptFolder(folder).record(name)


def wrong(raw, entry_of=None, parts=PARTS, **options):
    return Recheck(**options).against(raw, parts.get, entry_of)


@pytest.mark.parametrize("kind", LOOKS)
def test_every_kind_of_look_is_kept_and_gives_the_same_verdict_again(tmp_path, kind):
    """With its own nonce, connection, floor and moment; also when nothing came, or rubbish."""
    examined = LOOKS[kind]()
    raw = one(tmp_path, examined)
    folder = KeptFolder(tmp_path)
    again = Recheck(root()).again(raw, folder.part)
    assert (again.troubles, again.found) == ((), examined.verification)
    assert (again.record.raw(), again.record.plane) == (examined.raw, "phala")
    assert Recheck().against(raw, folder.part, entry(examined, sha256(raw))) is None


def test_records_are_for_the_owner_and_parts_are_kept_once(tmp_path):
    """0600 in a folder of 0700; policy, collateral and root stand once beside many looks."""
    keeper = records(tmp_path / "evidence")
    names = [keeper.keep(look(number), "promotion") for number in range(3)]
    folder = tmp_path / "evidence"
    assert kept(folder) == set(names)
    assert {file.name for file in (folder / "parts").iterdir()} == set(PARTS)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_monitoring_is_thinned_to_one_an_hour_and_the_two_newest(tmp_path):
    """Three hours of a look a minute: the first, one an hour, and the last two."""
    keeper, plane = records(tmp_path), Plane()
    names = [keeper.keep(look(n, plane=plane, peer_ends=None), "monitor") for n in range(185)]
    assert sorted(map(names.index, kept(tmp_path))) == [0, 60, 120, 180, 183, 184]


def test_what_tells_something_stays(tmp_path):
    """A verdict that changed, a promotion, and the looks that a decision may rest on."""
    keeper = records(tmp_path)
    kinds = {3: without(NO_ANSWER, number=3), 7: look(7)}
    names = []
    for n in range(20):
        marker = "2" if n >= 12 else "1"
        purpose = "promotion" if n == 7 else "monitor"
        names.append(keeper.keep(kinds.get(n) or look(n), purpose, marker))
    # 4: verified again; 10 and 11: before the decision; 18 and 19: the newest.
    assert kept(tmp_path) == {names[n] for n in (0, 3, 4, 7, 10, 11, 18, 19)}


def test_a_plane_that_changes_with_every_look_fills_no_disk(tmp_path, monkeypatch):
    """Above the bound only what a decision followed stays; the rest has its name in the journal."""
    keeper = records(tmp_path)
    names = [keeper.keep(without(NO_ANSWER, number=n), "promotion", "1") for n in range(4)]
    monkeypatch.setattr(keeping, "KEPT_BYTES_MAX", 0)
    names += [keeper.keep(without(NO_EVIDENCE, number=n), "promotion", "1") for n in range(4, 9)]
    names += [keeper.keep(without(NO_EVIDENCE, number=n), "promotion", "2") for n in range(9, 13)]
    assert kept(tmp_path) == {names[n] for n in (0, 1, 2, 3, 7, 8, 11, 12)}


def test_a_restart_removes_nothing(tmp_path):
    """Nobody knows any more what followed the last looks, so they stay."""
    first = records(tmp_path)
    names = {first.keep(look(n), "monitor") for n in range(2)}
    again = records(tmp_path)
    for n in range(2, 6):
        again.keep(look(n), "monitor")
    assert names < kept(tmp_path)


def test_another_policy_than_the_examiners_is_found_with_the_first_look(tmp_path):
    """Not after nine days, when nothing could be judged again."""
    other = Records(tmp_path, policy_text(services='["other"]'), root())
    with pytest.raises(
        KeepError, match=r"compose_policy.*expected the verdict that policy and root"
    ):
        other.keep(look(), "monitor")
    assert kept(tmp_path) == set()
    with pytest.raises(KeepError, match="root"):
        Records(tmp_path, policy_text(), None).keep(look(), "monitor")


def test_a_folder_that_cannot_be_written_is_said_before_the_verdict_counts(tmp_path):
    """No record, no name of one."""
    (tmp_path / "evidence").write_text("in the way")
    with pytest.raises(KeepError, match="cannot be written"):
        records(tmp_path / "evidence")


def test_a_damaged_record_is_named_and_a_missing_one_is_not_there(tmp_path):
    """What is read is what its name says."""
    name = sha256(one(tmp_path, look()))
    folder = KeptFolder(tmp_path)
    (tmp_path / f"{name}.json").write_bytes(b"{}")
    with pytest.raises(KeepError, match="expected its name"):
        folder.record(name)
    assert folder.record("0" * 64) is None
    assert folder.part("../../etc/passwd") is None


CLAIMS = {
    "verdict": {"verdict": "degraded"},
    "identity": {"identity": "tdx:other"},
    "marks": {"marks": ()},
    "TLS key": {"tls_spki": "0" * 64},
    "plane": {"plane": "hetzner"},
    "evidence": {"evidence": "reported"},
    "lets it last": {"lasts_ms": 3_600_000},
}


@pytest.mark.parametrize("what", CLAIMS)
def test_a_journal_that_says_more_than_the_evidence_is_named(tmp_path, what):
    """Verdict, identity, marks, key and life: each is held against what the evidence gives."""
    examined = look(1)
    raw = one(tmp_path, examined)
    said = msgspec.structs.replace(entry(examined, sha256(raw)), **CLAIMS[what])
    assert f"the journal {'lets' if 'lets' in what else 'says'}" in wrong(raw, said)
    assert what in wrong(raw, said)


def test_a_journal_may_trust_less_where_health_says_so(tmp_path):
    """`/health` contradicted the quote: degraded, with the reason; never the other way round."""
    examined = look(1)
    raw = one(tmp_path, examined)
    told = ("health contradicts the quote: teeWallet=mock",)
    said = entry(examined, sha256(raw))
    less = msgspec.structs.replace(said, verdict="degraded", reasons=told)
    assert wrong(raw, less) is None
    assert "verdict" in wrong(raw, msgspec.structs.replace(less, verdict="missing"))
    bad = look(1, peer_spki=bytes(32))
    more = msgspec.structs.replace(entry(bad, ""), verdict="verified", reasons=told)
    assert "verdict verified, the evidence gives invalid" in wrong(one(tmp_path, bad), more)


FALSE = {
    "verdict": lambda t: t["found"].update(verdict="invalid"),
    "identity": lambda t: t["found"].update(identity="tdx:00"),
    "deadline": lambda t: t["found"].update(deadline=t["found"]["deadline"] + 1),
    "reasons": lambda t: t["found"]["reasons"].pop(),
    "tls_key": lambda t: t["asked"].update(peer_spki="00" * 32),
    "nonce": lambda t: t["asked"].update(nonce="00" * 32),
    "too_old": lambda t: t["asked"].update(issued=NOW - 900),
    "went_down": lambda t: t["asked"].update(floor=[99, 99]),
    "went_back": lambda t: t["asked"].update(last_seen=NOW + 3600),
    "reused": lambda t: t["asked"].update(used=True),
    "a record of hetzner": lambda t: t.update(plane="hetzner"),
    "no policy": lambda t: t.update(policy="0" * 64),
    "no collateral": lambda t: t.update(collateral="0" * 64),
    "no root": lambda t: t.update(root="0" * 64),
    "test_root": lambda t: t.update(root=None),
    "malformed_answer": lambda t: t.update(answer={"text": "{}"}),
    "why no answer came": lambda t: t.update(answer=None),
    "version 2": lambda t: t.update(v=2),
    "another form": lambda t: t.update(answer={"base64": "e30="}),
    "no record": lambda t: t.update(more=1),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_record_that_its_evidence_does_not_bear_out_is_named(tmp_path, what):
    """Whoever writes a record as they like, name and all, is found out by judging again."""
    table = json.loads(one(tmp_path, look(1)))
    FALSE[what](table)
    raw = encode_table(table)
    again = Recheck().again(raw, PARTS.get)
    assert what in "; ".join(again.troubles)


def encode_table(table):
    from cutover.attestation.strict import canonical_json

    return canonical_json(table)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw + b" ",
        lambda raw: raw.replace(b":", b": ", 1),
        lambda raw: raw[:-1] + b',"v":1}',
        lambda raw: b"\xff" + raw,
        lambda raw: b"",
    ],
)
def test_a_record_has_one_form(tmp_path, change):
    """Two texts that say the same would be two evidences of one look."""
    (trouble,) = Recheck().again(change(one(tmp_path, look(1))), PARTS.get).troubles
    assert "record" in trouble


def test_one_answer_stands_for_one_look(tmp_path):
    """A second record with the nonce of an earlier one is a replay; the same record is not."""
    raw = one(tmp_path, look(1))
    table = json.loads(raw)
    table["purpose"] = "promotion"
    recheck = Recheck()
    assert recheck.again(raw, PARTS.get).troubles == ()
    assert recheck.again(raw, PARTS.get).troubles == ()
    (trouble,) = recheck.again(encode_table(table), PARTS.get).troubles
    assert "one nonce for one look" in trouble


def test_a_reader_who_knows_the_root_is_not_told_another(tmp_path):
    """The kept root is what was used, not what should have been."""
    raw = one(tmp_path, look(1))
    assert "expected" in "; ".join(Recheck(b"another root").again(raw, PARTS.get).troubles)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A record, its parts and the entry that names it."""
    examined = look(1)
    raw = one(tmp_path_factory.mktemp("whole"), examined)
    return raw, entry(examined, sha256(raw))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_flipped_byte_of_a_record_or_part_is_found(whole, data):
    """By the name that it no longer has, and by the verdict that no longer follows."""
    raw, said = whole
    files = [raw, *PARTS.values()]
    which = data.draw(st.integers(0, len(files) - 1))
    bent = bytearray(files[which])
    bent[data.draw(st.integers(0, len(bent) - 1))] ^= data.draw(st.integers(1, 255))
    bent = bytes(bent)
    if which == 0:
        assert sha256(bent) != said.record
        return
    name = sha256(files[which])
    assert "with SHA-256" in wrong(raw, said, {**PARTS, name: bent})
