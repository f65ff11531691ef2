"""`cutover attest`: all vectors offline, from fetching to pinning, and what it says for people."""

import asyncio
import json
import threading

import pytest

from attestation.served import Clock, Served, pccs
from attestation.test_vectors import CASES, expected_verdict
from attestation.world import FIXTURES, NOW, VECTORS, Plane, collateral, policy_text, root
from cutover.attestation.folder import Recorded, write_folder

EXIT = {"verified": 0, "degraded": 3}
FIELDS = {
    "verdict", "tcb_status", "advisory_ids", "reasons", "measurements", "compose_hash", "app_id",
    "deadline",
}  # fmt: skip


def words(case):
    """The options for one case of the vectors."""
    given = {"--quote": "quote", "--collateral": "collateral", "--root": "root"}
    given |= {"--event-log": "event_log", "--app-compose": "app_compose"}
    files = [(option, case.get(name)) for option, name in given.items()]
    named = [word for option, name in files if name for word in (option, FIXTURES / name)]
    return [*named, "--at", case["now"]]


@pytest.fixture
def kept(tmp_path):
    """Evidence of the usual plane in a folder, a policy and a root beside it."""
    plane = Plane()
    recorded = Recorded("https://x", plane.nonce, NOW - 2, NOW, plane.tls_spki, NOW + 9999)
    folder = tmp_path / "evidence"
    write_folder(folder, json.dumps(plane.answer()).encode(), collateral(), recorded)
    (tmp_path / "root.der").write_bytes(root())
    (tmp_path / "policy.toml").write_text(policy_text())
    return tmp_path


def options(kept):
    return ["--evidence", kept / "evidence", "--root", kept / "root.der", "--at", NOW]


@CASES
def test_each_vector_is_judged_as_expected(cutover, case):
    """Exit code, verdict, status and advisories, offline and at its own time."""
    said = cutover("attest", "verify", *words(case), "--json")
    found = json.loads(said.out)
    verdict = expected_verdict(case)
    assert (said.code, found["verdict"]) == (EXIT.get(verdict, 4), verdict)
    assert set(found) >= FIELDS
    if verdict in EXIT:
        assert found["tcb_status"] == case["expect"]["status"]
        assert found["advisory_ids"] == case["expect"]["advisory_ids"]
        assert found["measurements"]["mrtd"] == case["report"]["mr_td"]
    assert (found["marks"] == ["TEST ROOT"]) is (case["root"] is not None)
    for reason in found["reasons"]:
        assert set(reason) == {"step", "outcome", "code", "seen", "expected"}


@pytest.mark.parametrize("case", VECTORS["event_logs"], ids=lambda c: c["name"])
def test_each_log_is_accepted_or_refused(cutover, case):
    """Without collateral nothing is verified, but the log's own step is told."""
    files = ["--quote", FIXTURES / case["quote"], "--event-log", FIXTURES / case["event_log"]]
    said = cutover("attest", "verify", *files, "--json")
    (step,) = [r for r in json.loads(said.out)["reasons"] if r["step"] == "event_log"]
    assert step["outcome"] == {"accept": "passed", "reject": "failed"}[case["expect"]]
    assert said.code == 4


def test_a_policy_is_judged_offline_from_a_folder(cutover, kept):
    """Everything that was fetched, judged again by a stranger."""
    said = cutover("attest", "verify", *options(kept), "--policy", kept / "policy.toml")
    assert said.code == 0, said.all
    assert "MARK: TEST ROOT" in said.out
    assert "tls_key: passed" in said.out


def test_a_policy_that_cannot_be_used_is_exit_code_2(cutover, kept):
    """With file and line, before anything is judged."""
    (kept / "policy.toml").write_text("[attestation]\n")
    said = cutover("attest", "verify", *options(kept), "--policy", kept / "policy.toml")
    assert said.code == 2
    assert "policy.toml:1: error" in said.err


@pytest.mark.parametrize("words", [[], ["--quote", "nowhere.bin"], ["--evidence", "nowhere"]])
def test_files_that_are_not_there_are_exit_code_2(cutover, tmp_path, words):
    """Nothing was judged."""
    assert cutover("attest", "verify", *words, cwd=tmp_path).code == 2


