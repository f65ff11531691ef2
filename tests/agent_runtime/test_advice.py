"""What a plane is advised of at its start."""

import base58
import pytest

from agent_runtime.advice import advice
from agent_runtime.settings import Settings

SIGNS = {
    "NEAR_ACCOUNT_ID": "agent.near",
    "NEAR_PRIVATE_KEY": "ed25519:" + base58.b58encode(bytes(range(32))).decode(),
}
ONE, TWO = "https://one.example", "https://one.example,https://two.example"


@pytest.mark.parametrize(
    ("told", "advised"),
    [
        (SIGNS, True),  # the default is one provider
        ({**SIGNS, "NEAR_NODE_URL": ONE, "NEAR_ARCHIVAL_URL": ONE}, True),
        ({**SIGNS, "NEAR_NODE_URL": TWO}, False),
        ({**SIGNS, "NEAR_NODE_URL": ONE, "NEAR_ARCHIVAL_URL": "https://keep.example"}, False),
        ({"NEAR_NODE_URL": ONE}, False),  # nothing is signed
    ],
)
def test_who_signs_with_one_provider_is_told_to_add_another(told, advised):
    assert [text.split()[0] for text in advice(Settings.from_environ(told))] == (
        ["NEAR_NODE_URL"] if advised else []
    )
