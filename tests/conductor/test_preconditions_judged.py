"""What answers about preconditions amount to: pure judging, each way to be wrong or unknown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cutover.conductor.access_keys import judge_keys
from cutover.conductor.preconditions.answers import (
    Identity,
    Own,
    Parity,
    Shared,
    Signer,
    Silence,
    read_identity,
    read_parity,
)
from cutover.conductor.preconditions.environment import (
    COMPARED,
    OWN,
    absent,
    judge_parity,
    wrong_keys,
)
from cutover.conductor.preconditions.finding import Finding, amounts_to, gravest_first
from cutover.conductor.preconditions.image import Running, judge_image
from cutover.conductor.preconditions.ingress import WAYS, judge_ingress, owners_of
from cutover.conductor.preconditions.signers import judge_signers
from cutover.conductor.preconditions.tls import names_host
from cutover.evidence.planes import Answer

NONCE = "ab" * 32
MARK = "0f" * 32
KEY = "ed25519:" + "4" * 44
SAID = {
    "v": 1, "nonce": NONCE, "plane": "phala", "mode": "production", "imageDigest": "",
    "near": {"network": "mainnet", "account": "a.near", "contract": "c.near", "publicKey": KEY},
    "ingressOwner": "gateway", "version": "2", "build": "r", "guest": None, "tlsSpki": "",
}  # fmt: skip
TOLD = {
    "v": 1, "plane": "phala", "build": "r", "keyedBy": "PARITY_KEY", "keyCheck": MARK,
    "same": {"PORT": {"set": True, "fingerprint": MARK}}, "own": {"PLANE_ID": {"set": True}},
}  # fmt: skip
PLANTED = "PLANTED-secret-0123456789"


class TestFindings:
    @given(st.lists(st.sampled_from([True, None, False])))
    def test_the_worst_decides_and_nothing_is_no_pass(self, oks):
        """One failure fails all; one unknown keeps all from holding; no findings hold nothing."""
        found = [Finding(ok, str(ok)) for ok in oks]
        expected = False if False in oks else (None if None in oks or not oks else True)
        assert amounts_to(found) is expected
        assert amounts_to(gravest_first(found)) is expected
        if found:
            assert gravest_first(found)[0].ok is expected


class TestAnswers:
    def test_whole_answers_are_read(self):
        """As the runtime gives them."""
        assert isinstance(read_identity("phala", NONCE, Answer(200, SAID)), Identity)
        assert isinstance(read_parity("phala", Answer(200, TOLD)), Parity)

    @pytest.mark.parametrize("status", [404, 405])
    def test_a_plane_without_the_route_is_believed_in_a_rehearsal_only(self, status):
        """Somebody else's plane: unknown where money moves."""
        silence = read_parity("phala", Answer(status, {"error": "Not Found"}))
        assert not silence.offered
        assert absent(silence, "x", rehearsal=True).ok is True
        assert absent(silence, "x", rehearsal=False).ok is None

    @pytest.mark.parametrize(
        ("answer", "ok"),
        [
            (Answer(401, {"error": "no"}), False),
            (Answer(200, {**SAID, "nonce": "cd" * 32}), False),
            (Answer(200, {**SAID, "plane": "spare"}), False),
            (Answer(200, {**SAID, "v": 2}), None),
            (Answer(200, {**SAID, "near": {"account": "a.near"}}), None),
            (Answer(200, {**SAID, "imageDigest": "latest"}), None),
            (Answer(200, {**SAID, "mode": "production\n"}), None),
            (Answer(200, {k: v for k, v in SAID.items() if k != "ingressOwner"}), None),
            (Answer(200, None), None),
            (Answer(503, {"code": "no_parity_key"}), None),
            (Answer(None, error="refused"), None),
        ],
    )
    def test_anything_else_never_holds_not_even_in_a_rehearsal(self, answer, ok):
        """Refused, replayed, of another plane, in another form, or not at all."""
        silence = read_identity("phala", NONCE, answer)
        assert isinstance(silence, Silence)
        assert silence.offered
        assert absent(silence, "x", rehearsal=True).ok is ok

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.just(PLANTED),
            lambda inner: st.dictionaries(st.sampled_from([*TOLD, PLANTED]), inner, max_size=4),
        ),
        st.sampled_from([200, 400, 401, 503, None]),
    )
    def test_nothing_that_a_plane_says_beside_names_is_repeated(self, body, status):
        """Wherever a secret stands in an answer, it does not come out."""
        broken = {**TOLD, **body} if isinstance(body, dict) else body
        answer = Answer(status, broken, json.dumps(broken), PLANTED)
        read = read_parity("phala", answer)
        assert isinstance(read, Parity) or PLANTED not in str(read)


