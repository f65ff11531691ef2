"""The parts of an attested plane, each alone: the certificate, the turnstile, the quote's bytes."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.attestation import channel, turnstile
from agent_runtime.attestation.attestor import Attestor
from agent_runtime.attestation.quote import fault_of, report_data_of
from agent_runtime.attestation.statement import canonical_json, key_set_digest
from agent_runtime.attestation.wallet import WalletKey
from agent_runtime.dstack import AppKey, Evidence, GuestAgent, Info
from agent_runtime.errors import RailUnknown
from agent_runtime.settings import Settings
from cutover.attestation import statement as judge
from cutover.attestation.strict import canonical_json as judges_json
from cutover.pinned import spki_sha256
from listening import Listening
from sandbox.tee.machine import Machine

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_key_follows_from_secret_and_instance_and_from_nothing_else():
    numbers = [
        channel.derive_key(secret, instance).private_numbers().private_value
        for secret, instance in ((b"s" * 32, "aa"), (b"s" * 32, "ab"), (b"t" * 32, "aa"))
    ]
    assert len(set(numbers)) == 3
    assert channel.derive_key(b"s" * 32, "aa").private_numbers().private_value == numbers[0]


def test_a_certificate_is_renewed_in_time_for_the_same_key(monkeypatch):
    made = []
    monkeypatch.setattr(channel, "_load", lambda _, pem: made.append(next(iter(pem))))
    now = [NOW]
    found = channel.Channel(channel.derive_key(b"s" * 32, "aa"), "phala", (), lambda: now[0])
    for days, count in ((59, 1), (61, 2), (100, 2), (121, 3)):
        now[0] = NOW + timedelta(days=days)
        found.renew_if_due()
        assert len(made) == count
    certificates = [x509.load_pem_x509_certificate(pem) for pem in made]
    keys = {spki_sha256(one.public_bytes(Encoding.DER)) for one in certificates}
    assert keys == {found.spki}
    assert certificates[1].not_valid_after_utc == NOW + timedelta(days=61 + 90)


def test_a_plane_whose_name_is_no_host_still_has_a_certificate():
    key = channel.derive_key(b"s" * 32, "aa")
    found = channel.certificate(key, "phala:" + "x" * 80, ("plane.example", "::1"), NOW)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["plane.example"]
    bare = channel.certificate(key, "a_b", (), NOW)
    assert bare.not_valid_before_utc < NOW < bare.not_valid_after_utc


class Time:
    """A clock that a test moves."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(turnstile.time, "monotonic", lambda: self.now)


async def refused(found):
    try:
        async with found.turn():
            return 0
    except turnstile.Crowded as error:
        return error.retry_seconds


async def test_a_burst_is_let_in_and_then_four_a_second(monkeypatch):
    clock = Time(monkeypatch)
    found = turnstile.Turnstile()
    assert [await refused(found) for _ in range(9)] == [0] * 8 + [1]
    clock.now += 0.5
    assert [await refused(found) for _ in range(3)] == [0, 0, 1]
    clock.now += 3600
    assert [await refused(found) for _ in range(9)] == [0] * 8 + [1]


async def test_one_is_inside_and_few_wait_and_not_for_long(monkeypatch):
    monkeypatch.setattr(turnstile, "WAIT_SECONDS", 0.05)
    found, leave, inside = turnstile.Turnstile(), asyncio.Event(), []

    async def stay():
        async with found.turn():
            inside.append(1)
            await leave.wait()

    first = asyncio.create_task(stay())
    await asyncio.sleep(0)
    assert await refused(found) == 1  # waited, and then was sent away
    waiting = [asyncio.create_task(refused(found)) for _ in range(turnstile.WAITING_MAX)]
    await asyncio.sleep(0)
    assert await refused(found) == 1
    assert not any(one.done() for one in waiting), "it did not even wait"
    assert inside == [1]
    assert set(await asyncio.gather(*waiting)) == {1}
    leave.set()
    await first
    assert await refused(found) == 0


def world():
    machine = Machine(b"parts", nonce="n")
    facts = machine.facts()
    return machine, Info(facts["app_id"], facts["instance_id"], machine.boot.compose)


def evidence(machine, asked):
    made = machine.evidence(asked)
    return Evidence(made.quote, made.event_log, "")


