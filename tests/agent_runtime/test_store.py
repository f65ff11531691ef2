"""The store belongs to one process at a time."""

import asyncio
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from agent_runtime.store import StoreHeldError, open_store

HOLDER = """
import sys
from pathlib import Path
from agent_runtime.store import open_store
db = open_store(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""
PROGRAM = Path(sys.executable).with_name("agent-runtime")


async def start(*command, **more):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, **more
    )


async def test_a_second_process_ends_with_two_and_names_the_holder_until_the_holder_is_dead(
    tmp_path,
):
    path = str(tmp_path / "payments.db")
    holder = await start(sys.executable, "-c", HOLDER, path)
    assert await holder.stdout.readline() == b"held\n"
    second = await start(PROGRAM, env={"PAYMENTS_DB": path, "PORT": "0", "HOST": "127.0.0.1"})
    _, said = await second.communicate()
    assert second.returncode == 2
    assert f"PAYMENTS_DB: cannot open {path} (process {holder.pid} uses it" in said.decode()
    holder.kill()
    await holder.communicate()
    open_store(path).close()


def test_closing_the_store_frees_it_and_a_broken_file_does_not_stay_locked(tmp_path):
    path = tmp_path / "payments.db"
    db = open_store(str(path))
    with pytest.raises(StoreHeldError, match=f"process {os.getpid()} uses it"):
        open_store(str(path))
    db.close()
    path.write_bytes(b"no database" * 100)
    for _ in range(2):
        with pytest.raises(sqlite3.DatabaseError):
            open_store(str(path))


def test_one_file_under_two_names_is_one_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    db = open_store(str(tmp_path / "payments.db"))
    with pytest.raises(StoreHeldError):
        open_store(str(tmp_path / "link" / "payments.db"))
    db.close()
