"""Kept evidence in an archive: judged again offline, and every byte of it bound to the journal."""

import hashlib
import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attestation.kept import entry, look, records, rubbish, without
from attestation.world import Plane, policy_text, root
from cutover.attestation.kept_folder import KeptFolder
from cutover.attestation.recheck import Recheck
from cutover.attestation.verdict import NO_ANSWER
from cutover.errors import CutoverError, JournalError
from cutover.evidence.observation import Attestation
from cutover.journal import archive
from cutover.journal.finding import Flaw
from cutover.journal.kept import Evidence, Tally, part_line
from cutover.journal.leak import forms
from journal.journals import record, story
from journal.test_archive import VERSIONS, parts_of, resealed, rewrite

RECORDS, PARTS = "evidence.jsonl", "evidence-parts.jsonl"
REPORTED = Attestation("phala", "unverifiable", "reported", "", ("no quote",))
LOOKS = 7


def agrees(entries):
    """Stands in for the decision rules; reads all."""
    assert list(entries)


def seal(folder, **options):
    """The archive of what is in a folder."""
    target = folder / "run.zip"
    evidence = Evidence(KeptFolder(folder / "evidence"), Recheck())
    options = {"versions": VERSIONS, "replay": agrees, "evidence": evidence, **options}
    archive.create(folder / "journal.db", target, **options)
    return target


def run(folder, looks, purpose="monitor"):
    """A journal that names kept looks, between what else happens in a run."""
    keeper = records(folder / "evidence")
    said = [entry(examined, keeper.keep(examined, purpose)) for examined in looks]
    record(folder / "journal.db", [*story()[:5], REPORTED, *said])
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven looks at a real plane, of which the third brought no answer."""
    made, plane = tmp_path_factory.mktemp("run"), Plane()
    looks = [look(n, plane=plane) for n in range(LOOKS)]
    looks[2] = without(NO_ANSWER, number=2)
    run(made, looks)
    return made


@pytest.fixture(scope="module")
def sealed(folder):
    return seal(folder)


def inspect(path, recheck=None):
    return archive.audit(path, redecide=agrees, recheck=recheck or Recheck())


def found_in(path):
    return [(f.part, f.flaw, f.text) for f in inspect(path).findings]


def forged(sealed, tmp_path, **changes):
    """Findings in an archive with altered parts and sums made to fit; names use `_` for `.`."""
    parts = parts_of(sealed)
    for key, change in changes.items():
        name = {"records": RECORDS, "parts": PARTS}.get(key, key.replace("_", "."))
        parts[name] = change(parts[name])
    rewrite(tmp_path / "forged.zip", resealed(parts).items())
    return found_in(tmp_path / "forged.zip")


def lines(change):
    """A change of a part's list of lines."""
    return lambda data: b"".join(change(data.splitlines(keepends=True)))


def test_a_stranger_judges_every_kept_verdict_again(sealed):
    """With nothing but the file: counts say what could not be, and the mark stands everywhere."""
    seen = inspect(sealed)
    assert seen.findings == []
    # first look, no answer, verified again, and the two newest; one was only reported
    assert seen.evidence == Tally(kept=5, thinned=2, turns_thinned=0, without=1)
    assert seen.marks == ("TEST ROOT",)
    parts = parts_of(sealed)
    assert b"MARK     TEST ROOT" in parts["README.txt"]
    manifest = json.loads(parts["MANIFEST.json"])
    assert (manifest["format"], manifest["marks"]) == (2, ["TEST ROOT"])
    assert manifest["evidence"] == {"kept": 5, "thinned": 2, "turns_thinned": 0, "without": 1}
    assert list(parts)[-3:] == [RECORDS, PARTS, "MANIFEST.json"]


def test_a_line_is_the_record_that_the_journal_names(sealed, folder):
    """By hand: SHA-256 of a line is in the journal; the parts are the policy and what else."""
    parts = parts_of(sealed)
    for line in parts[RECORDS].splitlines():
        assert hashlib.sha256(line).hexdigest().encode() in parts["journal.jsonl"]
    texts = [json.loads(line).get("text") for line in parts[PARTS].splitlines()]
    assert policy_text() in texts
    assert len(texts) == 3


def test_without_a_judge_evidence_is_not_called_sound(sealed):
    """Nobody looked at it, so nobody may say that it is."""
    (finding,) = archive.verify(sealed, redecide=agrees)
    assert (finding.part, finding.flaw) == (RECORDS, Flaw.UNKNOWN)


