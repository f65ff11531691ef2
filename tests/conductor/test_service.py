"""A conductor at work ends as a whole: none of its parts is gone unnoticed."""

import asyncio

import pytest

from conductor.doubles import engine
from cutover.conductor import service
from cutover.conductor.assembly import Parts
from cutover.conductor.listener import listen
from cutover.conductor.loop import Loop
from cutover.conductor.service import serve
from cutover.conductor.work import ApiEndedError
from cutover.evidence.observation import Started


class Idle:
    """A part that works until it is cancelled."""

    async def run(self):
        await asyncio.Event().wait()

    watch = run


class Ends:
    """A server that is gone as soon as it was started, with or without an error."""

    should_exit = False

    def __init__(self, error):
        self._error = error

    async def serve(self, sockets):
        await asyncio.sleep(0)
        if self._error:
            raise self._error


@pytest.mark.parametrize("error", [None, OSError("accept failed")])
async def test_an_api_that_ends_by_itself_ends_the_conductor_loudly(tmp_path, monkeypatch, error):
    """Nodes could neither take a table nor report: nobody goes on as if all were well."""
    heart, memory, _ = engine()
    loop = Loop(heart, 500, lambda _: None)
    loop.begin([Started(1, "b1", 0)])
    monkeypatch.setattr(service, "_server", lambda _: Ends(error))
    listener = listen("127.0.0.1", 0, tmp_path)
    parts = Parts(loop, Idle(), None, Idle(), Idle())
    with pytest.raises(BaseExceptionGroup) as caught:
        await asyncio.wait_for(serve(parts, None, listener, tmp_path), 10)
    listener.close()
    expected = OSError if error else ApiEndedError
    assert caught.value.subgroup(expected) is not None
    assert "Stopped" not in memory.kinds()
