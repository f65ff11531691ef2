"""The archive: what is in it, and that nothing in it can be altered unnoticed."""

import base64
import hashlib
import json
import stat
import struct
import warnings
import zipfile
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cutover.decision.kinds import Reason, Retry
from cutover.errors import JournalError
from cutover.evidence.observation import Reference
from cutover.journal import archive, container, leak
from cutover.journal.container import PARTS
from cutover.journal.derived import State
from cutover.journal.finding import Flaw
from cutover.journal.manifest import Manifest, write_manifest
from cutover.journal.redecide import redecide
from cutover.journal.store import Journal
from journal.journals import RUN, RUNBOOK, alter, copy_of, record, story

VERSIONS = {"cutover": "0.1.0"}


def agrees(entries):
    """Stands in for the decision rules where a test is about something else; reads all."""
    assert [entry.fact for entry in entries] == story()


def create(source, target, **options):
    options = {"versions": VERSIONS, "replay": agrees, **options}
    return archive.create(source, target, **options)


def parts_of(path):
    with zipfile.ZipFile(path) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rewrite(path, parts):
    """An archive in our own layout with other content."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names are what some tests are about
        for name, data in parts:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.create_system, info.external_attr = 8, 3, 0o600 << 16
            with opened.open(info, "w") as member:
                member.write(data)


def resealed(parts):
    """The manifest adapted to altered parts, as a forger would do."""
    manifest = json.loads(parts["MANIFEST.json"])
    for part in manifest["parts"]:
        data = parts[part["name"]]
        part["sha256"], part["size"] = hashlib.sha256(data).hexdigest(), len(data)
    return {**parts, "MANIFEST.json": json.dumps(manifest, indent=2).encode() + b"\n"}


@pytest.fixture(scope="module")
def sealed(original, tmp_path_factory):
    target = tmp_path_factory.mktemp("sealed") / "run.zip"
    create(original, target)
    return target


def found_in(path, replay=agrees, **options):
    return {(f.part, f.flaw) for f in archive.verify(path, redecide=replay, **options)}


def forged(sealed, tmp_path, reseal=True, **changes):
    """Verify the archive with some parts altered; names use `_` for `.`."""
    parts = parts_of(sealed)
    for key, change in changes.items():
        name = key.replace("_", ".")
        parts[name] = change(parts[name])
    path = tmp_path / "forged.zip"
    rewrite(path, (resealed(parts) if reseal else parts).items())
    return found_in(path)


def test_a_fresh_archive_is_sound(sealed, original):
    assert archive.verify(sealed, redecide=agrees) == []
    with Journal.open_read_only(original) as reader:
        seq, digest = reader.head
    assert archive.verify(sealed, redecide=agrees, expect_head=f"{seq}:{digest.hex()}") == []
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600


def test_it_holds_the_parts_in_order_and_says_what_it_is(sealed):
    parts = parts_of(sealed)
    assert list(parts) == list(PARTS)
    assert parts["runbook.toml"].decode() == RUNBOOK
    assert "How to check it, offline" in parts["README.txt"].decode()
    versions = json.loads(parts["versions.json"])
    assert versions == {"archive": VERSIONS, "run": {"cutover": "0.1.0"}}
    manifest = json.loads(parts["MANIFEST.json"])
    assert (manifest["run"], manifest["state"], manifest["entries"]) == (RUN, "complete", 14)
    assert len(parts["journal.jsonl"].splitlines()) == 15


def test_canary_runs_incidents_and_checks_are_taken_from_the_journal(sealed):
    parts = parts_of(sealed)
    canary = [json.loads(line) for line in parts["canary.jsonl"].splitlines()]
    assert [line["seq"] for line in canary] == [4, 6, 7, 12]
    (incident,) = json.loads(parts["incidents.json"])
    assert incident["rule"] == "canary_failed_in_a_row"
    assert incident["evidence"] == [6, 7]
    assert (incident["start"]["seq"], incident["returned"]["seq"]) == (8, 9)
    assert incident["retried"] is None
    (check,) = json.loads(parts["postchecks.json"])
    assert (check["seq"], check["name"], check["ok"]) == (13, "upstream_and_keys", True)


def test_a_retry_ends_the_incident_and_the_run_goes_on(tmp_path):
    retried = Retry((Reason("operator", "fixed"),), (10,))
    source = record(tmp_path / "journal.db", [*story()[:10], retried])
    manifest = create(source, tmp_path / "run.zip", replay=lambda _: None)
    (incident,) = json.loads(parts_of(tmp_path / "run.zip")["incidents.json"])
    assert (incident["returned"]["seq"], incident["retried"]["seq"]) == (9, 11)
    assert manifest.state == State.UNFINISHED


def test_a_journal_whose_first_entry_is_of_another_run_is_not_archived(tmp_path):
    foreign = msgspec.structs.replace(story()[0], run="run-2")
    source = record(tmp_path / "journal.db", [foreign])
    with pytest.raises(JournalError, match="of run run-1, its first entry of run-2"):
        create(source, tmp_path / "run.zip", replay=lambda _: None)


def test_a_runbook_that_is_not_the_one_whose_sum_was_adopted_is_named(tmp_path):
    false = msgspec.structs.replace(story()[0], sha256="0" * 64)
    source = record(tmp_path / "journal.db", [false])
    create(source, tmp_path / "run.zip", replay=lambda _: None)
    found = found_in(tmp_path / "run.zip", lambda _: None)
    assert found == {("runbook.toml", Flaw.CHANGED)}


def test_the_same_journal_gives_the_same_bytes(original, sealed, tmp_path):
    create(original, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == sealed.read_bytes()


@pytest.mark.parametrize(
    ("length", "state"),
    [(7, State.UNFINISHED), (8, State.UNFINISHED), (9, State.ROLLED_BACK), (14, State.COMPLETE)],
)
def test_an_unfinished_run_is_archived_and_says_so(tmp_path, length, state):
    source = record(tmp_path / "journal.db", story()[:length])
    manifest = create(source, tmp_path / "run.zip", replay=lambda entries: None)
    assert manifest.state == state
    assert archive.verify(tmp_path / "run.zip", redecide=lambda entries: None) == []


def test_a_live_journal_is_archived_as_it_stands(tmp_path):
    with Journal.open(tmp_path / "journal.db", RUN) as journal:
        journal.append(story(), at_ms=0, wall_ms=0)
        assert create(journal.path, tmp_path / "run.zip").entries == 14
        journal.append([Reference(ok=True, detail="")], at_ms=1, wall_ms=1)
    assert archive.verify(tmp_path / "run.zip", redecide=agrees) == []


def test_an_unsound_journal_is_not_archived(original, tmp_path):
    source = copy_of(original, tmp_path / "journal.db")
    alter(source, "UPDATE entries SET wall_ms = 0 WHERE seq = 5")
    with pytest.raises(JournalError, match="entry 5 changed"):
        create(source, tmp_path / "run.zip")
    assert not (tmp_path / "run.zip").exists()


def test_a_journal_that_does_not_begin_with_the_runbook_is_not_archived(tmp_path):
    source = record(tmp_path / "journal.db", story()[1:])
    with pytest.raises(JournalError, match="begins with Started"):
        create(source, tmp_path / "run.zip")


SECRET = 's3cret/+"key'


@pytest.mark.parametrize(
    "detail",
    [
        f"key={SECRET}!",
        json.dumps({"key": SECRET}),
        quote(SECRET, safe=""),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        hashlib.sha256(SECRET.encode()).hexdigest(),
    ],
)
def test_no_archive_is_made_with_a_secret_in_it_and_its_value_is_not_told(tmp_path, detail):
    facts = [*story()[:5], Reference(ok=True, detail=detail)]
    source = record(tmp_path / "journal.db", facts)
    with pytest.raises(JournalError, match=r"journal.jsonl contains the secret plane key") as told:
        create(
            source,
            tmp_path / "run.zip",
            replay=lambda entries: None,
            secrets={"other": "not in there", "plane key": SECRET},
        )
    assert "s3cret" not in str(told.value)
    assert [file.name for file in tmp_path.glob("*zip*")] == []


def test_a_secret_across_the_border_of_two_batches_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr("cutover.journal.leak._BATCH_BYTES", 1)
    source = record(tmp_path / "j.db", story())
    secret = '"hash":"'  # in every line, but nowhere else
    with pytest.raises(JournalError, match=r"journal.jsonl contains"):
        create(source, tmp_path / "z", secrets={"k": secret})
    from cutover.journal.leak import Scanner

    with pytest.raises(JournalError, match="part contains"):
        list(Scanner({"k": "abcdefgh"}).watch("part", [b"xxabc", b"d", b"efghxx"]))
    assert b"".join(Scanner({"k": "abcdefgh"}).watch("p", [b"abcd", b"fgh"])) == b"abcdfgh"


def test_a_secret_too_short_to_look_for_is_refused(original, tmp_path):
    with pytest.raises(JournalError, match="k has 3 bytes, at least 6"):
        create(original, tmp_path / "z", secrets={"k": "abc"})


def test_a_sound_archive_passes_the_scan(original, tmp_path):
    create(original, tmp_path / "run.zip", secrets={"plane key": "nobody-wrote-this-down"})
    assert archive.verify(tmp_path / "run.zip", redecide=agrees) == []


@pytest.mark.parametrize("name", PARTS)
def test_a_changed_part_is_named(sealed, tmp_path, name):
    change = {name.replace(".", "_"): lambda data: data.replace(b"a", b"b", 1)}
    named = {part for part, _ in forged(sealed, tmp_path, reseal=False, **change)}
    assert name in named


@pytest.mark.parametrize("name", PARTS)
def test_a_truncated_part_is_named(sealed, tmp_path, name):
    change = {name.replace(".", "_"): lambda data: data[:-2]}
    flaw = Flaw.UNREADABLE if name == "MANIFEST.json" else Flaw.TRUNCATED
    assert (name, flaw) in forged(sealed, tmp_path, reseal=False, **change)


@pytest.mark.parametrize("name", PARTS)
def test_a_missing_part_is_named(sealed, tmp_path, name):
    parts = parts_of(sealed)
    del parts[name]
    rewrite(tmp_path / "z", parts.items())
    assert (name, Flaw.MISSING) in found_in(tmp_path / "z")


@pytest.mark.parametrize("name", PARTS)
def test_a_part_that_stands_twice_is_named(sealed, tmp_path, name):
    parts = parts_of(sealed)
    rewrite(tmp_path / "z", [*parts.items(), (name, parts[name])])
    assert (name, Flaw.DUPLICATE) in found_in(tmp_path / "z")


def test_a_part_out_of_place_is_named(sealed, tmp_path):
    parts = list(parts_of(sealed).items())
    parts[1], parts[2] = parts[2], parts[1]
    rewrite(tmp_path / "z", parts)
    assert ("versions.json", Flaw.REORDERED) in found_in(tmp_path / "z")


@pytest.mark.parametrize("name", ["evil.txt", "../evil.txt", "/tmp/evil.txt"])  # noqa: S108 - a name
def test_an_extra_part_is_named(sealed, tmp_path, name):
    rewrite(tmp_path / "z", [*parts_of(sealed).items(), (name, b"x")])
    assert found_in(tmp_path / "z") == {(name, Flaw.EXTRA)}


LINES = {
    Flaw.CHANGED: lambda data: data.replace(b"canary", b"dreary", 1).replace(b"hetz", b"hutz", 1),
    Flaw.MISSING: lambda data: b"".join(data.splitlines(keepends=True)[1:]),
    Flaw.TRUNCATED: lambda data: b"".join(data.splitlines(keepends=True)[:-1]),
    Flaw.REORDERED: lambda data: b"".join(reversed(data.splitlines(keepends=True))),
    Flaw.INSERTED: lambda data: data + data.splitlines(keepends=True)[-1],
}


@pytest.mark.parametrize("flaw", LINES)
@pytest.mark.parametrize("name", ["canary.jsonl", "incidents.json"])
def test_a_derived_part_that_the_journal_contradicts_is_named_though_resealed(
    sealed, tmp_path, name, flaw
):
    found = forged(sealed, tmp_path, **{name.replace(".", "_"): LINES[flaw]})
    assert found == {(name, flaw)}


def test_resealed_checks_runbook_and_versions_are_named(sealed, tmp_path):
    found = forged(
        sealed,
        tmp_path,
        postchecks_json=lambda data: data.replace(b"true", b"false"),
        runbook_toml=lambda data: data.replace(b"runbook", b"handbook"),
        versions_json=lambda data: b"0.2.0".join(data.rsplit(b"0.1.0", 1)),
    )
    assert found == {
        ("postchecks.json", Flaw.CHANGED),
        ("runbook.toml", Flaw.CHANGED),
        ("versions.json", Flaw.CHANGED),
    }


JOURNAL_LINES = {
    Flaw.CHANGED: lambda ls: [*ls[:4], ls[4].replace(b"four", b"five"), *ls[5:]],
    Flaw.MISSING: lambda ls: ls[:4] + ls[5:],
    Flaw.REORDERED: lambda ls: [*ls[:4], ls[5], ls[4], *ls[6:]],
    Flaw.TRUNCATED: lambda ls: ls[:9] + ls[-1:],
    Flaw.INSERTED: lambda ls: ls[:5] + ls[4:],
}


@pytest.mark.parametrize("flaw", JOURNAL_LINES)
def test_an_altered_journal_is_named_though_resealed(sealed, tmp_path, flaw):
    change = JOURNAL_LINES[flaw]
    found = forged(
        sealed,
        tmp_path,
        journal_jsonl=lambda data: b"".join(change(data.splitlines(keepends=True))),
    )
    assert found == {("journal.jsonl", flaw)}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"run": "run-1"', b'"run": "run-2"'),
        (b'"entries": 14', b'"entries": 13'),
        (b'"state": "complete"', b'"state": "aborted"'),
        (b'"head": "', b'"head": "0'),
        (b'"divergence": null', b'"divergence": "x"'),
        (b'"first_wall_ms": 17', b'"first_wall_ms": 18'),
        (b'"name": "README.txt"', b'"name": "NOTES.txt"'),
        (b'"format": 1', b'"format":  1'),
    ],
)
def test_whatever_the_manifest_says_is_checked(sealed, tmp_path, old, new):
    found = forged(
        sealed, tmp_path, reseal=False, MANIFEST_json=lambda data: data.replace(old, new, 1)
    )
    assert ("MANIFEST.json", Flaw.CHANGED) in found


def test_a_newer_archive_format_is_named(sealed, tmp_path):
    change = {"MANIFEST_json": lambda data: data.replace(b'"format": 1', b'"format": 3', 1)}
    assert ("MANIFEST.json", Flaw.UNKNOWN) in forged(sealed, tmp_path, reseal=False, **change)


def test_an_archive_written_anew_as_a_whole_shows_against_a_noted_head(original, tmp_path):
    source = record(tmp_path / "journal.db", story()[:9])
    create(source, tmp_path / "anew.zip", replay=lambda _: None)
    with Journal.open_read_only(original) as reader:
        noted = f"{reader.head[0]}:{reader.head[1].hex()}"
    found = found_in(tmp_path / "anew.zip", lambda _: None, expect_head=noted)
    assert found == {("journal.jsonl", Flaw.TRUNCATED)}


def test_decisions_that_do_not_follow_are_named(original, tmp_path):
    path = tmp_path / "run.zip"
    assert create(original, path, replay=lambda _: "entry 5: no").divergence == "entry 5: no"
    findings = archive.verify(path, redecide=lambda _: "entry 5: no")
    assert [(f.flaw, f.text) for f in findings] == [(Flaw.DIVERGES, "entry 5: no")]
    assert found_in(path) == {("MANIFEST.json", Flaw.CHANGED)}


def test_the_real_rules_refuse_a_story_that_follows_from_nothing(sealed):
    found = archive.verify(sealed, redecide=redecide)
    assert ("journal.jsonl", Flaw.DIVERGES) in {(f.part, f.flaw) for f in found}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_any_flipped_byte_of_the_file_is_found_or_changes_no_part(sealed, tmp_path, at, mask):
    data = bytearray(sealed.read_bytes())
    data[at % len(data)] ^= mask
    path = tmp_path / "flipped.zip"
    path.write_bytes(data)
    if not archive.verify(path, redecide=agrees):
        assert parts_of(path) == parts_of(sealed)  # the same content, packed otherwise


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + b"behind",
        lambda data: b"before" + data,
        lambda data: data[:-30],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"no zip file at all, and long enough to be looked at",
        lambda data: data[:-2] + struct.pack("<H", 5) + b"extra",
    ],
)
def test_bytes_around_the_archive_are_found(sealed, tmp_path, change):
    path = tmp_path / "z"
    path.write_bytes(change(sealed.read_bytes()))
    assert found_in(path) == {("archive", Flaw.UNREADABLE)}


def test_a_hidden_comment_is_found(sealed, tmp_path):
    path = copy_of(sealed, tmp_path / "z")
    with zipfile.ZipFile(path, "a") as opened:
        opened.infolist()[3].extra = b"\x99\x99\x02\x00hi"
        opened._didModify = True
    assert found_in(path) == {("archive", Flaw.EXTRA)}


def test_a_zip_bomb_is_refused_before_it_is_unpacked(sealed, tmp_path, monkeypatch):
    parts = parts_of(sealed)
    parts["canary.jsonl"] = bytes(30 << 20)
    rewrite(tmp_path / "z", parts.items())
    unpacked = []
    real = zipfile.ZipFile.open
    monkeypatch.setattr(
        zipfile.ZipFile,
        "open",
        lambda self, name, *a: unpacked.append(name) or real(self, name, *a),
    )
    assert ("canary.jsonl", Flaw.OVERSIZED) in found_in(tmp_path / "z")
    assert "canary.jsonl" not in unpacked


def test_a_part_beyond_its_bound_is_refused(sealed, tmp_path):
    parts = parts_of(sealed)
    parts["README.txt"] = bytes(range(256)) * 300
    rewrite(tmp_path / "z", parts.items())
    assert ("README.txt", Flaw.OVERSIZED) in found_in(tmp_path / "z")


def test_a_part_that_lies_about_its_size_is_found(sealed, tmp_path):
    data = bytearray(sealed.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        (size,) = struct.unpack_from("<L", data, at)
        struct.pack_into("<L", data, at, size - 5)
    (tmp_path / "z").write_bytes(data)
    assert ("README.txt", Flaw.CHANGED) in found_in(tmp_path / "z")


def test_thousands_of_parts_are_refused_unread(tmp_path):
    rewrite(tmp_path / "z", ((str(number), b"") for number in range(3000)))
    (finding,) = archive.verify(tmp_path / "z", redecide=agrees)
    assert "3000 parts" in finding.text


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(JournalError, match="is no file"):
        archive.verify(tmp_path / "none", redecide=agrees)


def test_a_failed_write_leaves_the_earlier_archive_as_it_was(original, tmp_path, monkeypatch):
    path = tmp_path / "run.zip"
    create(original, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cutover.journal.archive.make_durable", full)
    with pytest.raises(JournalError, match="No space left"):
        create(original, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["run.zip"]


@pytest.fixture
def long_one(tmp_path, monkeypatch):
    """An archive whose journal does not fit in one part."""
    monkeypatch.setitem(container.PARTS, "journal.jsonl", 2_500)
    monkeypatch.setattr(leak, "_BATCH_BYTES", 400)
    create(record(tmp_path / "journal.db"), tmp_path / "long.zip")
    return tmp_path / "long.zip"


def test_a_long_journal_goes_on_in_further_parts(long_one, original_text):
    """Each within its bound, together the journal, and the archive verifies."""
    parts = parts_of(long_one)
    names = [name for name in parts if name.startswith("journal")]
    assert len(names) > 1
    assert names == [container.journal_part(n + 1) for n in range(len(names))]
    assert list(parts)[-1] == "MANIFEST.json"
    assert all(len(parts[name]) <= 2_500 for name in names)
    assert b"".join(parts[name] for name in names) == original_text.read_bytes()
    assert archive.verify(long_one, redecide=agrees) == []


def test_a_further_part_that_is_changed_cut_missing_or_strange_is_named(long_one, tmp_path):
    """It is bound like the first."""
    parts, second, path = parts_of(long_one), "journal.2.jsonl", tmp_path / "z"
    last = [name for name in parts if name.startswith("journal")][-1]
    rewrite(path, {**parts, second: b" " + parts[second]}.items())
    assert (second, Flaw.CHANGED) in found_in(path)
    rewrite(path, {**parts, second: parts[second][:-1]}.items())
    assert (second, Flaw.TRUNCATED) in found_in(path)
    for name in (second, last):
        rewrite(path, [(n, d) for n, d in parts.items() if n != name])
        assert (name, Flaw.MISSING) in found_in(path)
    rewrite(path, [*parts.items(), ("journal.17.jsonl", b"x")])
    assert ("journal.17.jsonl", Flaw.EXTRA) in found_in(path)
    swapped = {**parts, second: parts["journal.jsonl"], "journal.jsonl": parts[second]}
    rewrite(path, resealed(swapped).items())
    assert "journal.jsonl" in {part for part, _ in found_in(path)}


def test_a_journal_beyond_every_part_is_refused(tmp_path, monkeypatch):
    """With advice, and no archive is left behind."""
    monkeypatch.setitem(container.PARTS, "journal.jsonl", 600)
    monkeypatch.setattr(container, "JOURNAL_PARTS_MAX", 2)
    monkeypatch.setattr(leak, "_BATCH_BYTES", 300)
    with pytest.raises(JournalError, match=r"keep the journal\.db"):
        create(record(tmp_path / "journal.db"), tmp_path / "long.zip")
    assert not (tmp_path / "long.zip").exists()


def test_a_page_rewritten_together_with_its_sum_is_found(sealed, tmp_path):
    """README is what a stranger reads first; it is made anew from the journal and compared."""
    parts = parts_of(sealed)
    page = parts["README.txt"].replace(b"State    ", b"State    splendid, ")
    assert page != parts["README.txt"]
    manifest = msgspec.json.decode(parts["MANIFEST.json"], type=Manifest)
    told = tuple(
        msgspec.structs.replace(p, sha256=hashlib.sha256(page).hexdigest(), size=len(page))
        if p.name == "README.txt"
        else p
        for p in manifest.parts
    )
    parts["README.txt"] = page
    parts["MANIFEST.json"] = write_manifest(msgspec.structs.replace(manifest, parts=told))
    rewrite(tmp_path / "z", parts.items())
    assert ("README.txt", Flaw.CHANGED) in found_in(tmp_path / "z")