RECORD_CHANGES = {
    "changed": (lambda ls: [ls[0].replace(b"monitor", b"promote"), *ls[1:]], Flaw.EXTRA),
    "in another form": (lambda ls: [b" " + ls[0], *ls[1:]], Flaw.EXTRA),
    "not ended": (lambda ls: [*ls[:-1], ls[-1][:-1]], Flaw.EXTRA),
    "twice": (lambda ls: [ls[0], *ls], Flaw.DUPLICATE),
    "out of order": (lambda ls: [ls[1], ls[0], *ls[2:]], Flaw.REORDERED),
    "empty": (lambda ls: [b"\n", *ls], Flaw.EXTRA),
}


@pytest.mark.parametrize("what", RECORD_CHANGES)
def test_a_record_that_was_touched_is_named_though_resealed(sealed, tmp_path, what):
    change, flaw = RECORD_CHANGES[what]
    assert (RECORDS, flaw) in {f[:2] for f in forged(sealed, tmp_path, records=lines(change))}


def test_a_record_of_another_run_is_named(sealed, tmp_path):
    """Sound in itself, but no entry of this journal names it."""
    name = records(tmp_path / "other").keep(look(99), "monitor")
    raw = KeptFolder(tmp_path / "other").record(name)
    found = forged(sealed, tmp_path, records=lambda data: data + raw + b"\n")
    texts = {f[:2]: f[2] for f in found}
    assert f"{name}: no entry names it" in texts[RECORDS, Flaw.EXTRA]


def test_a_removed_record_shows_in_the_counts_of_the_manifest(sealed, tmp_path):
    """And where verdict or identity changed it is counted as evidence that should be there."""
    found = forged(sealed, tmp_path, records=lines(lambda ls: ls[1:]))
    assert [f[:2] for f in found] == [("MANIFEST.json", Flaw.CHANGED)]
    seen = inspect(tmp_path / "forged.zip")
    assert seen.evidence == Tally(kept=4, thinned=3, turns_thinned=1, without=1)


PART_CHANGES = {
    "changed": (lambda ls: [ls[0].replace(b"a", b"b"), *ls[1:]], Flaw.CHANGED),
    "another": (lambda ls: sorted([part_line(b"x"), *ls[1:]]), Flaw.EXTRA),
    "twice": (lambda ls: [ls[0], *ls], Flaw.DUPLICATE),
    "out of order": (lambda ls: ls[::-1], Flaw.REORDERED),
    "written otherwise": (lambda ls: [ls[0].replace(b":", b": ", 1), *ls[1:]], Flaw.CHANGED),
}


@pytest.mark.parametrize("what", PART_CHANGES)
def test_a_policy_collateral_or_root_that_was_touched_is_named(sealed, tmp_path, what):
    change, flaw = PART_CHANGES[what]
    assert (PARTS, flaw) in {f[:2] for f in forged(sealed, tmp_path, parts=lines(change))}


def test_what_records_were_judged_by_must_be_there(sealed, tmp_path):
    """Without it nothing can be judged, and that is said of each record."""
    found = forged(sealed, tmp_path, parts=lines(lambda ls: ls[1:]))
    assert (RECORDS, Flaw.DIVERGES) in {f[:2] for f in found}
    assert "it cannot be judged again: saw no " in found[0][2]


@pytest.mark.parametrize("gone", [(RECORDS,), (PARTS,), (RECORDS, PARTS)])
def test_evidence_that_was_taken_out_is_missed(sealed, tmp_path, gone):
    """Though the manifest was made to fit, and the format set back: the journal names evidence."""
    parts = {name: data for name, data in parts_of(sealed).items() if name not in gone}
    manifest = json.loads(parts["MANIFEST.json"])
    manifest["parts"] = [part for part in manifest["parts"] if part["name"] not in gone]
    manifest["format"] = 1
    del manifest["evidence"], manifest["marks"]
    parts["MANIFEST.json"] = json.dumps(manifest, indent=2).encode() + b"\n"
    rewrite(tmp_path / "z", parts.items())
    assert {(name, Flaw.MISSING) for name in gone} & {f[:2] for f in found_in(tmp_path / "z")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"TEST ROOT"', b'"ALL FINE"'),
        (b'"kept": 5', b'"kept": 7'),
        (b'"turns_thinned": 0', b'"turns_thinned": 1'),
        (b'"format": 2', b'"format": 1'),
    ],
)
def test_what_the_manifest_says_of_evidence_is_checked(sealed, tmp_path, old, new):
    found = forged(sealed, tmp_path, MANIFEST_json=lambda data: data.replace(old, new, 1))
    assert ("MANIFEST.json", Flaw.CHANGED) in {f[:2] for f in found}


def test_a_verdict_that_its_evidence_does_not_bear_out_is_named(tmp_path):
    """The journal says verified of a connection that had another key."""
    keeper = records(tmp_path / "evidence")
    good, bad = look(1), look(1, peer_spki=bytes(32))
    name = keeper.keep(bad, "promotion")
    record(tmp_path / "journal.db", [*story()[:2], entry(good, name)])
    (found,) = found_in(seal(tmp_path))
    assert found[:2] == (RECORDS, Flaw.DIVERGES)
    assert "of entry 3: the journal says verdict verified, the evidence gives invalid" in found[2]


