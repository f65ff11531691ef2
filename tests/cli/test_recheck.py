"""`cutover attest recheck`: a stranger with an archive, or a folder, judges every verdict again."""

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from attestation.served import Clock, Served, pccs
from attestation.world import policy, policy_text, root
from cutover.archiving import seal
from cutover.attestation.collateral_source import CollateralSource
from cutover.attestation.examine import Examiner
from cutover.attestation.pccs import Endpoint
from cutover.attestation.record import sha256
from cutover.attestation.records import Records
from cutover.attestation.verdict import observation
from cutover.evidence.observation import Adopted
from cutover.journal import archive
from journal.journals import record
from journal.test_archive import parts_of, resealed, rewrite

KEPT = 4
RUNBOOK = (Path(__file__).parents[2] / "runbooks" / "demo.toml").read_text("utf-8")
LONG = 4000


async def looks(folder):
    """A real plane over TLS: verified, silent for once, verified, then with another key."""
    clock, numbers = Clock(), itertools.count(1)
    served = Served(folder, clock)
    keeper = Records(folder / "evidence", policy_text(), root())
    async with pccs(clock) as service, served.running():
        source = CollateralSource([Endpoint(service.url)], folder / "kept", clock, root())
        examiner = Examiner(
            served.url, policy(), source, clock, lambda n: next(numbers).to_bytes(n, "big"),
            folder / "kept", root(),
        )  # fmt: skip
        for status, key in ((200, True), (503, True), (200, True), (200, False)):
            served.status = status
            if not key:
                served.plane.tls_spki = bytes(32)
            seen = await examiner.look("monitor", LONG)
            name = keeper.keep(seen, "monitor", served.url)
            yield observation("phala", seen.verification, clock.wall_ms(), name)
            clock.now += 60


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's directory: journal, evidence, and the archive of both."""
    folder = tmp_path_factory.mktemp("run")

    async def gathered():
        return [said async for said in looks(folder)]

    told = Adopted("run-1", RUNBOOK, sha256(RUNBOOK.encode()), {"cutover": "test"})
    record(folder / "journal.db", [told, *asyncio.run(gathered())])
    (folder / "root.der").write_bytes(root())
    return folder


@pytest.fixture(scope="module")
def sealed(run):
    path, _ = seal(run / "journal.db", None, run / "run.zip")
    return path


def answered(said):
    """The document, without what a line each is about."""
    document = json.loads(said.out)
    return document, [(look["verdict"], look["agrees"]) for look in document["looks"]]


EXPECTED = [("verified", True), ("unverifiable", True), ("verified", True), ("invalid", True)]


def test_an_archive_is_judged_again_without_anything_else(cutover, sealed):
    """Every verdict with its marks, in the journal's order; also for who knows the root."""
    said = cutover("attest", "recheck", sealed, "--json", "--root", sealed.parent / "root.der")
    document, seen = answered(said)
    assert (said.code, document["ok"], document["wrong"]) == (0, True, 0)
    assert seen == EXPECTED
    assert document["counts"] == {"kept": KEPT, "thinned": 0, "turns_thinned": 0, "without": 0}
    assert document["looks"][0]["marks"] == ["TEST ROOT"]
    text = cutover("attest", "recheck", sealed)
    assert text.code == 0
    assert "phala monitor verified [TEST ROOT]: agrees" in text.out
    assert (
        f"verdicts on attestation: {KEPT} with evidence, 0 thinned out, 0 without any" in text.out
    )
    assert f"{KEPT} judged again, 0 not borne out" in text.out


@pytest.mark.parametrize("where", ["evidence", "."])
def test_a_folder_is_judged_again_while_the_run_goes_on(cutover, run, where):
    """The folder of evidence or the directory around it; no journal is asked for."""
    said = cutover("attest", "recheck", run / where, "--json")
    document, seen = answered(said)
    assert said.code == 0
    assert sorted(seen) == sorted(EXPECTED)
    assert document["counts"] is None


def test_evidence_that_was_changed_is_exit_code_1(cutover, sealed, tmp_path):
    """In an archive with sums made to fit, and in a folder."""
    parts = parts_of(sealed)
    parts["evidence.jsonl"] = parts["evidence.jsonl"].replace(b'"issued":', b'"issued":1', 1)
    rewrite(tmp_path / "z", resealed(parts).items())
    said = cutover("attest", "recheck", tmp_path / "z", "--json")
    assert said.code == 1
    assert "no entry names it" in said.out
    folder = tmp_path / "evidence"
    folder.mkdir()
    (folder / f"{'0' * 64}.json").write_text("{}")
    said = cutover("attest", "recheck", folder)
    assert said.code == 1
    assert f"record {'0' * 64}: NOT BORNE OUT" in said.out


def test_evidence_that_was_taken_out_is_exit_code_1(cutover, sealed, tmp_path):
    """The archive is not sound; that nothing was left to judge is no excuse."""
    parts = {**parts_of(sealed), "evidence.jsonl": b"", "evidence-parts.jsonl": b""}
    rewrite(tmp_path / "z", resealed(parts).items())
    said = cutover("attest", "recheck", tmp_path / "z")
    assert said.code == 1
    assert "MANIFEST.json changed: it counts" in said.out


def test_another_root_than_the_readers_is_exit_code_1(cutover, sealed, tmp_path):
    """Who hands in a root is not told that another one will do."""
    (tmp_path / "other.der").write_bytes(b"another root")
    said = cutover("attest", "recheck", sealed, "--root", tmp_path / "other.der")
    assert said.code == 1
    assert "NOT BORNE OUT: judged under the root" in said.out


def test_what_has_no_evidence_is_exit_code_2(cutover, tmp_path):
    """Nothing judged is not nothing wrong."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no archive")
    record(tmp_path / "journal.db")
    archive.create(
        tmp_path / "journal.db", tmp_path / "plain.zip", versions={}, replay=lambda _: None
    )
    for name in ("empty", "text.zip", "plain.zip", "nowhere"):
        said = cutover("attest", "recheck", tmp_path / name)
        assert said.code == 2, name
        assert said.err.startswith("error:")


def test_verifying_an_archive_tells_marks_and_counts(cutover, sealed):
    """`archive verify` judges again too; this journal's decisions follow from what was seen."""
    said = cutover("archive", "verify", sealed)
    assert said.code == 0, said.all
    assert "MARK: TEST ROOT" in said.out
    assert f"{KEPT} with evidence" in said.out
    document = json.loads(cutover("archive", "verify", sealed, "--json").out)
    assert document["marks"] == ["TEST ROOT"]
    assert document["evidence"]["kept"] == KEPT


def test_a_copied_journal_is_archived_with_the_folder_that_is_named(cutover, run, tmp_path):
    """Without it the archive says that the evidence of a change of verdict is not there."""
    copy = tmp_path / "journal.db"
    copy.write_bytes((run / "journal.db").read_bytes())
    create = ["archive", "create", copy, "--output", tmp_path / "a.zip"]
    assert cutover(*create, "--evidence", run / "evidence").code == 0
    assert f"{KEPT} with evidence" in cutover("archive", "verify", tmp_path / "a.zip").out
    assert cutover(*create).code == 0
    said = cutover("archive", "verify", tmp_path / "a.zip")
    assert f"of the thinned, {KEPT} changed verdict or identity" in said.out
    assert cutover("attest", "recheck", tmp_path / "a.zip").code == 2
