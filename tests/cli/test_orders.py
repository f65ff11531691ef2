"""Verbs that talk to a run: what they print, promise and refuse; and no secret anywhere."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing

import pytest

from cli.conftest import KEYS
from conductor.theatre import CUTOVER, until
from cutover.journal.store import Journal


def test_status_is_one_line_with_everything(world, cutover):
    """Stage, shares, soak observed and required, state with its reason, next step."""
    said = cutover("status", data=world.data)
    assert said.code == 0
    (line,) = said.out.splitlines()
    parts = line.split(" | ")
    assert parts[0] == "shadow"
    assert parts[1] == "analyze=0% create=0% pay=0%"
    assert parts[2].startswith("soak ")
    assert parts[2].endswith("/1h")
    assert parts[3].startswith("running: ")
    assert parts[4] == "next: open canary"


def test_status_as_json(world, cutover):
    """The same facts by name, for scripts."""
    found = json.loads(cutover("status", "--json", data=world.data).out)
    assert (found["phase"], found["stage"], found["state"]) == ("running", "shadow", "running")
    assert set(found["shares"]) == {"analyze", "create", "pay"}
    assert found["soak"]["observed_ms"][1] == 3_600_000
    assert {"reasons", "next_step", "generation", "term", "weak", "incident", "seq"} <= set(found)


def test_explain_names_every_rule(world, cutover):
    """Value, threshold and distance of each, the gates, and why it does not move."""
    said = cutover("explain", data=world.data)
    assert said.code == 0
    for word in ("not-ready", "canary-failed", "payments-failed", "attestation-lost", "readiness",
                 "dependency", "live_intents", "attestation", "next: open canary"):  # fmt: skip
        assert word in said.out
    found = json.loads(cutover("explain", "--json", data=world.data).out)
    assert len(found["rules"]) == 4
    for rule in found["rules"]:
        assert {"rule", "state", "value", "threshold", "distance", "evidence"} <= set(rule)
    assert len(found["gates"]) == 4


def test_hold_and_resume(world, cutover):
    """An order is journaled with its name and reason, and the answer is the new status."""
    said = cutover("hold", "--reason", "looking [bold]closely[/]", data=world.data)
    assert said.code == 0
    assert "held: held by ann: looking [bold]closely[/]" in said.out
    assert world.facts("HoldOrder")[-1].reason == "looking [bold]closely[/]"
    said = cutover("resume", "--reason", "fine", "--actor", "bob", "--json", data=world.data)
    assert json.loads(said.out)["state"] == "running"
    assert world.facts("ResumeOrder")[-1].actor == "bob"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resume",), "the run is not held"),
        (("promote", "--expect", "mixed"), "the open stage is 'shadow'"),
        (("promote", "--expect", "shadow"), "no order shortens a soak"),
        (("retry",), "nothing failed"),
        (("disarm", "no-such-rule", "--expires", "5m"), "no rule 'no-such-rule'"),
        (("disarm", "not-ready", "--expires", "48h"), "at most 24 hours"),
        (("waive", "tls_and_domain"), "does not apply"),
        (("hold", "--actor", " "), "an actor and a reason"),
    ],
)
def test_a_refused_order_is_code_3(world, cutover, words, said):
    """Nothing changed but the record of the attempt; the message says when it would apply."""
    before = json.loads(cutover("status", "--json", data=world.data).out)
    answer = cutover(*words, "--reason", "x", data=world.data)
    assert answer.code == 3, answer.all
    assert said in answer.err
    assert world.facts("OrderRefused")[-1].reason in answer.err.replace("\n", " ")
    after = json.loads(cutover("status", "--json", data=world.data).out)
    assert [before[k] for k in ("phase", "stage", "state")] == [
        after[k] for k in ("phase", "stage", "state")
    ]


def test_a_dry_run_orders_nothing(world, cutover):
    """Neither the order nor its refusal reaches the journal."""
    kinds = ("HoldOrder", "AbortOrder", "OrderRefused", "DisarmOrder")
    before = len(world.facts(*kinds))
    said = cutover("abort", "--reason", "x", "--dry-run", data=world.data)
    assert said.code == 0
    assert "would be admitted" in said.out
    assert cutover("resume", "--reason", "x", "--dry-run", data=world.data).code == 3
    words = ("disarm", "not-ready", "--expires", "5m", "--reason", "x", "--dry-run", "--json")
    assert json.loads(cutover(*words, data=world.data).out)["phase"] == "running"
    assert len(world.facts(*kinds)) == before


def test_disarm_and_its_end(world, cutover):
    """A rule is off for a while, and `explain` says by whom and why."""
    words = ("disarm", "payments-failed", "--reason", "rail is moved", "--expires", "2s")
    assert cutover(*words, data=world.data).code == 0
    assert "disarmed by ann" in cutover("explain", data=world.data).out
    until(
        "the rule's return",
        lambda: "disarmed" not in cutover("explain", data=world.data).out,
        tell=world.story,
    )


def test_watching_ends_with_an_interrupt(world):
    """`status -w` goes on until Ctrl-C, which is code 130 and no traceback."""
    child = subprocess.Popen(
        [*CUTOVER, "status", "-w", "--data", str(world.data)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # a shell that put the tests into the background has them ignore interrupts
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread
    )  # fmt: skip
    with child:
        assert child.stdout.readline().startswith("shadow | ")
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)
    assert child.returncode == 130
    assert "Traceback" not in err


def test_another_conductor_is_refused(world):
    """One journal, one writer: code 4, and the first one is not disturbed."""
    said = world.cli("run", str(world.runbook), "--config", str(world.config))
    assert said.returncode == 4, said.stderr
    assert "another conductor" in said.stderr
    assert world.children["conductor"].poll() is None


@pytest.fixture
def copy(world, tmp_path):
    """The journal as a file of its own."""
    target = tmp_path / "journal.db"
    address = f"file:{world.data}/journal.db?mode=ro"
    with (
        closing(sqlite3.connect(address, uri=True)) as source,
        closing(sqlite3.connect(target)) as out,
    ):
        source.backup(out)
    return target


def test_without_a_conductor_status_reads_the_journal(copy, cutover):
    """Code 5 while the run is not over; nothing is guessed where there is no journal either."""
    said = cutover("status", "--data", copy.parent)
    assert said.code == 5
    assert "| next: " in said.out
    assert "no conductor runs" in said.err
    copy.unlink()
    said = cutover("status", "--data", copy.parent)
    assert (said.code, said.out) == (5, "")


def test_a_sound_journal_verifies_and_an_altered_one_is_code_4(copy, cutover):
    """`verify-log` names the first bad entry."""
    found = json.loads(cutover("verify-log", copy, "--json").out)
    assert (found["ok"], found["fault"]) == (True, None)
    head = found["head"]
    assert cutover("verify-log", copy, "--expect-head", head).code == 0
    with closing(sqlite3.connect(copy, isolation_level=None)) as database:
        database.execute("DROP TRIGGER entries_no_update")
        database.execute("UPDATE entries SET wall_ms = wall_ms + 1 WHERE seq = 5")
    said = cutover("verify-log", copy)
    assert said.code == 4
    assert "entry 5" in said.out
    found = json.loads(cutover("verify-log", copy, "--json").out)
    assert (found["ok"], found["entries"]) == (False, 4)
    assert cutover("archive", "create", copy, "-o", copy.parent / "x.zip").code == 4


def test_an_archive_is_made_and_verifies_until_it_is_touched(copy, cutover, world):
    """Create, verify, tamper, verify: 0, 0, 1 with the part's name; the head can be pinned."""
    made, config = copy.parent / "a.zip", ("--config", world.config)
    found = json.loads(cutover("archive", "create", copy, "-o", made, *config, "--json").out)
    assert set(found) == {"file", "head", "bytes", "scanned_for_secrets"}
    assert found["scanned_for_secrets"] is True
    bare = ("archive", "create", copy, "-o", copy.parent / "bare.zip")
    assert json.loads(cutover(*bare, "--json").out)["scanned_for_secrets"] is False
    assert "not scanned for secrets" in cutover(*bare).out
    assert "not scanned" not in cutover(*bare, *config).out
    with Journal.open_read_only(copy) as reader:
        head = f"{reader.head[0]}:{reader.head[1].hex()}"
    assert cutover("archive", "verify", made, "--expect-head", head).code == 0
    wrong = head[:-4] + "0000"
    assert cutover("archive", "verify", made, "--expect-head", wrong).code == 1
    tampered = copy.parent / "b.zip"
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(tampered, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "canary.jsonl":
                content = content.replace(b"true", b"null", 1)
            new.writestr(name, content)
    said = cutover("archive", "verify", tampered, "--json")
    assert said.code == 1
    found = json.loads(said.out)
    assert found["ok"] is False
    assert "canary.jsonl" in json.dumps(found["findings"])
    cut = copy.parent / "c.zip"
    shutil.copy(made, cut)
    cut.write_bytes(cut.read_bytes()[:-200])
    assert cutover("archive", "verify", cut).code in (1, 4)


def test_no_secret_is_in_anything_that_a_run_wrote(world, cutover, copy):
    """Journal, logs, gateway state, archive, outputs: none of the planted keys, no token."""
    out = copy.parent / "a.zip"
    assert cutover("archive", "create", copy, "-o", out, "--config", world.config).code == 0
    tokens = {p.read_text().strip() for p in world.data.glob("*.token")}
    assert len(tokens) == 2
    secrets = [s.encode() for s in (*KEYS.values(), *tokens)]
    written = {
        path: path.read_bytes()
        for path in world.folder.rglob("*")
        if path.is_file() and path.suffix != ".token" and path != world.config
    }
    assert len(written) > 6
    assert any(path.name == "journal.db" for path in written)
    with zipfile.ZipFile(out) as archive:
        written |= {f"archive: {name}": archive.read(name) for name in archive.namelist()}
    for words in (("status", "--json"), ("explain",), ("explain", "--json")):
        written[" ".join(words)] = cutover(*words, data=world.data).all.encode()
    found = [str(where) for where, text in written.items() if any(s in text for s in secrets)]
    assert found == []


def test_the_installed_program_is_this_one():
    """`python -m cutover` and the script are the same."""
    said = subprocess.run(
        [sys.executable, "-m", "cutover", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip().count(".") == 2