def test_one_look_told_twice_is_named(tmp_path):
    """Evidence of an earlier look makes no later verdict."""
    examined = look(1)
    name = records(tmp_path / "evidence").keep(examined, "monitor")
    record(tmp_path / "journal.db", [*story()[:2], entry(examined, name), entry(examined, name)])
    seal(tmp_path)
    found = {f[:2]: f[2] for f in found_in(tmp_path / "run.zip")}
    assert "entry 4 names the evidence of entry 3" in found["journal.jsonl", Flaw.DUPLICATE]


def test_marks_stand_in_the_archive_though_no_evidence_was_kept(tmp_path):
    """They stand beside a verdict for ever."""
    record(tmp_path / "journal.db", [*story()[:2], entry(look(1), "")])
    seen = inspect(seal(tmp_path, evidence=None))
    assert (seen.findings, seen.marks) == ([], ("TEST ROOT",))
    assert seen.evidence == Tally(kept=0, thinned=0, turns_thinned=0, without=1)


def test_evidence_is_not_left_behind_by_mistake(folder, tmp_path):
    """A journal that names it is not archived without a folder to take it from."""
    with pytest.raises(JournalError, match="no folder of it was given"):
        seal(folder, evidence=None)


def test_damaged_evidence_is_named_and_no_archive_made(tmp_path):
    """A record or part whose content is not what its name says, or a part that is gone."""
    run(tmp_path, [look(1)])
    (file,) = (tmp_path / "evidence").glob("*.json")
    whole = file.read_bytes()
    file.write_bytes(whole.replace(b"monitor", b"another"))
    with pytest.raises(CutoverError, match="expected its name: it was changed"):
        seal(tmp_path)
    file.write_bytes(whole)
    part = max((tmp_path / "evidence" / "parts").iterdir())
    part.unlink()
    with pytest.raises(JournalError, match=f"judged by a part {part.name} that is not kept"):
        seal(tmp_path)
    assert not (tmp_path / "run.zip").exists()


@pytest.mark.parametrize(
    "hidden", [b'{"v":1,"x":"s3cret-in-an-answer"}', b'{"x":"s3cret-in-an-answer"}\xff']
)
def test_a_secret_in_a_planes_answer_is_found(tmp_path, hidden):
    """As text and in base64 alike; the value is not told."""
    bad = rubbish(hidden) if hidden.endswith(b"\xff") else look(1, raw=hidden)
    run(tmp_path, [bad])
    with pytest.raises(JournalError, match="contains the secret plane key") as told:
        seal(tmp_path, secrets={"plane key": "s3cret-in-an-answer"})
    assert "s3cret" not in str(told.value)
    assert RECORDS in str(told.value)


def test_a_secret_in_a_policy_is_found(folder):
    """Parts are searched like everything else."""
    with pytest.raises(JournalError, match=rf"{PARTS}.*contains the secret k"):
        seal(folder, secrets={"k": "out_of_date_grace"})


def test_a_secret_in_a_part_that_stands_in_base64_is_found(folder, sealed):
    """In the root's certificate, at a place where no form of it stands in the line."""
    lines = parts_of(sealed)[PARTS]
    runs = re.findall(rb"(?=([ -~]{6}))", root())
    hidden = next(r for r in runs if not any(form in lines for form in forms("k", r.decode())))
    with pytest.raises(JournalError, match=rf"{PARTS}.*contains the secret k"):
        seal(folder, secrets={"k": hidden.decode()})


def test_an_answer_of_blanks_does_not_spoil_the_archive(tmp_path):
    """It packs a thousand to one; a plane must not be able to make a run's record unreadable."""
    raw = b" " * 250_000
    looks = [rubbish(raw, number=n) for n in range(9)]
    run(tmp_path, looks, "promotion")
    assert inspect(seal(tmp_path)).findings == []
    assert len(parts_of(tmp_path / "run.zip")[RECORDS]) > 2 << 20


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_flipped_byte_of_evidence_is_found_though_resealed(sealed, tmp_path, data):
    """One byte of a record, policy, collateral or root: found and named, sums made to fit."""
    name = data.draw(st.sampled_from([RECORDS, PARTS]))
    parts = parts_of(sealed)
    bent = bytearray(parts[name])
    bent[data.draw(st.integers(0, len(bent) - 1))] ^= data.draw(st.integers(1, 255))
    parts[name] = bytes(bent)
    rewrite(tmp_path / "bent.zip", resealed(parts).items())
    assert name in {f[0] for f in found_in(tmp_path / "bent.zip")}
