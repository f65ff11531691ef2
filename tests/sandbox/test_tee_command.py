"""The verbs `tee`, `pccs` and `front`: two processes with one seed are one world."""

import asyncio
import json
import stat
import sys
import time
from contextlib import asynccontextmanager

import dcap_qvl
import httpx
import pytest

from sandbox.main import main
from sandbox.tee import command as verbs
from sandbox.tee.boot import compose_text


@asynccontextmanager
async def running(folder, *command):
    """Start a verb; yield its state file's content once it listens."""
    state = folder / f"{command[0]}.json"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox.main", *command, "--state-file", str(state),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            said = await process.stdout.readline()
        assert said.startswith(b"listening at"), said
        yield state, said.decode(), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()


async def test_a_quote_and_collateral_of_two_processes_verify_under_the_written_root(tmp_path):
    compose = tmp_path / "app-compose.json"
    compose.write_bytes(compose_text(name="mine").encode() + b"\r\n")
    socket, root = tmp_path / "dstack.sock", tmp_path / "root.der"
    tee = ("tee", "--uds", str(socket), "--seed", "shared", "--compose", str(compose))
    pccs = ("pccs", "--seed", "shared", "--root-file", str(root), "--status", "OutOfDate")
    async with (
        running(tmp_path, *tee) as (tee_state, said, _),
        running(tmp_path, *pccs) as (pccs_state, _, process),
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://dstack"
        ) as agent,
    ):
        assert stat.S_IMODE(tee_state.stat().st_mode) == 0o600
        there = json.loads(tee_state.read_text())
        assert there["control_token"] not in said
        assert there["root_der"] == root.read_bytes().hex()
        info = (await agent.post("/Info")).json()
        assert json.loads(info["tcb_info"])["app_compose"].encode() == compose.read_bytes()
        answer = await agent.post("/GetQuote", json={"report_data": "ab" * 64})
        quote = bytes.fromhex(answer.json()["quote"])
        url = json.loads(pccs_state.read_text())["url"]
        collateral = await asyncio.wait_for(dcap_qvl.get_collateral(url, quote), 5)
        verdict = dcap_qvl.verify_with_root_ca(
            quote, collateral, root.read_bytes(), int(time.time())
        )
        assert verdict.status == "OutOfDate"
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 10) == 0


def _told_to_stop():
    event = asyncio.Event()
    event.set()
    return event


@pytest.mark.parametrize(
    "command",
    [
        ("tee", "--uds", "/nowhere/at/all.sock"),
        ("tee", "--port", "0", "--compose", "/nowhere/at/all.json"),
        ("tee", "--port", "0", "--name", ""),
        ("pccs", "--number", "0"),
        ("pccs", "--fmspc", "xyz"),
        ("front", "--upstream", "127.0.0.1:1", "--state-file", "/nowhere/at/all.json"),
    ],
)
def test_a_wrong_option_or_file_is_named_and_ends_with_2(command, capsys, monkeypatch):
    monkeypatch.setattr(verbs, "stop_event", _told_to_stop)  # what is not refused ends with 0
    assert main(command) == 2
    assert capsys.readouterr().err.startswith(f"cutover-sandbox {command[0]}: ")


async def test_a_front_says_where_it_and_its_control_are(tmp_path):
    async with running(tmp_path, "front", "--upstream", "127.0.0.1:1") as (state, said, _):
        there = json.loads(state.read_text())
        assert there["url"] in said
        headers = {"authorization": f"Bearer {there['control_token']}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False) as http:
            mode = (await http.get(f"{there['control']}/mode")).json()
        assert mode == {"mode": "pass", "counts": {"connections": 0, "bytes_read": 0}}


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("tee", ("--uds", "--seed", "--state-file", "--root-file", "--control-port")),
        ("pccs", ("--status", "--seed", "--state-file", "--root-file", "--control-port")),
        ("front", ("--upstream", "--name", "--state-file", "--control-port")),
    ],
)
def test_help_names_every_option(verb, options, capsys):
    with pytest.raises(SystemExit) as ended:
        main((verb, "--help"))
    assert ended.value.code == 0
    said = capsys.readouterr().out
    for option in options:
        assert option in said
