"""Each provider gets its own key, in its own header, and nobody else's."""

import json

import pytest

from agent_runtime.errors import SettingsError
from agent_runtime.near.rpc import Rpc
from agent_runtime.settings import Settings
from agent_runtime.watching import Nobody

NODES = "https://one.example/v1,https://two.example:8443"
HEADERS = "one.example=x-api-key: first; old.example=Authorization: Bearer a:b=c"


class Recorder:
    watch = Nobody()

    def __init__(self):
        self.asked = []

    async def request(self, method, url, headers, content):
        self.asked.append((url, headers))
        reply = type("Reply", (), {"status": 200, "headers": {}})
        reply.body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {}}).encode()
        return reply


async def test_a_key_goes_to_its_own_provider_only():
    environ = {
        "NEAR_NODE_URL": NODES,
        "NEAR_ARCHIVAL_URL": "https://old.example",
        "NEAR_RPC_HEADERS": HEADERS,
    }
    settings = Settings.from_environ(environ)
    assert "first" not in repr(settings)
    recorder = Recorder()
    rpc = Rpc(recorder, settings.near_nodes, settings.near_archival, settings.near_headers)
    for node in (*rpc.nodes, *rpc.archival):
        await rpc.call(node, "block", {}, 1.0)
    plain = {"content-type": "application/json"}
    assert [headers for _, headers in recorder.asked] == [
        {**plain, "x-api-key": "first"},
        plain,
        {**plain, "Authorization": "Bearer a:b=c"},
    ]


@pytest.mark.parametrize(
    "given",
    ["one.example", "one.example=key", "one.example=x y: z", "one.example=x: \x7f", "=x: y"],
)
def test_what_is_no_header_is_refused_and_not_shown(given):
    with pytest.raises(SettingsError) as refused:
        Settings.from_environ({"NEAR_NODE_URL": NODES, "NEAR_RPC_HEADERS": given})
    assert refused.value.faults == [
        "NEAR_RPC_HEADERS: not a list of headers; expected host=Header: value; ..."
    ]


def test_a_header_for_nobody_is_a_mistake():
    with pytest.raises(SettingsError, match="a host is no provider"):
        Settings.from_environ({"NEAR_NODE_URL": NODES, "NEAR_RPC_HEADERS": "tow.example=x: y"})