def test_a_report_tells_proof_from_the_rest(cutover, kept):
    """With a policy nearly all is proved; without one the rest is named."""
    with_policy = cutover("attest", "explain", *options(kept), "--policy", kept / "policy.toml")
    assert with_policy.code == 0
    assert "not proved\n  (nothing)" in with_policy.out
    without = cutover("attest", "explain", *options(kept))
    proved, _, rest = without.out.partition("not proved")
    assert "quote_signature" in proved
    assert "measurements" in rest
    assert "not_asked: no policy" in rest
    assert "that the code is correct" in rest


def test_a_report_without_signatures_says_that_nothing_is_proved(cutover, kept):
    """A log that fits a quote proves nothing while nobody signed it."""
    (kept / "evidence" / "collateral.json").unlink()
    said = cutover("attest", "explain", *options(kept))
    assert said.code == 4
    assert "NOTHING IS PROVED" in said.out


def test_a_first_deployment_is_pinned_and_marked_for_ever(cutover, kept):
    """The draft passes what it was drawn from, says first use, and is not overwritten."""
    draft = kept / "draft.toml"
    pin = ["attest", "pin", "--plane", "phala", *options(kept), "--output", draft]
    said = cutover(*pin, "--reason", "looked at it")
    assert said.code == 0, said.all
    assert 'source = "first_use"' in draft.read_text()
    assert "# approved by ann: looked at it" in draft.read_text()
    judged = cutover("attest", "verify", *options(kept), "--policy", draft, "--json")
    assert judged.code == 0
    assert json.loads(judged.out)["marks"] == ["TEST ROOT", "TRUST ON FIRST USE"]
    assert cutover(*pin, "--reason", "again").code == 2
    linted = cutover("attest", "lint", draft)
    assert linted.code == 0
    assert "trust on first use" in linted.out


def test_what_proves_too_little_is_not_pinned(cutover, kept):
    """Another plane's name, or evidence that does not verify: nothing is written."""
    draft = kept / "draft.toml"
    rest = [*options(kept), "--output", draft, "--reason", "x"]
    assert cutover("attest", "pin", "--plane", "hetzner", *rest).code == 4
    (kept / "evidence" / "collateral.json").unlink()
    said = cutover("attest", "pin", "--plane", "phala", *rest)
    assert said.code == 4
    assert "collateral: unverifiable (none)" in said.out
    assert not draft.exists()


def test_lint_and_schema_serve_editors(cutover, kept):
    """A bad policy is exit code 1 with its place; the schema names the section."""
    (kept / "policy.toml").write_text(policy_text(provider="none"))
    said = cutover("attest", "lint", kept / "policy.toml")
    assert said.code == 1
    assert "attestation.key_provider.name" in said.out
    assert "attestation" in json.loads(cutover("attest", "schema").out)["properties"]


class Living:
    """A plane and a collateral service in a thread of their own."""

    def __init__(self, folder, now):
        self._folder, self._now = folder, now
        self._ready, self._done = threading.Event(), None

    def __enter__(self):
        self._thread = threading.Thread(target=asyncio.run, args=[self._run()])
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    async def _run(self):
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        clock = Clock(self._now)
        self.served = Served(self._folder, clock)
        async with pccs(clock) as service, self.served.running():
            self.pccs = service.url
            self._ready.set()
            await self._done.wait()


def test_what_is_fetched_verifies_offline(cutover, kept, tmp_path):
    """From a living plane over TLS into a folder, and judged from there."""
    import time

    now = int(time.time())
    folder = tmp_path / "fetched"
    with Living(tmp_path, now) as living:
        url = living.served.url
        fetch = ["attest", "fetch", url, "-o", folder, "--root", kept / "root.der"]
        said = cutover(*fetch, "--pccs", living.pccs, "--json")
        assert said.code == 0, said.all
        assert json.loads(said.out)["troubles"] == []
        fetch[fetch.index(folder)] = tmp_path / "without"
        without = cutover(*fetch, "--pccs", "http://127.0.0.1:1")
        assert without.code == 1
        assert "trouble: http://127.0.0.1:1" in without.out
    again = ["--evidence", folder, "--root", kept / "root.der", "--at", now + 5, "--json"]
    judged = cutover("attest", "verify", *again, "--policy", kept / "policy.toml")
    assert (judged.code, json.loads(judged.out)["verdict"]) == (0, "verified"), judged.out
    assert cutover("attest", "fetch", url, "-o", folder).code == 1