def parity(plane, same=None, own=OWN, check=MARK, *, complete=True):
    every = dict.fromkeys(COMPARED, MARK) if same is None or complete else {}
    shared = {
        n: Shared(set=True, fingerprint=mark) for n, mark in {**every, **(same or {})}.items()
    }
    owned = {name: Own(set=True) for name in own}
    return Parity(1, plane, check, shared, owned)


class TestParity:
    @given(
        st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from(["1" * 64, "2" * 64])),
        st.dictionaries(st.sampled_from("ABCDEF"), st.sampled_from(["1" * 64, "2" * 64])),
        st.sets(st.sampled_from("ABCDEF")),
    )
    def test_exactly_the_undeclared_differences_are_named(self, one, other, may):
        """On one side only, or with another fingerprint."""
        found = judge_parity(parity("h", one), parity("p", other), may, rehearsal=False)
        differ = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
        assert {f.text for f in found if f.ok is False} == {f"{n} differs" for n in differ - may}
        assert not any("1111" in f.text or "2222" in f.text for f in found)

    def test_other_keys_compare_nothing(self):
        """Equal fingerprints under different keys would be chance, different ones no difference."""
        found = judge_parity(parity("h"), parity("p", check="1" * 64), (), rehearsal=True)
        assert [finding.ok for finding in found] == [None]

    @pytest.mark.parametrize("name", OWN)
    def test_what_each_plane_needs_for_itself_must_be_set(self, name):
        """Absent or empty, it is named with its plane."""
        lacking = parity("p", own=[own for own in OWN if own != name])
        empty = parity("p")
        empty.own[name] = Own(set=False)
        for told in (lacking, empty):
            found = judge_parity(parity("h"), told, (), rehearsal=False)
            assert [f.text for f in found if f.ok is False] == [f"p: {name} is not set"]

    def test_what_the_runbook_names_must_be_compared(self):
        """Two planes that leave the credentials out are equal in nothing that counts."""
        few = {"PORT": MARK}
        both = [parity(plane, few, complete=False) for plane in ("h", "p")]
        found = judge_parity(*both, COMPARED, rehearsal=True)
        said = {
            finding.text.split(" is not compared")[0] for finding in found if finding.ok is False
        }
        assert said == {f"{plane}: {name}" for plane in ("h", "p") for name in COMPARED}

    def test_a_variable_cannot_be_hidden_by_calling_it_ones_own(self):
        """What one plane compares the other must compare, too."""
        hiding = parity("p", own=[*OWN, "PORT"])
        found = judge_parity(parity("h", {"PORT": "1" * 64}), hiding, ["PORT"], rehearsal=False)
        assert "PORT is compared by one plane only" in str([f for f in found if f.ok is False])


def identity(plane="phala", **changes):
    told = read_identity(plane, NONCE, Answer(200, {**SAID, "plane": plane, **changes}))
    assert isinstance(told, Identity)
    return told


class TestDoor:
    @given(st.text(st.sampled_from("abAB09-_"), min_size=6, max_size=40))
    def test_what_must_not_open_is_never_the_key(self, key):
        """Whatever the key is; and each of them is another."""
        tried = [one for one in wrong_keys(key, "0f" * 32).values() if one is not None]
        assert key not in tried
        assert len(set(tried)) == len(tried)


class TestIngress:
    @pytest.mark.parametrize(
        ("one", "other", "ok"),
        [
            ("gateway", "gateway", True),
            ("gateway", "http=gateway,webhook=gateway,poller=gateway,cron=gateway", True),
            *[("http=gateway,webhook=gateway,poller=hetzner,cron=none",) * 2 + (True,)],
            ("gateway", "", False),
            ("gateway", "hetzner", False),
            ("hetzner", "hetzner", False),
            ("stranger", "stranger", False),
            ("http=gateway,webhook=gateway,poller=x,cron=none",) * 2 + (False,),
            ("http=gateway,http=gateway,webhook=gateway,poller=gateway,cron=x",) * 2 + (False,),
            ("http=gateway",) * 2 + (False,),
            ("http=gateway,webhook=gateway,poller=,cron=none",) * 2 + (False,),
        ],
    )
    def test_every_way_in_has_one_owner(self, one, other, ok):
        """The gateway has what it splits; the rest is one plane's, the gateway's or nobody's."""
        first, second = identity("hetzner", ingressOwner=one), identity(ingressOwner=other)
        assert amounts_to(judge_ingress(first, second)) is ok

    @given(st.permutations([f"{way}=gateway" for way in WAYS]))
    def test_order_does_not_matter(self, parts):
        """The text is a table."""
        assert owners_of(",".join(parts)) == owners_of("gateway")