def test_only_an_answer_to_the_question_about_our_app_counts():
    machine, ours = world()
    asked = bytes(range(64))
    good = evidence(machine, asked)
    assert fault_of(good, asked, ours) == ""
    assert "other bytes" in fault_of(evidence(machine, bytes(64)), asked, ours)
    for changes in ({"app": "somebody-else"}, {"disk": "another disk"}):
        other = evidence(machine.sibling(**changes), asked)
        assert "another app or instance" in fault_of(other, asked, ours)
    for log in ("", "7", "[7]", "{}x", "[" * 100_000, '[{"imr":3}]'):
        assert fault_of(Evidence(good.quote, log, ""), asked, ours)


@given(st.binary(max_size=700))
def test_no_bytes_at_all_are_taken_for_a_quote_by_mistake(raw):
    assert report_data_of(raw) == b"" or raw[4:8] == b"\x81\0\0\0"
    assert len(report_data_of(raw)) in {0, 64}


def test_report_data_is_where_the_verifier_reads_it():
    machine, _ = world()
    quote = machine.evidence(b"\xa7" * 64).quote
    assert report_data_of(quote) == b"\xa7" * 64
    fifth = b"\x05" + quote[1:48] + (2).to_bytes(2, "little") + (584).to_bytes(4, "little")
    assert report_data_of(fifth + quote[48:]) == b"\xa7" * 64
    assert report_data_of(quote[:631]) == b""


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=9) | st.integers(0, 2**40)))
def test_plane_and_verifier_spell_a_statement_alike(value):
    assert canonical_json(value) == judges_json(value)


@given(st.binary(min_size=32, max_size=32), st.lists(st.binary(min_size=33, max_size=33)))
def test_plane_and_verifier_name_a_key_set_alike(tls, wallets):
    theirs = judge.key_set_digest(tls, [("secp256k1", key) for key in wallets])
    assert key_set_digest(tls.hex(), wallets) == theirs.hex()


def test_no_repr_shows_a_key():
    key = AppKey(b"\x11" * 32, (b"a", b"b"))
    shown = repr(key) + repr(WalletKey.of("signing", key))
    assert "\\x11" not in shown
    assert "11" * 16 not in shown


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("info", b"[]"),
        ("info", b"{}"),
        ("info", b"[" * 200_000),
        ("info", b'{"app_id":"aa","instance_id":"","tcb_info":"{}"}'),
        ("info", b'{"app_id":"%s","instance_id":"","tcb_info":"{}"}' % (b"aa" * 20)),
        ("info", b'{"app_id":"%s","instance_id":7,"tcb_info":"[]"}' % (b"aa" * 20)),
        ("quote", b'{"quote":"","event_log":"","vm_config":""}'),
        ("quote", b'{"quote":"zz","event_log":"","vm_config":""}'),
        ("quote", b'{"quote":"aa","event_log":[],"vm_config":""}'),
        ("quote", b'{"quote":"%s","event_log":"","vm_config":""}' % (b"aa" * 132_000)),
        ("key", b'{"key":"aabb","signature_chain":["aa","aa"]}'),
        ("key", b'{"key":"%s","signature_chain":["aa"]}' % (b"ab" * 32)),
        ("key", b'{"key":"%s","signature_chain":["aa","aa"]}' % (b"ab" * 32)),
    ],
)
async def test_an_answer_of_the_agent_is_what_it_should_be_or_none(method, answer):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()

    calls = {"info": (), "quote": (bytes(64),), "key": ("p", "q")}
    async with Listening(serve) as server:
        agent = GuestAgent(server.url)
        with pytest.raises(RailUnknown) as caught:
            await getattr(agent, method)(*calls[method])
        assert "ab" * 32 not in str(caught.value)
        await agent.aclose()


async def test_a_quote_is_asked_for_over_64_bytes_and_no_fewer():
    with pytest.raises(ValueError, match="expected 64"):
        await GuestAgent("/nowhere").quote(b"short")


@pytest.mark.parametrize("seconds", [60, 3600])
def test_evidence_says_how_long_it_holds_as_it_was_told(seconds):
    keys = (SimpleNamespace(wallets=()), SimpleNamespace(spki="ab" * 32))
    told = Settings.from_environ({"AGENT_EVIDENCE_SECONDS": str(seconds)})
    asked = SimpleNamespace(_keys=lambda: keys, _settings=told)
    ours = SimpleNamespace(app_id="a", instance_id="i")
    before = datetime.now(UTC).timestamp()
    said = json.loads(Attestor._statement(asked, "0" * 64, ours))
    assert 0 <= said["expires"] - int(before) - seconds <= 5
