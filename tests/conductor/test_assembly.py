"""A conductor is put together from its journal and what lies outside it, and from nothing else."""

import hashlib
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from conductor import puppet
from conductor.doubles import DEMO, PHASED, Ticks, report
from cutover.conductor.assembly import Outside, assemble
from cutover.decision.kinds import Hold
from cutover.errors import ConfigurationError
from cutover.evidence.observation import Adopted, Attestation, Started, Verdict
from cutover.journal.store import Journal
from cutover.runbook.gate import Evidence


@pytest.fixture
def journal(tmp_path):
    made = Journal.open(tmp_path / "journal.db", "run-1")
    yield made
    made.close()


async def test_the_first_start_adopts_the_runbook(journal):
    """Under the journal's id, with what executes it, and with an id from outside for this boot."""
    told = []
    parts = assemble(DEMO, journal, puppet.outside(Ticks(), told.extend))
    digest = hashlib.sha256(DEMO.text.encode()).hexdigest()
    facts = [entry.fact for entry in journal.entries() if not isinstance(entry.fact, Hold)]
    assert facts[0] == Adopted("run-1", DEMO.text, digest, {"cutover": "test"})
    assert facts[1:] == [Started(1, f"{1:016x}", 0)]
    assert [entry.seq for entry in told] == [entry.seq for entry in journal.entries()]
    assert parts.loop.engine.run.term == 1


async def test_a_later_start_goes_on_from_the_last_entry(journal):
    """With the next term, the time that it was away, and observed time from where it stood."""
    ticks = Ticks(7_000)
    first = assemble(DEMO, journal, puppet.outside(ticks))
    ticks.ms += 500
    first.loop.begin([report(term=1)])
    away = Ticks(40)
    away.wall = ticks.wall_ms() + 9_000 - 40
    second = assemble(DEMO, journal, puppet.outside(away, fresh=lambda: "beef"))
    again = [entry for entry in journal.entries() if isinstance(entry.fact, Started)][1:]
    assert [(entry.fact, entry.at_ms) for entry in again] == [(Started(2, "beef", 9_000), 500)]
    assert second.loop.engine.run.nodes.keys() == {"node-1"}
    assert second.nodes._heard == {"node-1": 500}


async def test_who_follows_knows_the_state_before_anybody_acts_on_it(journal):
    """With the first facts of every start, and with each batch, ahead of the log."""
    seen = []

    def told(entries):
        seen.append(("watch", entries[-1].seq))

    def follow(run):
        seen.append(("follow", run.seq, run.plane("phala").tls_spki))

    key = "ab" * 32
    proved = Attestation(
        "phala", Verdict.VERIFIED, Evidence.VERIFIED, "tdx:1", ("holds",), tls_spki=key
    )
    first = assemble(PHASED, journal, puppet.outside(Ticks(), told, follow=follow))
    first.loop.begin([proved])
    assert [one[0] for one in seen] == ["follow", "watch"] * 2
    assert [one[2] for one in seen if one[0] == "follow"] == ["", key]
    seen.clear()
    assemble(PHASED, journal, puppet.outside(Ticks(), told, follow=follow))
    assert seen[0] == ("follow", seen[1][1], key)


async def test_another_runbook_is_refused_before_anything_is_written(journal):
    """A run keeps what it adopted."""
    assemble(DEMO, journal, puppet.outside(Ticks()))
    head = journal.head
    with pytest.raises(ConfigurationError, match="another runbook"):
        assemble(PHASED, journal, puppet.outside(Ticks()))
    assert journal.head == head


async def test_keys_do_not_show(journal):
    """Whoever prints what lies outside prints no secret."""
    shown = repr(puppet.outside(Ticks()))
    assert not [key for key in puppet.KEYS.values() if key in shown]
    assert {field.name for field in fields(Outside)} >= {"keys", "fresh"}


def test_the_same_world_gives_the_same_journal(tmp_path):
    """Bit for bit, whatever the process's hash seed: no order depends on hashes of strings."""
    tests = Path(__file__).parents[1]
    heads = []
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, str(tests / "conductor/puppet.py"), str(tmp_path / f"{seed}.db")],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(tests)},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        heads.append(done.stdout)
    assert int(heads[0].split()[0]) > 100
    assert len(set(heads)) == 1, heads
