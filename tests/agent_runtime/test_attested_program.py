"""The attested program: its key is its instance's and secret, and nothing is served without it."""

import asyncio
import contextlib
import hashlib
import json
import signal
import socket
import ssl
import sys
from pathlib import Path

import pytest

from agent_runtime.attestation import identity
from agent_runtime.errors import StartError
from agent_runtime.main import Server
from agent_runtime.settings import Settings
from agent_runtime.wiring import build
from sandbox.faults import Rule
from sandbox.tee import keys
from sandbox.tee.boot import Boot
from sandbox.tee.machine import Machine
from sandbox.tee.serve import ServedMachine, Where

PROGRAM = Path(sys.executable).with_name("agent-runtime")


def environ(folder, **more):
    return {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "PAYMENTS_DB": str(folder / "state" / "payments.db"),
        "AGENT_LOG_DIR": str(folder / "state"),
        "DSTACK_ENDPOINT": str(folder / "dstack.sock"),
        "AGENT_TLS": "attested",
        **more,
    }


def agent(folder, **boot):
    machine = Machine(b"attested program", Boot(**boot), nonce="n")
    return ServedMachine(machine, Where("t", uds=folder / "dstack.sock"))


@contextlib.asynccontextmanager
async def program(env):
    """Run the installed program up to its first line."""
    process = await asyncio.create_subprocess_exec(PROGRAM, env=env, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(20):
            yield process, json.loads(await process.stderr.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def anybody():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def run_and_stop(env):
    """The key it serves under, and all that it said."""
    async with program(env) as (process, said):
        context = anybody()
        reader, writer = await asyncio.open_connection("127.0.0.1", said["port"], ssl=context)
        writer.write(f"GET /.well-known/attestation?nonce={'0' * 64} HTTP/1.1\r\n".encode())
        writer.write(b"host: x\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        process.send_signal(signal.SIGTERM)
        _, rest = await process.communicate()
        assert process.returncode == 0
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return said["tls_spki"], json.dumps(said) + rest.decode()


async def test_a_client_that_never_says_goodbye_does_not_hold_up_its_end(tmp_path):
    def ask(port):
        client = anybody().wrap_socket(socket.create_connection(("127.0.0.1", port)))
        client.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 200"
        return client  # open, and read from no more

    async with agent(tmp_path).running(), program(environ(tmp_path)) as (process, said):
        with await asyncio.to_thread(ask, said["port"]):
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(5):
                assert await process.wait() == 0


def secrets_of(machine):
    """The TLS key that is due here, and every secret of the program as text it could leak."""
    instance, app_id = machine.boot.instance_id.hex(), machine.boot.app_id_bytes
    asked = ((f"agent/tls/{instance}", "tls"), ("agent/wallet/signing", "signing"))
    given = [machine.kms.app_key(app_id, *one, "secp256k1").secret for one in asked]
    own = identity.derive_key(given[0], instance)
    number = own.private_numbers().private_value
    return own, [*(key.hex() for key in given), f"{number:064x}", "PRIVATE KEY"]


async def test_its_key_outlives_a_restart_is_its_own_and_is_written_nowhere(tmp_path):
    async with agent(tmp_path).running() as served:
        first, said = await run_and_stop(environ(tmp_path))
        again, more = await run_and_stop(environ(tmp_path))
        due, hidden = secrets_of(served.machine)
    async with agent(tmp_path, disk="another disk").running():
        other, _ = await run_and_stop(environ(tmp_path))
    assert first == again != other
    assert first == hashlib.sha256(keys.spki(due)).hexdigest()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    for text in (said, more, *(path.read_bytes().decode("latin-1") for path in files)):
        assert not [one for one in hidden if one.lower() in text.lower()]
        assert not [one for one in hidden[:3] if bytes.fromhex(one).decode("latin-1") in text]


async def test_an_app_without_instances_ends_it_with_two(tmp_path):
    async with agent(tmp_path, no_instance_id=True).running():
        process = await asyncio.create_subprocess_exec(
            PROGRAM, env=environ(tmp_path), stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
    assert process.returncode == 2
    assert "agent-runtime cannot start: AGENT_TLS is attested, but" in said.decode()
    assert "Traceback" not in said.decode()


async def test_while_it_waits_for_its_key_it_can_be_stopped(tmp_path):
    async with program(environ(tmp_path)) as (process, said):
        assert said["event"] == "guest_agent_awaited"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize("refusal", [{"kind": "hang"}, {"kind": "status", "status": 400}])
async def test_without_its_key_it_ends_and_never_listens(tmp_path, monkeypatch, refusal):
    monkeypatch.setattr(identity, "START_SECONDS", 0.3)
    monkeypatch.setattr(identity, "RETRY_SECONDS", 0.05)
    async with agent(tmp_path).running() as served:
        served.faults.replace([Rule(service="guest", operation="GetKey", **refusal)])
        server = Server(build(Settings.from_environ(environ(tmp_path))))
        with pytest.raises(StartError, match="gave no keys within"):
            await server.serve()
        assert not server.started
        assert not hasattr(server, "servers")


async def test_a_guest_agent_that_comes_late_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "RETRY_SECONDS", 0.05)
    service = build(Settings.from_environ(environ(tmp_path)))
    opening = asyncio.create_task(service.attestor.open())
    done, _ = await asyncio.wait({opening}, timeout=0.2)
    assert not done
    async with agent(tmp_path).running():
        async with asyncio.timeout(5):
            context = await opening
        assert context.minimum_version is ssl.TLSVersion.TLSv1_3
        assert len(service.attestor.spki) == 64
        await service.aclose()
