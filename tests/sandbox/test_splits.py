"""The split contract refuses what the real one refuses."""

import json

import pytest

from sandbox.near import genesis
from sandbox.near.borsh import FunctionCall
from sandbox.near.splits import WHOLE

REPO = "github.com/demo/alpha"


class Contract:
    def __init__(self, chain, payer):
        self.chain, self.payer = chain, payer

    def call(self, method, **args):
        action = FunctionCall(method, json.dumps(args).encode(), 30 * 10**12, 0)
        sent = self.payer.send(genesis.SPLITS, [action])
        self.chain.produce(), self.chain.produce()
        return self.chain.records[sent].status()

    def panics(self, method, **args):
        return json.dumps(self.call(method, **args)["Failure"])

    def value(self, method, **args):
        import base64

        return json.loads(base64.b64decode(self.call(method, **args)["SuccessValue"]))

    def register(self):
        attestation = {"quote": "q", "endorsements": "e"}
        return self.value("register_worker", _attestation=attestation, code_hash=genesis.CODE_HASH)


@pytest.fixture
def contract(chain_and_payers):
    chain, payers = chain_and_payers
    return Contract(chain, payers["phala"])


def rows(*shares):
    return [{"github_username": f"user{n}", "percentage": s} for n, s in enumerate(shares)]


def test_only_registered_workers_change_splits(contract):
    assert "Only registered workers" in contract.panics(
        "create_split", repo_url=REPO, owner="a.near"
    )


def test_a_worker_with_an_unknown_code_hash_is_refused(contract):
    told = contract.panics(
        "register_worker", _attestation={"quote": "", "endorsements": ""}, code_hash="other"
    )
    assert "not allowed" in told


def test_a_split_is_created_empty_once_and_then_filled_exactly(contract):
    assert contract.register() is True
    split_id = contract.value("create_split", repo_url=REPO, owner=genesis.AGENT)
    height, number = split_id.removeprefix("split-").split("-")
    assert int(height) == contract.chain.head.height
    assert number.isdigit()
    assert "already exists" in contract.panics("create_split", repo_url=REPO, owner=genesis.AGENT)
    assert contract.value("get_split", split_id=split_id)["contributors"] == []
    parts = rows(WHOLE - 1, 1)
    assert contract.value("update_split", split_id=split_id, contributors=parts) is True
    kept = contract.value("get_split_by_repo", repo_url=REPO)["contributors"]
    assert [row["percentage"] for row in kept] == [WHOLE - 1, 1]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (rows(WHOLE - 1), "add up"),
        (rows(WHOLE, 0), "must be > 0"),
        ([], "cannot be empty"),
        (rows(*[WHOLE // 201] * 201), "Too many"),
        ([{"github_username": "Ada", "percentage": WHOLE // 2}] * 2, "Duplicate"),
        (
            [
                {"github_username": "@ada ", "percentage": WHOLE // 2},
                {"github_username": "ADA", "percentage": WHOLE // 2},
            ],
            "Duplicate",
        ),
        (rows(float(WHOLE)), "not a u128"),
        (rows(str(WHOLE)), "not a u128"),
    ],
)
def test_rows_that_are_not_a_whole_split_are_refused(contract, parts, expected):
    contract.register()
    split_id = contract.value("create_split", repo_url=REPO, owner=genesis.AGENT)
    assert expected in contract.panics("update_split", split_id=split_id, contributors=parts)


def test_most_people_have_a_verified_wallet_and_some_have_none(contract):
    names = ["ada", "tony", "Ada"]
    found = contract.value("get_verified_wallets_by_usernames", github_usernames=names)
    assert found == [
        {"github_username": "ada", "wallet_address": "ada.people.near", "x_username": "ada_x"}
    ]
    assert contract.value("get_wallet_address", github_username="@Ada") == "ada.people.near"
    page = contract.value("get_verified_wallets_cursor", start_after="ada", limit=2)
    assert len(page["entries"]) == 2
    assert page["entries"][0]["github_username"] > "ada"
    assert page["next_cursor"] == page["entries"][1]["github_username"]


def test_verifying_a_person_marks_claims_claimed_without_paying(contract):
    contract.register()
    claim = contract.value(
        "store_pending_distribution", github_username="Tony", amount=5, token="USDC"
    )
    assert claim.startswith("pending-tony-")
    assert len(contract.value("get_pending_distributions", github_username="tony")) == 1
    contract.value(
        "store_verification", github_username="tony", x_username="t", wallet_address="t.near"
    )
    assert contract.value("get_pending_distributions", github_username="tony") == []


def test_the_payable_repositories_have_whole_splits_from_the_beginning(contract):
    status = contract.value("get_repo_verification_status", repo_url="github.com/acme/widgets")
    assert status["total_contributors"] == 4
    assert status["unverified"] == []
    split = contract.value("get_split_by_repo", repo_url="github.com/demo/pay-3")
    assert sum(row["percentage"] for row in split["contributors"]) == WHOLE