class TestSigners:
    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"public_key": KEY}, "one NEAR key"),
            ({"network": "testnet"}, "different networks"),
            ({"account": "b.near"}, "different accounts"),
            ({"contract": "d.near"}, "different contracts"),
        ],
    )
    def test_one_account_and_two_keys(self, change, text):
        """Anything else is named."""
        near = {"network": "mainnet", "account": "a.near", "contract": "c.near"}
        other = Signer(**{**near, "public_key": "ed25519:" + "5" * 44, **change})
        second = Identity(1, NONCE, "hetzner", "production", "", other, "gateway")
        found = judge_signers(identity(), second, "a.near")
        assert text in str([f for f in found if f.ok is False])

    def test_a_plane_without_a_key_or_for_another_sender_fails(self):
        """It cannot pay, or pays for somebody else."""
        assert amounts_to(judge_signers(identity(), identity(near=None), "")) is False
        other = Signer("mainnet", "a.near", "c.near", "ed25519:" + "5" * 44)
        second = Identity(1, NONCE, "hetzner", "production", "", other, "gateway")
        assert amounts_to(judge_signers(identity(), second, "")) is True
        assert amounts_to(judge_signers(identity(), second, "z.near")) is False

    @pytest.mark.parametrize(
        ("answers", "ok"),
        [
            (["full"], True),
            (["full", "silent"], True),
            (["call"], False),
            (["absent", "absent"], False),
            (["full", "absent"], None),
            (["silent"], None),
            ([], None),
        ],
    )
    def test_the_chain_tells_who_may_pay(self, answers, ok):
        """Full access, by all who tell; providers that disagree or say nothing tell nothing."""
        kinds = {
            "full": Answer(200, {"result": {"permission": "FullAccess", "nonce": 1}}),
            "call": Answer(200, {"result": {"permission": {"FunctionCall": {}}}}),
            "absent": Answer(200, {"error": {"cause": {"name": "UNKNOWN_ACCESS_KEY"}}}),
            "silent": Answer(None, error="refused"),
        }
        assert judge_keys("a.near", KEY, [kinds[kind] for kind in answers]).ok is ok


def compose(image, name="agent", more=""):
    text = f"services:\n  {name}:\n    image: {image}\n{more}"
    return json.dumps({"runner": "docker-compose", "docker_compose_file": text}).encode()


class TestAttestedImage:
    GOOD = "a@sha256:" + "1" * 64
    OTHER = "a@sha256:" + "2" * 64

    @pytest.mark.parametrize(
        ("raw", "declared", "service", "ok"),
        [
            (compose(GOOD), "", "agent", True),
            (compose(GOOD), GOOD, "agent", True),
            (compose(GOOD), OTHER, "agent", False),
            (compose(OTHER), "", "agent", False),
            (compose(OTHER), GOOD, "agent", False),
            (compose("a:latest"), GOOD, "agent", False),
            (compose(GOOD, more="    command: /x\n"), "", "agent", False),
            (compose(GOOD, more="    volumes: [x:/opt/agent]\n"), "", "agent", False),
            (compose(GOOD, more="    volumes: [x:/var/lib/agent]\n"), "", "agent", True),
            (compose(GOOD), GOOD, "web", None),
            (b"{", GOOD, "agent", None),
            (None, GOOD, "agent", None),
        ],
    )
    def test_what_is_attested_counts_and_nothing_else(self, raw, declared, service, ok):
        """A declared image never stands in for the attested one, not even in a rehearsal."""
        health, gone = Answer(200, {"version": "2", "build": "r"}), Silence(True, Finding(None, ""))
        first = Running("h", self.GOOD, "its deployment record", health, gone)
        second = Running("p", declared, "its record", health, gone, service, True, raw)
        assert amounts_to(judge_image(first, second, rehearsal=True)) is ok


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        ("plane.example", "PLANE.example.", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "example.org", False),
        ("*.org", "example.org", False),
        ("*", "example", False),
        ("plane.example", "plane.example.evil", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("127.0.0.1", "127.0.0.2", False),
    ],
)
def test_a_certificates_name_is_that_of_the_host(name, host, fits):
    """A star stands for one label in front of at least two."""
    assert names_host(name, host) is fits
