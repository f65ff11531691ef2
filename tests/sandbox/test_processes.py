"""The programs as programs: files, permissions, signals, exit codes."""

import json
import signal
import stat
import subprocess
import sys
import time

import httpx
import pytest

from sandbox.credentials import PLANES
from sandbox.main import main


def start(*arguments):
    command = [sys.executable, "-m", "sandbox.main", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_file(path, process):
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return json.loads(path.read_text())


def stop(process):
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    return process.returncode, out, err


def test_a_world_a_relay_and_clients_work_together_as_processes(tmp_path):
    """The relay stands before the world's GitHub; the clients meet it and count 404s as failed."""
    world_dir = tmp_path / "state"
    world = start("serve", "--state-dir", world_dir)
    relay = None
    try:
        file = world_dir / "world.json"
        told = wait_file(file, world)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert set(told["services"]) == {*("github", "near", "ping", "hot", "eigenai", "neynar")}
        keys = {plane: told["planes"][plane]["env"]["NEAR_PRIVATE_KEY"] for plane in PLANES}
        assert len(set(keys.values())) == 2
        accounts = {told["planes"][plane]["env"]["NEAR_ACCOUNT_ID"] for plane in PLANES}
        assert len(accounts) == 1
        marked = told["planes"]["phala"]["marked_env"]["NEAR_NODE_URL"]
        body = {"jsonrpc": "2.0", "id": 1, "method": "status", "params": []}
        assert httpx.post(marked, json=body).json()["result"]["chain_id"] == "mainnet"
        headers = {"authorization": f"Bearer {told['control_token']}"}
        assert httpx.get(told["control"] + "/ledger", headers=headers).status_code == 200

        link_file, summary_file = tmp_path / "link.json", tmp_path / "summary.json"
        upstream = told["services"]["github"]
        relay = start("relay", "--upstream", upstream, "--state-file", link_file)
        link = wait_file(link_file, relay)
        assert stat.S_IMODE(link_file.stat().st_mode) == 0o600
        traffic = start(
            *("traffic", "--url", link["url"], "--key", "k", "--rate", "50", "--total", "5"),
            *("--json-out", summary_file),
        )
        out, err = traffic.communicate(timeout=20)
        assert traffic.returncode == 1, err
        summary = json.loads(summary_file.read_text())
        assert (summary["done"], summary["total"], summary["failed"]) == (True, 5, 5)
        assert json.loads(out)["failed"] == 5
        assert stop(relay)[0] == 0
        code, out, err = stop(world)
        assert code == 0, err
        assert not any(key in out + err for key in keys.values())
        assert not file.exists()
    finally:
        for process in filter(None, (world, relay)):
            process.kill()
            process.communicate()


def test_traffic_stops_on_sigterm_and_keeps_its_summary_fresh(tmp_path):
    summary_file = tmp_path / "summary.json"
    url = "http://127.0.0.1:9"
    traffic = start(
        *("traffic", "--url", url, "--key", "k", "--rate", "20", "--json-out", summary_file)
    )
    try:
        wait_file(summary_file, traffic)
        deadline = time.monotonic() + 10
        while json.loads(summary_file.read_text())["total"] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert json.loads(summary_file.read_text())["done"] is False
        assert stop(traffic)[0] == 1
        assert json.loads(summary_file.read_text())["done"] is True
    finally:
        traffic.kill()
        traffic.communicate()


def test_a_run_without_any_answer_is_not_a_success(tmp_path, capsys):
    arguments = ["traffic", "--url", "http://127.0.0.1:9", "--key", "k", "--seconds", "0"]
    assert main(arguments) == 1
    assert json.loads(capsys.readouterr().out)["total"] == 0


def test_traffic_without_a_key_says_what_is_missing(capsys, monkeypatch):
    monkeypatch.delenv("TRAFFIC_KEY", raising=False)
    assert main(["traffic", "--url", "http://127.0.0.1:9"]) == 2
    assert "TRAFFIC_KEY" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["serve", "--state-dir", "x", "--port", "mars=5"],
        ["traffic", "--url", "x", "--mix", "steal=5"],
        ["traffic", "--url", "x", "--routes", "pigeon"],
        ["relay", "--upstream", "x", "--state-file", "y"],
        ["relay", "--upstream", "http://x", "--state-file", "y", "--listen", "here"],
    ],
)
def test_a_wrong_command_line_is_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err
